import { describe, expect, test } from "vitest";
import * as rules from "./rules.ts";
import { parseSource, type Source } from "./sources.ts";

// Each rule is shown one source that breaks it and one that does not: a rule that cannot fail says nothing.

const at = (path: string, text: string): Source => parseSource(path, text);

describe("parsing", () => {
  test("sees every way to import, and none in comments or strings", () => {
    const source = at(
      "src/cli/a.ts",
      `import x from "./x.ts"; import type { Y } from "../core/y.ts"; import "node:fs"; export { z } from "./z.ts";
       const later = import("../store/w.ts"); // import "./comment.ts"
       const text = 'import "./string.ts"';`,
    );
    expect([...source.imports].sort()).toEqual([
      "node:fs",
      "src/cli/x.ts",
      "src/cli/z.ts",
      "src/core/y.ts",
      "src/store/w.ts",
    ]);
    expect(source.exports).toEqual(["z"]);
  });

  test("a file that cannot be parsed is an error, not an empty file", () => {
    expect(() => at("src/core/a.ts", "export const = 1")).toThrow("src/core/a.ts");
  });
});

test.each([
  // importer                  import                   allowed
  ["src/core/a.ts", "./b.ts", true],
  ["src/core/a.ts", "../host/b.ts", false],
  ["src/protocol/a.ts", "../core/b.ts", true],
  ["src/ledger/a.ts", "../store/b.ts", false],
  ["src/ledger/a.ts", "../attribution/b.ts", false],
  ["src/store/a.ts", "../ledger/b.ts", true],
  ["src/store/a.ts", "../chain/b.ts", false],
  ["src/upstream/a.ts", "../store/b.ts", false],
  ["src/gateway/a.ts", "../store/b.ts", false],
  ["src/gateway/a.ts", "../host/b.ts", false],
  ["src/gateway/a.ts", "../cli/b.ts", false],
  ["src/cli/a.ts", "../store/b.ts", true],
  ["src/cli/a.ts", "../../test/b.ts", false],
  ["src/store/a.test.ts", "../../test/b.ts", true],
  ["src/elsewhere/a.ts", "./b.ts", false],
  ["src/gateway/a.ts", "./testing/b.ts", false],
  ["src/gateway/a.test.ts", "./testing/b.ts", true],
])("layers: %s imports %s: %s", (path, specifier, allowed) => {
  const broken = rules.breaksLayers([at(path, `import type { B } from "${specifier}"; export type A = B;`)]);
  expect(broken.length === 0).toBe(allowed);
});

test("doors: an adapter is found behind any number of steps", () => {
  const chain = [
    at("src/gateway/door.ts", 'import "../ledger/step.ts";'),
    at("src/ledger/step.ts", 'import "./more.ts";'),
    at("src/ledger/more.ts", 'import "../store/table.ts";'),
  ];
  expect(rules.doorsSeeAdapters(chain)).toEqual(["src/gateway/door.ts reaches src/store/table.ts"]);
  expect(rules.doorsSeeAdapters(chain.slice(0, 2))).toEqual([]);
});

test("cycles: each is named once, from wherever it is entered", () => {
  const [a, b, c, d] = ["b", "c", "a", "a"].map((next, i) => at(`src/core/${"abcd"[i]}.ts`, `import "./${next}.ts";`));
  if (a === undefined || b === undefined || c === undefined || d === undefined) throw new Error("four files");
  expect(rules.cycles([d, a, b, c])).toEqual(["src/core/a.ts → src/core/b.ts → src/core/c.ts"]);
  expect(rules.cycles([d, a, b])).toEqual([]);
});

test.each([
  // file                      code                                                                 broken
  ["src/ledger/a.ts", "export const t = Date.now();", "Date.now"],
  ["src/ledger/a.ts", "export const t = new Date();", "new Date()"],
  ["src/ledger/a.ts", "export const t = new Date(0); // Date.now()", undefined],
  ["src/core/a.ts", "export const r = Math.random();", "Math.random"],
  ["src/core/a.ts", "export const r = 'Math.random()';", undefined],
  ["src/store/a.ts", "export const u = process.env['DATABASE_URL'];", "process.env"],
  ["src/chain/a.ts", "console.warn('x');", "console"],
  ["src/chain/a.ts", "export const t = performance.now();", undefined],
  [
    "src/chain/a.ts",
    "import { randomBytes } from 'node:crypto'; export const r = randomBytes(8);",
    "node:crypto randomness",
  ],
  ["src/chain/a.ts", "import 'node:crypto'; export const r = (o: any) => o.randomBytes(8);", undefined],
  ["src/cli/a.ts", "export const t = Date.now();", undefined],
  ["src/core/a.test.ts", "export const t = Date.now();", undefined],
])("globals: %s %s", (path, code, name) => {
  expect(rules.reachesForGlobals([at(path, code)])).toEqual(name === undefined ? [] : [`${path} uses ${name}`]);
});

