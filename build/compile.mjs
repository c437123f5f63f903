// Compiles what has changed, as `tsc -b` does. Where a native engine is not installed its types are not either: what cannot be checked for that reason alone is said, and does not keep
// the rest from running. JavaScript is written all the same.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = process.cwd();
const engines = ["node-llama-cpp", "onnxruntime-node"];
const absent = engines.filter((name) => !existsSync(join(root, "node_modules", name, "package.json")));

const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
const done = spawnSync(process.execPath, [tsc, "-b", "--pretty", "false", ...process.argv.slice(2)], {
  cwd: root,
  encoding: "utf8",
});
const errors = done.stdout.split("\n").filter((line) => /\berror TS\d+:/.test(line));
const isForgivable = absent.length > 0 && errors.length > 0 && errors.every(comesOfAbsence);
if (isForgivable) {
  const files = new Set(errors.map(fileOf));
  console.error(
    `${absent.join(" and ")} not installed: ${files.size} files are not checked, and what they do is refused`,
  );
} else {
  process.stdout.write(done.stdout);
  process.stderr.write(done.stderr);
  process.exitCode = done.status ?? 1;
}

/** In a file that imports what is absent. */
function comesOfAbsence(error) {
  const file = fileOf(error);
  if (file === undefined || !existsSync(join(root, file))) return false;
  const text = readFileSync(join(root, file), "utf8");
  return absent.some((name) => text.includes(`"${name}"`));
}

function fileOf(error) {
  return /^(.+?)\(\d+,\d+\): error TS/.exec(error)?.[1];
}
