import { concat, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { leafHash, rootOf } from "../core/merkle.ts";
import { assert } from "../core/result.ts";
import type { Tokenizer } from "./bpe.ts";
import type { Shard } from "./shard.ts";
import type { Tombstones } from "./shardTop.ts";

/**
 * A corpus in shards, in the order in which records were registered. Records and positions are numbered through all shards, dead records
 * included, as if the shards were one index; what is found is what one index of the living records would find.
 */
export class ShardSet {
  readonly tokenizer: Tokenizer;
  readonly shards: readonly Shard[];
  /** The number of the first record and the first position of each shard, and of what would come next. Shape [shards + 1]. */
  readonly firstRecords: readonly number[];
  readonly firstPositions: readonly number[];

  constructor(tokenizer: Tokenizer, shards: readonly Shard[]) {
    this.tokenizer = tokenizer;
    this.shards = shards;
    this.firstRecords = runningSums(shards.map(({ top }) => top.records));
    this.firstPositions = runningSums(shards.map(({ top }) => top.tokens));
  }

  /**
   * 32 bytes: sha256(tag ‖ tokenizer hash ‖ RFC 6962 root over the shards), a shard's entry being its index id ‖ sha256 of its tombstones' bits, or
   * zeros where it has none. Whoever holds the same shards computes the same id, one shard at a time.
   */
  get id(): Uint8Array {
    const entries = this.shards.map(({ top, tombstones }) =>
      leafHash(concat(top.id, tombstones === undefined ? new Uint8Array(32) : sha256(tombstones.bits))),
    );
    return sha256(utf8("openledger/shards/1"), this.tokenizer.hash, rootOf(entries));
  }

  /** Living tokens, separators aside. */
  get liveTokens(): number {
    return this.shards.reduce((sum, shard) => sum + liveTokensOf(shard) - liveRecordsOf(shard), 0);
  }

  get liveRecords(): number {
    return this.shards.reduce((sum, shard) => sum + liveRecordsOf(shard), 0);
  }

  /** How often each token stands in living records. Shape [vocabulary]. */
  tokenCounts(): Float64Array {
    const counts = new Float64Array(this.tokenizer.bytes.length);
    for (const { top, tombstones } of this.shards) {
      for (let token = 0; token < counts.length; token++) {
        const dead = tombstones === undefined ? 0 : tombstones.counts[token]!;
        counts[token]! += top.buckets[token + 1]! - top.buckets[token]! - dead;
      }
    }
    return counts;
  }

  /** The number of the record in which a position lies. */
  recordAt(position: number): number {
    const i = placeIn(this.firstPositions, position);
    return this.firstRecords[i]! + this.shards[i]!.recordAt(position - this.firstPositions[i]!);
  }

  /** The position at which a record begins. */
  startOf(record: number): number {
    const i = placeIn(this.firstRecords, record);
    return this.firstPositions[i]! + this.shards[i]!.startOf(record - this.firstRecords[i]!);
  }

  recordTokens(record: number): Uint16Array {
    const i = placeIn(this.firstRecords, record);
    return this.shards[i]!.recordTokens(record - this.firstRecords[i]!);
  }

  /** A copy of the record's 32-byte id. */
  recordId(record: number): Uint8Array {
    const i = placeIn(this.firstRecords, record);
    return this.shards[i]!.recordId(record - this.firstRecords[i]!);
  }
}

/** As large as a shard is made where there is memory to build it, 13 bytes a token: each is asked for every output, so a corpus should not have many. */
export const SHARD_TOKENS_MAX = 125_000_000;

/** What the merge policy looks at, in tokens with separators. */
export interface ShardSize {
  readonly live: number;
  readonly dead: number;
}

/** A shard with more dead than one token in so many is written anew. */
const DEAD_SHARE = 4;

/**
 * Which neighbours become one shard next: [from, until), or undefined where all is well. As in a log-structured merge tree (O'Neil et al.
 * 1996): the newest shards are merged as long as an older one is less than twice as large, so that a token is rewritten O(log n) times and there are O(log n)
 * shards besides the full ones; none grows beyond `tokensMax`. A shard with too many dead is rewritten alone, or left out where nobody lives.
 */
export function planMerge(sizes: readonly ShardSize[], tokensMax: number): { from: number; until: number } | undefined {
  let from = sizes.length - 1;
  let sum = sizes[from]?.live ?? 0;
  for (; from > 0; from--) {
    const { live } = sizes[from - 1]!;
    if (live >= 2 * sum || live + sum > tokensMax) break;
    sum += live;
  }
  if (sizes.length - from > 1) return { from, until: sizes.length };
  const decayed = sizes.findIndex(({ live, dead }) => dead * DEAD_SHARE > live + dead);
  return decayed < 0 ? undefined : { from: decayed, until: decayed + 1 };
}

export function sizeOf(shard: Shard): ShardSize {
  const live = liveTokensOf(shard);
  return { live, dead: shard.top.tokens - live };
}

/** The shard's tombstones with those of `records` (numbers within the shard) added; undefined where none of them was alive. */
export function buried(shard: Shard, records: Iterable<number>): Tombstones | undefined {
  const { top, tombstones } = shard;
  const bits = tombstones?.bits.slice() ?? new Uint8Array(Math.ceil(top.records / 8));
  const counts = tombstones?.counts.slice() ?? new Uint32Array(top.buckets.length - 1);
  let [deadRecords, deadTokens] = [tombstones?.records ?? 0, tombstones?.tokens ?? 0];
  const before = deadRecords;
  for (const record of records) {
    assert(record >= 0 && record < top.records, "a record of this shard");
    const bit = 1 << (record & 7);
    if ((bits[record >> 3]! & bit) !== 0) continue;
    bits[record >> 3]! |= bit;
    const tokens = shard.recordTokens(record);
    for (const token of tokens) counts[token]!++;
    deadRecords++;
    deadTokens += tokens.length + 1;
  }
  return deadRecords === before ? undefined : { bits, records: deadRecords, tokens: deadTokens, counts };
}

function liveTokensOf({ top, tombstones }: Shard): number {
  return top.tokens - (tombstones?.tokens ?? 0);
}

function liveRecordsOf({ top, tombstones }: Shard): number {
  return top.records - (tombstones?.records ?? 0);
}

function runningSums(values: readonly number[]): number[] {
  const sums = [0];
  for (const value of values) sums.push(sums.at(-1)! + value);
  return sums;
}

/** The last i with firsts[i] ≤ value, of those that hold anything. */
function placeIn(firsts: readonly number[], value: number): number {
  let [low, high] = [0, firsts.length - 1];
  assert(value >= 0 && value < firsts[high]!, "a number below the total");
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (firsts[middle]! <= value) low = middle;
    else high = middle;
  }
  return low;
}
