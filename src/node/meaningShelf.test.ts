import { appendFile, mkdtemp, readdir, readFile, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { toHex } from "../core/bytes.ts";
import type { Embedder } from "../core/engine.ts";
import { ok, refuse } from "../core/result.ts";
import { sealRecord } from "../datanets/record.ts";
import { MeaningShelf, meaningsOf } from "./meaningShelf.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "openledger-test-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const records = Array.from({ length: 150 }, (_, i) => {
  const content = { title: "Notes", headingPath: [], text: `Note ${i}`, source: "notes", licence: "MIT", date: null };
  return sealRecord({ ...content, authors: [] }, toHex(new Uint8Array(32)));
});
const signal = new AbortController().signal;

/** Points each text somewhere of its own; counts what it is asked. */
function embedderOf(dimensions: number, asked: string[] = []): Embedder {
  const vectorOf = (text: string): Float32Array => {
    const angle = Number(/\d+/.exec(text)?.[0] ?? 0) / 50;
    return Float32Array.from([Math.cos(angle), Math.sin(angle), ...new Array<number>(dimensions - 2).fill(0)]);
  };
  return {
    name: "test",
    embed: async (texts) => {
      asked.push(...texts);
      return ok(texts.map(vectorOf));
    },
  };
}

async function made(embedder: Embedder, of = records, said: string[] = []) {
  const shelf = new MeaningShelf(folder, embedder, (text) => said.push(text));
  const meanings = await shelf.of(of);
  await shelf.close();
  return meanings;
}

test("vectors are made once, kept, and only what is new is made later", async () => {
  const asked: string[] = [];
  const first = await made(embedderOf(3, asked), records.slice(0, 100));
  expect(asked).toHaveLength(100);
  const again = await made(embedderOf(3, asked));
  expect(asked).toHaveLength(150);
  expect((await first!.search("Note 7", 1, signal))!.records).toEqual([7]);
  expect((await again!.search("Note 107", 1, signal))!.records).toEqual([107]);
});

test("an entry that was cut off is made again, and nothing else", async () => {
  await made(embedderOf(3));
  const [file] = await readdir(join(folder, "vectors"));
  const path = join(folder, "vectors", file!);
  const whole = await readFile(path);
  for (const bytes of [whole.length - 5, 40, 3]) {
    await truncate(path, bytes);
    const asked: string[] = [];
    expect((await (await made(embedderOf(3, asked)))!.search("Note 149", 1, signal))!.records).toEqual([149]);
    expect(asked.length).toBe(bytes === whole.length - 5 ? 2 : 151);
    expect((await readFile(path)).length).toBe(whole.length);
  }
  await appendFile(path, "rubbish");
  expect(await made(embedderOf(3))).toBeDefined();
  expect((await readFile(path)).length).toBe(whole.length);
});

test("another model behind the same name is noticed", async () => {
  await made(embedderOf(3), records.slice(0, 10));
  const said: string[] = [];
  expect((await (await made(embedderOf(5), records, said))!.search("Note 9", 1, signal))!.records).toEqual([9]);
  expect(said.join()).toContain("embedded again");
});

test("a server that fails is said, and records are found by their words", async () => {
  const said: string[] = [];
  expect(
    await made({ name: "test", embed: async () => refuse("upstream_failed", "no server") }, records, said),
  ).toBeUndefined();
  expect(said).toEqual(["records are found by their words only: no server"]);
});

test("nobody waits for vectors, and without a server there are none", async () => {
  expect(meaningsOf(undefined, records)()).toBeUndefined();
  const shelf = new MeaningShelf(folder, embedderOf(3), () => undefined);
  const meanings = meaningsOf(shelf, records);
  expect(meanings()).toBeUndefined();
  await expect.poll(() => meanings()).toBeDefined();
  await shelf.close();
});
