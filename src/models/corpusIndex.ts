import { concat, fromHex, u64, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { assert } from "../core/result.ts";
import { END_OF_RECORD, encode, type Tokenizer } from "./bpe.ts";
import { buildSuffixArray } from "./suffixArray.ts";
import { packSuffixes, type Suffixes } from "./suffixes.ts";

/** What an index is built from: records in the order in which they were registered. */
export interface IndexRecord {
  /** 32 bytes of hex, with or without 0x. */
  readonly id: string;
  readonly text: string;
}

/**
 * A corpus as one sequence of tokens with a suffix array: every question about which texts occur where is a binary search.
 * Two bytes a token, and three to four for its suffix; a record takes 36 for its start and its id, less what the suffix of its separator would.
 * The memory is shared, so that workers use one copy.
 */
export interface CorpusIndex {
  readonly tokenizer: Tokenizer;
  /** 32 bytes over the tokenizer, the records' ids and bounds, and all tokens: attribution names the index that it was computed with. */
  readonly id: Uint8Array;
  /** All records, each followed by {@link END_OF_RECORD}. Shape [n]. */
  readonly tokens: Uint16Array;
  /** Positions of all suffixes that begin inside a record, in ascending order of their texts. Shape [n − records]. */
  readonly suffixes: Suffixes;
  /** Where record i begins; the last entry is n. Shape [records + 1]. */
  readonly starts: Uint32Array;
  /** 32 bytes a record, in order. */
  readonly recordIds: Uint8Array;
  /** Where in `suffixes` those begin whose first token is t; the last entry is their number. Shape [tokens of the vocabulary + 1]. */
  readonly buckets: Uint32Array;
}

/** Builds the index of `records`; record i of the result is `records[i]`. */
export function buildIndex(tokenizer: Tokenizer, records: readonly IndexRecord[]): CorpusIndex {
  const recordIds = sharedBytes(32 * records.length);
  const encoded = records.map((record, i) => {
    const id = fromHex(record.id);
    assert(id.length === 32, "a record id has 32 bytes");
    recordIds.set(id, 32 * i);
    return encode(tokenizer, record.text);
  });
  return indexTokens(tokenizer, encoded, recordIds);
}

/** Like {@link buildIndex}, for records that are tokens already; `recordIds` holds 32 bytes a record. */
export function indexTokens(tokenizer: Tokenizer, records: readonly Uint16Array[], recordIds: Uint8Array): CorpusIndex {
  assert(recordIds.length === 32 * records.length, "every record has an id");
  const n = records.reduce((sum, record) => sum + record.length + 1, 0);
  const tokens = new Uint16Array(new SharedArrayBuffer(2 * n));
  const starts = new Uint32Array(new SharedArrayBuffer(4 * (records.length + 1)));
  let at = 0;
  records.forEach((record, i) => {
    starts[i] = at;
    tokens.set(record, at);
    at += record.length;
    tokens[at++] = END_OF_RECORD;
  });
  starts[records.length] = n;
  // Separators are the smallest token, so their suffixes stand first.
  const sorted = buildSuffixArray(tokens, tokenizer.bytes.length).subarray(records.length);
  return {
    tokenizer,
    id: indexId(tokenizer, tokens, starts, recordIds),
    tokens,
    suffixes: packSuffixes(sorted, n),
    starts,
    recordIds,
    buckets: countBuckets(tokens, tokenizer.bytes.length),
  };
}

/** sha256(tag ‖ tokenizer hash ‖ u64 records ‖ u64 n ‖ record ids ‖ starts, u32 little-endian ‖ tokens, u16 little-endian). */
export function indexId(
  tokenizer: Tokenizer,
  tokens: Uint16Array,
  starts: Uint32Array,
  recordIds: Uint8Array,
): Uint8Array {
  const head = concat(utf8("openledger/index/1"), tokenizer.hash, u64(starts.length - 1), u64(tokens.length));
  return sha256(head, recordIds, bytesOf(starts), bytesOf(tokens));
}

/** Bucket bounds by first token, separators aside. */
export function countBuckets(tokens: Uint16Array, vocabulary: number): Uint32Array {
  const buckets = new Uint32Array(vocabulary + 1);
  for (let i = 0; i < tokens.length; i++) buckets[tokens[i]! + 1]!++;
  buckets[END_OF_RECORD + 1] = 0;
  for (let t = 0; t < vocabulary; t++) buckets[t + 1]! += buckets[t]!;
  return buckets;
}

export function recordCount(index: CorpusIndex): number {
  return index.starts.length - 1;
}

/** The number of the record in which a position lies. */
export function recordAt(index: CorpusIndex, position: number): number {
  const { starts } = index;
  let low = 0;
  let high = starts.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (starts[middle]! <= position) low = middle;
    else high = middle;
  }
  return low;
}

/** The tokens of a record, without its separator. */
export function recordTokens(index: CorpusIndex, record: number): Uint16Array {
  return index.tokens.subarray(index.starts[record]!, index.starts[record + 1]! - 1);
}

/** A copy of the record's 32-byte id. */
export function recordId(index: CorpusIndex, record: number): Uint8Array {
  return index.recordIds.slice(32 * record, 32 * record + 32);
}

export function bytesOf(array: Uint16Array | Uint32Array | Int32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

function sharedBytes(length: number): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(length));
}
