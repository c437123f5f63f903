import { mkdtemp, readdir, rm, stat, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { attributeCorpus, attributeText } from "../attribution/attribute.ts";
import { evidenceRoot } from "../attribution/evidence.ts";
import { toHex, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { unwrap } from "../core/result.ts";
import { ScriptedEngine } from "../gateway/testing/scriptedEngine.ts";
import { buildIndex } from "../models/corpusIndex.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import { PageCache } from "../models/shardPages.ts";
import { openDiskCorpus, openDiskFolder } from "./diskGround.ts";
import { groundModel } from "./grounding.ts";
import { Grounds, type GroundsOptions } from "./grounds.ts";
import { neuralWorld, recipes } from "./testing/neuralWorld.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "openledger-test-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const cache = new PageCache(4 * 1024 * 1024);
const words =
  "sluice canal dawn heron kettle copper salt flour vinegar clockmaker brass walnut lantern harbour tide quay".split(
    " ",
  );
const recordOf = (i: number) => {
  const text = Array.from({ length: 30 }, (_, k) => words[(i * 7 + k * (i + 3) + ((k * k) % 5)) % words.length]).join(
    " ",
  );
  return { id: toHex(sha256(utf8(`${i}`))), text: `Record ${i}: ${text}.` };
};
const records = Array.from({ length: 24 }, (_, i) => recordOf(i));

async function inodes(): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const entry of await readdir(root, { recursive: true }))
    if (entry.endsWith(".shard")) found.set(entry, (await stat(join(root, entry))).ino);
  return found;
}

test("answers are attributed on disk to the bit as they are in memory", async () => {
  const disk = unwrap(await openDiskCorpus(root, records, cache));
  const index = buildIndex(houseTokenizer(), records);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(23), fc.nat(80), fc.nat(120)), { maxLength: 4 }),
      fc.subarray([0, 5, 9]),
      (parts, context) => {
        const answer = parts.map(([i, from, length]) => records[i]!.text.slice(from, from + length)).join(" and ");
        const [here, there] = [
          attributeText(index, answer, { context }),
          attributeCorpus(disk.corpus, answer, { context }),
        ];
        expect(evidenceRoot(there.evidence, there.totalUnits)).toEqual(evidenceRoot(here.evidence, here.totalUnits));
      },
    ),
    { numRuns: 60 },
  );
  expect(unwrap(openDiskFolder(join(root, (await readdir(root))[0]!), cache)).id).toEqual(disk.id);
});

test("a version that grows links what was there and sorts what is new; both are served side by side", async () => {
  const first = unwrap(await openDiskCorpus(root, records.slice(0, 20), cache));
  const before = new Set((await inodes()).values());
  const second = unwrap(await openDiskCorpus(root, records, cache));
  const after = [...(await inodes()).values()];
  expect(after.filter((inode) => before.has(inode)).length).toBeGreaterThan(before.size);
  expect([first.records, second.records]).toEqual([20, 24]);
  expect(first.id).not.toEqual(second.id);
  for (const [n, { id }] of records.entries()) expect(toHex(second.corpus.recordId(n))).toBe(id);
  expect(attributeCorpus(first.corpus, records[3]!.text).explainedUnits).toBeGreaterThan(0);
});

test("other records in the middle are another index", async () => {
  await openDiskCorpus(root, records.slice(0, 20), cache);
  const shuffled = [records[1]!, records[0]!, ...records.slice(2)];
  const other = unwrap(await openDiskCorpus(root, shuffled, cache));
  for (const [n, { id }] of shuffled.entries()) expect(toHex(other.corpus.recordId(n))).toBe(id);
});

test("models of a large datanet stand on its index on disk, and are attributed as those of a small one", async () => {
  const world = await neuralWorld(root, new ScriptedEngine([]));
  const of = (options: GroundsOptions) => new Grounds(root, world.store, world.provenance, options).of([world.datanet]);
  const [small, large] = [unwrap(await of({})), unwrap(await of({ charactersInMemory: 10 }))];
  expect(["corpus" in small.index, "corpus" in large.index]).toEqual([false, true]);
  const input = { receipt: new Uint8Array(16), prompt: "?", answer: recipes[0]!.text, passages: [] };
  const [here, there] = [await groundModel(small).attribute(input), await groundModel(large).attribute(input)];
  expect(there).toEqual(here);
  expect(here.shares).toHaveLength(1);
});

test("the same again is opened and not made, and what is damaged is made again", async () => {
  const { id } = unwrap(await openDiskCorpus(root, records, cache));
  const before = await inodes();
  expect(unwrap(await openDiskCorpus(root, records, cache)).id).toEqual(id);
  expect(await inodes()).toEqual(before);
  for (const name of before.keys()) await truncate(join(root, name), 100);
  expect(unwrap(await openDiskCorpus(root, records, cache)).id).toEqual(id);
});
