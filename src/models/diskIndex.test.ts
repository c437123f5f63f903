import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { toHex, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { RefusalError, unwrap } from "../core/result.ts";
import { trainTokenizer } from "./bpeTrain.ts";
import { buildIndex, type IndexRecord, recordId, recordTokens } from "./corpusIndex.ts";
import { checkShard, openShard, saveShard } from "./diskIndexFile.ts";
import { DiskIndexFolder } from "./diskIndexFolderFile.ts";
import { PageCache } from "./shardPages.ts";
import { planMerge, type ShardSet } from "./shardSet.ts";

const tokenizer = trainTokenizer(["abab"]);
const root = mkdtempSync(join(tmpdir(), "openledger-disk-index-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const cache = new PageCache(16 * 4096);
let folders = 0;

const changes = fc.array(
  fc.oneof(
    fc.record({
      add: fc.array(fc.tuple(fc.nat(30), fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 12 })), {
        maxLength: 4,
      }),
    }),
    fc.record({ remove: fc.array(fc.nat(30), { maxLength: 6 }) }),
    fc.record({ reopen: fc.constant(true) }),
  ),
  { minLength: 1, maxLength: 14 },
);

test("after any additions, removals and restarts the folder holds what a fresh index of the living would, in order", () => {
  fc.assert(
    fc.property(changes, fc.constantFrom(8, 40, 1_000), (steps, shardTokensMax) => {
      const folder = join(root, `folder-${folders++}`);
      let index = unwrap(DiskIndexFolder.open(folder, tokenizer, { cache, shardTokensMax }));
      let living: IndexRecord[] = [];
      for (const step of steps) {
        if ("add" in step) {
          const records = step.add.map(([number, text]) => ({ id: idOf(number), text }));
          const fresh = records.filter(
            ({ id }, i) => !living.some((one) => one.id === id) && records.findIndex((one) => one.id === id) === i,
          );
          expect(unwrap(index.append(records))).toBe(fresh.length);
          expect(unwrap(index.append(records))).toBe(0);
          living = [...living, ...fresh];
        } else if ("remove" in step) {
          const gone = new Set(step.remove.map(idOf));
          const left = living.filter(({ id }) => !gone.has(id));
          expect(unwrap(index.remove([...gone]))).toBe(living.length - left.length);
          living = left;
        } else {
          const { id } = index.set;
          index.close();
          index = unwrap(DiskIndexFolder.open(folder, tokenizer, { cache, shardTokensMax }));
          expect(index.set.id).toEqual(id);
        }
      }
      expectSame(index.set, living);
      expect(readdirSync(folder).filter((name) => name.endsWith(".new"))).toEqual([]);
      index.close();
    }),
    { numRuns: 120 },
  );
});

test("growing by one record at a time keeps few shards and writes each token few times", () => {
  const sizes: { live: number; dead: number }[] = [];
  let written = 0;
  const added = 4_096;
  for (let i = 0; i < added; i++) {
    sizes.push({ live: 1, dead: 0 });
    for (let plan = planMerge(sizes, 1_000); plan !== undefined; plan = planMerge(sizes, 1_000)) {
      const live = sizes.slice(plan.from, plan.until).reduce((sum, size) => sum + size.live, 0);
      expect(live).toBeLessThanOrEqual(1_000);
      written += live;
      sizes.splice(plan.from, plan.until - plan.from, { live, dead: 0 });
    }
    expect(sizes.length).toBeLessThanOrEqual((2 * (i + 1)) / 1_000 + 12);
  }
  expect(sizes.reduce((sum, { live }) => sum + live, 0)).toBe(added);
  expect(written / added).toBeLessThanOrEqual(12);
});

test("a shard's id is that of the same index in memory, and a set's names its shards and its dead", () => {
  const folder = join(root, "ids");
  const index = unwrap(DiskIndexFolder.open(folder, tokenizer, { cache, shardTokensMax: 1_000 }));
  const empty = index.set.id;
  const records = [1, 2, 3, 4, 5, 6].map((number) => ({ id: idOf(number), text: "abc".repeat(number) }));
  unwrap(index.append(records));
  const whole = index.set.id;
  expect(index.set.shards.map(({ top }) => top.id)).toEqual([buildIndex(tokenizer, records).id]);
  unwrap(index.remove([idOf(1)]));
  const buried = index.set.id;
  expect(new Set([empty, whole, buried].map(toHex)).size).toBe(3);
  unwrap(index.append([records[0]!]));
  unwrap(index.remove([idOf(9)]));
  index.close();
});

test("a damaged top, list or tombstone is refused; a damaged rest never answers outside the text, and a check finds it", () => {
  const folder = join(root, "damaged");
  const records = [1, 2, 3, 4, 5, 6, 7].map((number) => ({ id: idOf(number), text: "abcab".repeat(number) }));
  const index = unwrap(DiskIndexFolder.open(folder, tokenizer, { cache, shardTokensMax: 1_000 }));
  unwrap(index.append(records));
  unwrap(index.remove([idOf(2)]));
  index.close();
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const whole = readFileSync(path);
    const step = name.endsWith(".shard") ? 211 : 1;
    for (let at = 0; at < whole.length; at += step) {
      flip(path, at, whole);
      const opened = DiskIndexFolder.open(folder, tokenizer, { cache, shardTokensMax: 1_000 });
      if (!opened.ok) expect(opened.error.code).toBe("data_folder_damaged");
      else {
        expect(name.endsWith(".shard"), `${name} byte ${at}`).toBe(true);
        askEverything(opened.value.set);
        opened.value.close();
        // The rest of the header's page and the ends of parts hold nothing.
        const checked = checkShard(path, tokenizer, cache);
        if (checked.ok) expect(whole[at]).toBe(0);
      }
      writeFileSync(path, whole);
    }
    truncateSync(path, whole.length - 1);
    expect(DiskIndexFolder.open(folder, tokenizer, { cache, shardTokensMax: 1_000 }).ok).toBe(false);
    writeFileSync(path, whole);
  }
  const shard = readdirSync(folder).find((name) => name.endsWith(".shard"))!;
  expect(checkShard(join(folder, shard), tokenizer, cache).ok).toBe(true);
  expect(openShard(join(folder, shard), trainTokenizer(["abc"]), cache).ok).toBe(false);
  expect(openShard(join(folder, "absent"), tokenizer, cache).ok).toBe(false);
  expect(saveShard(join(folder, "no", "where"), buildIndex(tokenizer, records)).ok).toBe(false);
});

