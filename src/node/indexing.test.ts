import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { toHex, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { unwrap } from "../core/result.ts";
import { recordTokens } from "../models/corpusIndex.ts";
import { PageCache } from "../models/shardPages.ts";
import { openDiskFolder } from "./diskGround.ts";
import { appendRecords, indexRecords } from "./indexing.ts";
import { indexInMemory } from "./indexTask.ts";

/** More than a slice of them. */
const records = Array.from({ length: 4_500 }, (_, i) => ({
  id: toHex(sha256(utf8(`${i}`))),
  text: `Record ${i} says ${(i * i) % 97} and no more.`,
}));

async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), "openledger-test-"));
  onTestFinished(() => rm(made, { recursive: true, force: true }));
  return made;
}

test("an index that is made on a thread of its own is the one that is made here, and others have their turn meanwhile", async () => {
  let turns = 0;
  const turn = setInterval(() => turns++, 0);
  onTestFinished(() => clearInterval(turn));
  const index = await indexRecords(records, 0);
  expect(turns).toBeGreaterThan(0);
  const { tokenizer, suffixes, ...rest } = indexInMemory(records);
  expect(index.tokenizer).toBe(tokenizer);
  expect(index).toMatchObject(rest);
  expect(Buffer.from(index.suffixes.view.buffer).equals(Buffer.from(suffixes.view.buffer))).toBe(true);
  expect(recordTokens(index, 4_499)).toEqual(recordTokens(indexInMemory(records.slice(-1)), 0));
});

test("so is one on disk; what it refuses comes back as a refusal", async () => {
  const [here, there] = [await folder(), await folder()];
  expect(unwrap(await appendRecords(here, records, 1_000_000))).toBe(4_500);
  expect(unwrap(await appendRecords(there, records, 1_000_000, 0))).toBe(4_500);
  expect(unwrap(await appendRecords(there, records, 1_000_000, 0))).toBe(0);
  const cache = new PageCache(1_000_000);
  expect(unwrap(openDiskFolder(there, cache)).id).toEqual(unwrap(openDiskFolder(here, cache)).id);
  await writeFile(join(there, "shards"), "no list");
  expect(await appendRecords(there, records, 1_000_000, 0)).toMatchObject({ error: { code: "data_folder_damaged" } });
});

test("a thread that breaks is an error, not a silence", async () => {
  const broken = [...records, { id: "0x00" as const, text: "an id of one byte" }];
  await expect(indexRecords(broken, 0)).rejects.toThrow("a record id has 32 bytes");
});
