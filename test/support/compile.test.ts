import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, expect, test } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "openledger-compile-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const usesEngine = `import type { Token } from "node-llama-cpp";\nexport const first = (all: Token[]) => all.map((one) => one);\n`;
const engine = {
  "package.json": `{"types":"index.d.ts"}`,
  "index.d.ts": "export type Token = number & { brand: 1 };\n",
};

/** A program of these files, with or without the engine that it asks for. */
function compile(name: string, files: Readonly<Record<string, string>>, isInstalled: boolean) {
  const root = join(folder, name);
  const put = (place: string, texts: Readonly<Record<string, string>>) => {
    mkdirSync(join(root, place), { recursive: true });
    for (const [file, text] of Object.entries(texts)) writeFileSync(join(root, place, file), text);
  };
  const options = { composite: true, outDir: "dist", module: "NodeNext", strict: true, types: [] };
  put(".", { "tsconfig.json": JSON.stringify({ compilerOptions: options, include: ["*.ts"] }), ...files });
  for (const one of ["typescript", "@typescript"]) {
    mkdirSync(join(root, "node_modules"), { recursive: true });
    if (existsSync(resolve("node_modules", one)))
      symlinkSync(resolve("node_modules", one), join(root, "node_modules", one));
  }
  put("node_modules/onnxruntime-node", { "package.json": "{}" });
  if (isInstalled) put("node_modules/node-llama-cpp", engine);
  const { status, stdout, stderr } = spawnSync(process.execPath, [resolve("build/compile.mjs")], {
    cwd: root,
    encoding: "utf8",
  });
  return { status, said: stdout + stderr, isWritten: existsSync(join(root, "dist", "a.js")) };
}

test.each([
  // what                              files                                                        installed  status  said
  ["everything is installed", { "a.ts": usesEngine }, true, 0, /^$/],
  ["an engine is not installed", { "a.ts": usesEngine }, false, 0, /^node-llama-cpp not installed: 1 files/],
  ["and something else is wrong", { "a.ts": usesEngine, "b.ts": "const x: string = 1;\n" }, false, 2, /b\.ts.*TS2322/],
  ["something is wrong with an engine", { "a.ts": `${usesEngine}const x: string = 1;\n` }, true, 2, /a\.ts.*TS2322/],
  ["another package is not there", { "a.ts": `import "none-such";\n` }, false, 2, /TS2882|TS2307/],
] as const)("%s", (name, files, isInstalled, status, said) => {
  const done = compile(name, files, isInstalled);
  expect(done).toMatchObject({ status, said: expect.stringMatching(said) });
  if (status === 0) expect(done.isWritten).toBe(true);
});