function flip(path: string, at: number, whole: Uint8Array): void {
  const file = openSync(path, "r+");
  writeSync(file, Uint8Array.of(whole[at]! ^ (1 << (at % 8))), 0, 1, at);
  closeSync(file);
}

/** Any answer or a refusal, but an end. */
function askEverything(set: ShardSet): void {
  const query = Uint16Array.from(buildIndex(tokenizer, [{ id: idOf(0), text: "abcabcab" }]).tokens.subarray(0, 8));
  for (const shard of set.shards) {
    try {
      for (let from = 0; from < query.length; from++) {
        const match = shard.longestMatch(query, from, query.length - from);
        if (match.length === 0) continue;
        const { low, high } = shard.widen(query, from, match);
        shard.positions(low, high, 1_000);
      }
      for (let record = 0; record < shard.top.records; record++) shard.recordTokens(record);
    } catch (error) {
      expect(error).toBeInstanceOf(RefusalError);
    }
  }
}

/** Record by record, and every pattern of up to three letters with all its places. */
function expectSame(set: ShardSet, living: readonly IndexRecord[]): void {
  const fresh = buildIndex(tokenizer, living);
  const numbers = set.shards.flatMap((shard, i) =>
    Array.from({ length: shard.top.records }, (_, record) => record)
      .filter((record) => !shard.isDead(record))
      .map((record) => set.firstRecords[i]! + record),
  );
  expect(numbers.map((number) => toHex(set.recordId(number)))).toEqual(living.map(({ id }) => id));
  numbers.forEach((number, i) => {
    expect(set.recordTokens(number)).toEqual(recordTokens(fresh, i));
    expect(toHex(set.recordId(number))).toBe(toHex(recordId(fresh, i)));
    expect(set.recordAt(set.startOf(number))).toBe(number);
  });
  expect(set.liveRecords).toBe(living.length);
  expect(set.liveTokens).toBe(fresh.suffixes.length);
  expect([...set.tokenCounts()]).toEqual(
    tokenizer.bytes.map((_, token) => fresh.buckets[token + 1]! - fresh.buckets[token]!),
  );
}

function idOf(number: number): string {
  return toHex(sha256(utf8(`${number}`)));
}
