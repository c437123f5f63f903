// Runs forge on this folder without network: `node contracts/forge.mjs test -vv`.
// Gas figures must equal contracts/snapshots/*.json; FORGE_SNAPSHOT_CHECK=false rewrites them.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const architecture = process.arch === "x64" ? "amd64" : process.arch;
const extension = process.platform === "win32" ? ".exe" : "";
const binary = `@foundry-rs/forge-${process.platform}-${architecture}/bin/forge${extension}`;

const [command = "test", ...rest] = process.argv.slice(2);
const { status, error } = spawnSync(
  createRequire(import.meta.url).resolve(binary),
  [command, "--root", fileURLToPath(new URL(".", import.meta.url)), ...rest],
  {
    stdio: "inherit",
    env: {
      FORGE_SNAPSHOT_CHECK: "true",
      ...process.env,
      FOUNDRY_REMAPPINGS: `@openzeppelin/=${fileURLToPath(new URL("../node_modules/@openzeppelin/", import.meta.url))}`,
      FOUNDRY_SOLC: fileURLToPath(new URL("solc.mjs", import.meta.url)),
      FOUNDRY_DISABLE_NIGHTLY_WARNING: "true",
    },
  },
);
if (error !== undefined) throw error;
// forge writes its figures anew on every run, without the final newline that our formatter asks for.
const figures = new URL("snapshots/gas.json", import.meta.url);
if (existsSync(figures)) writeFileSync(figures, `${readFileSync(figures, "utf8").trimEnd()}\n`);
process.exit(status ?? 1);
