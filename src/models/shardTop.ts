import { PAGE_BYTES } from "./shardPages.ts";

/** Suffixes in a leaf: a page of eight bytes each. */
export const LEAF_SUFFIXES = 512;
/** Tokens of each leaf's first suffix that the top holds. */
export const KEY_TOKENS = 16;
/** Starts of records in a page. */
export const STARTS_PER_PAGE = PAGE_BYTES / 4;
/** A longer common prefix is written as this; queries are shorter. */
export const PREFIX_MAX = 65_535;

/** What a shard keeps in memory, and where in its file the rest begins. */
export interface ShardTop {
  /** 32 bytes: what the index of the same records has in memory. */
  readonly id: Uint8Array;
  readonly records: number;
  /** Separators included. */
  readonly tokens: number;
  /** As in a corpus index. Shape [vocabulary + 1]. */
  readonly buckets: Uint32Array;
  /** The first tokens of each leaf, separators and zeros where its record ends. Shape [leaves · KEY_TOKENS]. */
  readonly keys: Uint16Array;
  /** The first start of each page of starts. */
  readonly startTops: Uint32Array;
  /** Which tokens may stand in a row; see `gramsOf`. */
  readonly grams: Uint32Array;
  /** The first page of each part. */
  readonly pages: { readonly leaves: number; readonly tokens: number; readonly starts: number; readonly ids: number };
}

/** Records that are no longer there, until the shard is written anew without them. */
export interface Tombstones {
  /** Bit r % 8 of byte ⌊r / 8⌋ is 1 where record r is dead. */
  readonly bits: Uint8Array;
  readonly records: number;
  /** Separators included. */
  readonly tokens: number;
  /** How often each token stands in dead records. Shape [vocabulary]. */
  readonly counts: Uint32Array;
}
