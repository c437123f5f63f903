import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { unwrap } from "../core/result.ts";
import { writeLlamaFolder } from "../models/formats/huggingFaceFile.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import { randomLlama } from "../models/testing/randomLlama.ts";
import { BaseShelf } from "./factoryBases.ts";
import { testBaseShape as shape } from "./testing/neuralWorld.ts";

const folder = mkdtempSync(join(tmpdir(), "openledger-bases-"));
const elsewhere = join(folder, "elsewhere");
const shelf = new BaseShelf(folder, join(folder, "house"));
beforeAll(async () => {
  const model = { shape, tensors: randomLlama(shape, 1), tokenizer: houseTokenizer() };
  unwrap(await writeLlamaFolder(elsewhere, model));
  mkdirSync(join(folder, "bases"), { recursive: true });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("folders in bases, folders elsewhere and the house model are found, with a licence where one is written down", async () => {
  expect(await shelf.list()).toEqual([]);
  cpSync(elsewhere, join(folder, "bases", "one"), { recursive: true });
  cpSync(elsewhere, join(folder, "house"), { recursive: true });
  writeFileSync(join(folder, "bases", "one", "README.md"), "---\nlanguage: en\nlicense: apache-2.0\n---\n# One\n");
  const sources = [
    { name: "pages", licence: "CC0-1.0", source: "x", records: 2, contributors: 1, hash: `0x${"ab".repeat(32)}` },
  ];
  writeFileSync(join(folder, "house", "openledger.json"), JSON.stringify({ licence: "CC-BY-4.0", madeFrom: sources }));
  unwrap(await shelf.register({ name: "two", folder: elsewhere, licence: "MIT" }));
  expect(await shelf.list()).toEqual(["house", "one", "two"]);
  const found = await Promise.all(["house", "one", "two"].map(async (name) => unwrap(await shelf.find(name))));
  expect(found.map(({ licence }) => licence)).toEqual(["CC-BY-4.0", "Apache-2.0", "MIT"]);
  expect((await shelf.notes(found[0]!)).madeFrom).toEqual(sources);
  expect((await shelf.notes(found[2]!)).madeFrom).toEqual([]);
  expect(found[1]!.shape).toEqual(shape);
  // The same files are the same base wherever they lie, and whatever else lies beside them.
  expect(new Set(found.map(({ hash }) => hash)).size).toBe(1);
});

test("the hash follows the files that decide, also when one changes while the node runs", async () => {
  const before = unwrap(await shelf.find("one")).hash;
  writeFileSync(join(folder, "bases", "one", "notes.txt"), "nothing");
  expect(unwrap(await shelf.find("one")).hash).toBe(before);
  const model = { shape, tensors: randomLlama(shape, 2), tokenizer: houseTokenizer() };
  unwrap(await writeLlamaFolder(join(folder, "bases", "one"), model));
  expect(unwrap(await shelf.find("one")).hash).not.toBe(before);
});

test.each([
  // name            folder            refused as
  ["house", elsewhere, "invalid_request"],
  ["../escape", elsewhere, "invalid_request"],
  ["Upper", elsewhere, "invalid_request"],
  ["relative", "elsewhere", "invalid_request"],
  ["nowhere", join(folder, "nothing"), "not_found"],
  ["two", join(folder, "bases", "one"), "already_exists"],
])("register %s: %s is refused as %s", async (name, place, code) => {
  expect(await shelf.register({ name, folder: place })).toMatchObject({ ok: false, error: { code } });
});

test.each([
  ["a truncated header", (weights: Buffer) => weights.subarray(0, 20)],
  ["a header that is longer than the file", (weights: Buffer) => Buffer.concat([Buffer.alloc(7), weights])],
  ["fewer bytes than its tensors need", (weights: Buffer) => weights.subarray(0, -4)],
  [
    "a tensor of another name",
    (weights: Buffer) => Buffer.from(weights.toString("latin1").replace("q_proj", "x_proj"), "latin1"),
  ],
])("register: weights with %s are refused, and nothing is kept", async (_, damage) => {
  const place = join(mkdtempSync(join(folder, "damaged-")), "base");
  cpSync(elsewhere, place, { recursive: true });
  const weights = join(place, "model.safetensors");
  writeFileSync(weights, damage(readFileSync(weights)));
  expect(await shelf.register({ name: "damaged", folder: place })).toMatchObject({
    error: { code: "invalid_request" },
  });
  expect(await shelf.list()).not.toContain("damaged");
});

test.each<[what: string, put: (path: string) => unknown]>([
  ["nothing", () => undefined],
  ["a device", (path) => symlinkSync("/dev/null", path)],
])("register: %s in place of weights is refused", async (_, put) => {
  const place = join(mkdtempSync(join(folder, "pipe-")), "base");
  cpSync(elsewhere, place, { recursive: true });
  const weights = join(place, "model.safetensors");
  rmSync(weights);
  put(weights);
  expect(await shelf.register({ name: "pipe", folder: place })).toMatchObject({ error: { code: "not_found" } });
});

test.each(["", "../../etc", "no-such", "a/b", "__proto__"])("find %j refuses", async (name) => {
  expect(await shelf.find(name)).toMatchObject({ ok: false, error: { code: "model_not_found" } });
});
