import { compareBytes, concat, equalBytes, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { bytesOf } from "./corpusIndex.ts";
import type { Shard } from "./shard.ts";
import type { Tombstones } from "./shardTop.ts";

/** Which shards a folder's index has, in order: what changes when one is added, merged or buried in, and nothing else does. */
export interface ListedShard {
  /** The shard's index id, 32 bytes. */
  readonly id: Uint8Array;
  /** sha256 of its tombstones as {@link encodeTombstones} writes them; undefined where none of its records is dead. */
  readonly tombstones: Uint8Array | undefined;
}

const LIST_MAGIC = utf8("OLSHARDS");
const TOMBSTONE_MAGIC = utf8("OLGRAVES");
const NONE = new Uint8Array(32);
const ITEM_BYTES = 64;

/** magic ‖ tokenizer hash ‖ for each shard its id ‖ tombstones' hash or zeros ‖ sha256 of all before. */
export function encodeList(tokenizerHash: Uint8Array, shards: readonly ListedShard[]): Uint8Array {
  const items = shards.flatMap(({ id, tombstones }) => [id, tombstones ?? NONE]);
  const body = concat(LIST_MAGIC, tokenizerHash, ...items);
  return concat(body, sha256(body));
}

/** Reads {@link encodeList}; why it cannot be where it is something else. */
export function parseList(bytes: Uint8Array, tokenizerHash: Uint8Array): ListedShard[] | string {
  const body = bytes.subarray(0, Math.max(0, bytes.length - 32));
  if (!equalBytes(sha256(body), bytes.subarray(body.length))) return "its checksum does not match";
  if (!equalBytes(body.subarray(0, 8), LIST_MAGIC) || (body.length - 40) % ITEM_BYTES !== 0)
    return "it is no list of shards";
  if (!equalBytes(body.subarray(8, 40), tokenizerHash)) return "it was made with another tokenizer";
  const shards: ListedShard[] = [];
  for (let at = 40; at < body.length; at += ITEM_BYTES) {
    const hash = body.slice(at + 32, at + 64);
    shards.push({ id: body.slice(at, at + 32), tombstones: equalBytes(hash, NONE) ? undefined : hash });
  }
  return shards;
}

/** magic ‖ shard id ‖ u32 records, tokens, bytes of bits, vocabulary (little-endian) ‖ counts, u32 each ‖ bits. */
export function encodeTombstones(shard: Shard, tombstones: Tombstones): Uint8Array {
  const { bits, records, tokens, counts } = tombstones;
  const head = Uint32Array.of(records, tokens, bits.length, counts.length);
  return concat(TOMBSTONE_MAGIC, shard.top.id, bytesOf(head), bytesOf(counts), bits);
}

/** Reads {@link encodeTombstones} of this shard; undefined where they are another's or cut. */
export function parseTombstones(bytes: Uint8Array, shard: Shard): Tombstones | undefined {
  const { id, records, buckets } = shard.top;
  const [bitsLength, vocabulary] = [Math.ceil(records / 8), buckets.length - 1];
  const countsAt = 56;
  const bitsAt = countsAt + 4 * vocabulary;
  if (bytes.length !== bitsAt + bitsLength) return undefined;
  if (!equalBytes(bytes.subarray(0, 40), concat(TOMBSTONE_MAGIC, id))) return undefined;
  const head = new Uint32Array(bytes.slice(40, 56).buffer);
  if (head[2] !== bitsLength || head[3] !== vocabulary) return undefined;
  return {
    bits: bytes.slice(bitsAt),
    records: head[0]!,
    tokens: head[1]!,
    counts: new Uint32Array(bytes.slice(countsAt, bitsAt).buffer),
  };
}

/** 32-byte ids, to ask for each record of a shard without making one of it. */
export class IdSet {
  readonly #byPrefix = new Map<number, Uint8Array[]>();

  /** False where it is there already. */
  add(id: Uint8Array): boolean {
    const prefix = prefixOf(id);
    const same = this.#byPrefix.get(prefix);
    if (same === undefined) this.#byPrefix.set(prefix, [id]);
    else if (same.some((known) => compareBytes(known, id) === 0)) return false;
    else same.push(id);
    return true;
  }

  has(id: Uint8Array): boolean {
    return this.#byPrefix.get(prefixOf(id))?.some((known) => compareBytes(known, id) === 0) ?? false;
  }

  /** The numbers, within a shard, of living records whose ids are here. One pass over the shard's ids. */
  livingIn(shard: Shard): number[] {
    const found: number[] = [];
    for (let record = 0; record < shard.top.records; record++) {
      if (!this.#byPrefix.has(shard.idPrefix(record)) || shard.isDead(record)) continue;
      if (this.has(shard.recordId(record))) found.push(record);
    }
    return found;
  }
}

/** The first four bytes, as a little-endian memory reads them. */
function prefixOf(id: Uint8Array): number {
  return (id[0]! | (id[1]! << 8) | (id[2]! << 16) | (id[3]! << 24)) >>> 0;
}