test.each([
  // file                            module                  allowed
  ["src/core/a.ts", "node:fs", false],
  ["src/protocol/a.ts", "net", false],
  ["src/ledger/a.ts", "node:fs/promises", false],
  ["src/ledger/a.ts", "node:fsx", true],
  ["src/datanets/review.ts", "node:fs", false],
  ["src/datanets/importGit.ts", "node:child_process", true],
  ["src/store/a.ts", "node:fs", true],
  ["src/models/a.ts", "node:fs", false],
  ["src/models/indexFile.ts", "node:fs", true],
])("machine: %s imports %s: %s", (path, module, allowed) => {
  expect(rules.touchesMachine([at(path, `import "${module}";`)]).length === 0).toBe(allowed);
});

test.each([
  ["export default 1;", false],
  ["export { a } from './a.ts';", false],
  ["export * from './a.ts';", false],
  ["export const a = 1;", true],
])("origins: %s", (code, allowed) => {
  expect(rules.hidesOrigins([at("src/core/x.ts", code)]).length === 0).toBe(allowed);
});

test("length: files and functions are measured, tests' functions are not", () => {
  const long = `export function f() {\n${"void 0;\n".repeat(4)}}\n`;
  const max = { file: 6, function: 5 };
  expect(rules.tooLong([at("src/core/a.ts", long)], max)).toEqual(["src/core/a.ts: f has 6 lines"]);
  expect(rules.tooLong([at("src/core/a.test.ts", long)], max)).toEqual([]);
  expect(rules.tooLong([at("src/core/a.ts", `${long}void 0;`)], { file: 6, function: 9 })).toEqual([
    "src/core/a.ts has 7 lines",
  ]);
  const nested = `export const o = { deep: () => {\n\n\n\n\n} };`;
  expect(rules.tooLong([at("src/core/a.ts", nested)], max)).toEqual(["src/core/a.ts: deep has 6 lines"]);
});

test.each([
  ["export const datasetName = 1;", false],
  ["export interface ModelProvider { a: 1 }", false],
  ["export const REWARDS_MAX = 1;", false],
  ["export const datanetName = 1;", true],
  ["const dataset = 1; export const provided = dataset;", true],
])("words: %s", (code, allowed) => {
  expect(rules.usesSynonyms([at("src/core/a.ts", code)]).length === 0).toBe(allowed);
});

test("benches: each exports run; the starter and tests need not", () => {
  const without = "export const x = 1;";
  const benches = [at("bench/ledger.ts", without), at("bench/main.ts", without), at("bench/ledger.test.ts", without)];
  expect(rules.benchesWithoutRun(benches)).toEqual(["bench/ledger.ts exports no run"]);
  expect(rules.benchesWithoutRun([at("bench/ledger.ts", "export async function run(): Promise<void> {}")])).toEqual([]);
});

test.each([
  // file                 text                                    allowed
  ["src/cli/a.ts", "/wo" + "rk/main", false],
  ["README.md", "/home/" + "ann/x", false],
  ["README.md", "work/main", true],
  ["src/core/a.ts", "../" + "shared/data", false],
  ["bench/a.ts", "../" + "shared/data", true],
  ["bench/a.ts", "../" + "shared/notes", false],
])("places: %s with %s", (path, text, allowed) => {
  expect(rules.namesPlaces([{ path, text }]).length === 0).toBe(allowed);
});

test("scripts and links: what is not there is named", () => {
  const file = {
    path: "docs/a.md",
    text: "npm start, npm run no-such, npm run -s x:y, [b](b.md#part), [web](https://x.y)",
  };
  expect(rules.missingScripts([file], new Set(["start", "x:y"]))).toEqual(["docs/a.md names npm run no-such"]);
  expect(rules.missingScripts([file], new Set(["x:y", "no-such"]))).toEqual(["docs/a.md names npm run start"]);
  expect(rules.brokenLinks([file], () => false)).toEqual(["docs/a.md links to b.md"]);
  expect(rules.brokenLinks([file], (path) => path === "docs/b.md")).toEqual([]);
});
