import { equalBytes } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { assert } from "../core/result.ts";
import { END_OF_RECORD, type Tokenizer } from "./bpe.ts";
import { bytesOf, type CorpusIndex, recordCount } from "./corpusIndex.ts";
import { gramPages, gramsOf } from "./shardGrams.ts";
import { commonPrefixes } from "./shardLcp.ts";
import { PAGE_BYTES } from "./shardPages.ts";
import { KEY_TOKENS, LEAF_SUFFIXES, PREFIX_MAX, type ShardTop, STARTS_PER_PAGE } from "./shardTop.ts";
import { suffixAt } from "./suffixes.ts";

/**
 * A shard on disk: ten and a half bytes a token, in pages of 4,096 bytes, little-endian since it is used as it lies there. Every part begins on a page.
 *
 *     header   0 magic "OLSHARD\0" · 8 u32 version · 12 u32 vocabulary · 16 u32 records · 20 u32 n · 24 u64 zero
 *              32 tokenizer hash · 64 index id · 96 sha256 of bytes 0–96, buckets, keys, start tops and grams
 *     buckets  u32 each, vocabulary + 1 · keys u16 each, 16 a leaf · start tops u32 each, the first start of each page of starts
 *     leaves   a page each: 512 positions (u32), 512 common prefixes with the suffix before (u16), 512 tokens that follow the prefix (u16)
 *     tokens   u16 each, n · starts u32 each, records + 1 · record ids, 32 bytes each
 *     grams    the filter of {@link gramsOf}, u32 each
 */
const SHARD_VERSION = 2;

/** The parts of a shard in pages, in the order in which they lie in the file. */
export interface ShardLayout {
  readonly vocabulary: number;
  readonly records: number;
  readonly tokens: number;
  readonly leaves: number;
  readonly startPages: number;
  /** The first page of each part. */
  readonly at: Readonly<
    Record<"buckets" | "keys" | "startTops" | "leaves" | "tokens" | "starts" | "ids" | "grams" | "end", number>
  >;
}

const HEADER_SIZE = 128;
const CHECKSUM_AT = 96;
const magic = Uint8Array.of(0x4f, 0x4c, 0x53, 0x48, 0x41, 0x52, 0x44, 0x00);

export function layOut(vocabulary: number, records: number, tokens: number): ShardLayout {
  const leaves = Math.ceil((tokens - records) / LEAF_SUFFIXES);
  const startPages = Math.ceil((records + 1) / STARTS_PER_PAGE);
  const buckets = 1;
  const keys = buckets + pagesOf(4 * (vocabulary + 1));
  const startTops = keys + pagesOf(2 * KEY_TOKENS * leaves);
  const firstLeaf = startTops + pagesOf(4 * startPages);
  const text = firstLeaf + leaves;
  const starts = text + pagesOf(2 * tokens);
  const ids = starts + startPages;
  const grams = ids + pagesOf(32 * records);
  const end = grams + gramPages(tokens);
  const at = { buckets, keys, startTops, leaves: firstLeaf, tokens: text, starts, ids, grams, end };
  return { vocabulary, records, tokens, leaves, startPages, at };
}

/** The bytes of a shard from its first to its last, in pieces that are valid until the next one is asked for. */
export function* encodeShard(index: CorpusIndex): Generator<Uint8Array, void, undefined> {
  assert(new Uint8Array(Uint16Array.of(1).buffer)[0] === 1, "a shard is written as it lies in a little-endian memory");
  const layout = layOut(index.tokenizer.bytes.length, recordCount(index), index.tokens.length);
  const keys = keysOf(index, layout.leaves);
  const startTops = Uint32Array.from({ length: layout.startPages }, (_, i) => index.starts[i * STARTS_PER_PAGE]!);
  const grams = gramsOf(index.tokens);
  const header = new Uint8Array(HEADER_SIZE);
  const view = new DataView(header.buffer);
  header.set(magic);
  view.setUint32(8, SHARD_VERSION, true);
  view.setUint32(12, layout.vocabulary, true);
  view.setUint32(16, layout.records, true);
  view.setUint32(20, layout.tokens, true);
  header.set(index.tokenizer.hash, 32);
  header.set(index.id, 64);
  header.set(topChecksum(header, { buckets: index.buckets, keys, startTops, grams }), CHECKSUM_AT);
  for (const part of [header, bytesOf(index.buckets), bytesOf(keys), bytesOf(startTops)]) yield* padded(part);
  yield* encodeLeaves(index, layout.leaves);
  for (const part of [bytesOf(index.tokens), bytesOf(index.starts), index.recordIds, bytesOf(grams)])
    yield* padded(part);
}

/** Why the first bytes of a file are no shard of this version made with this tokenizer; otherwise its layout and ids. */
export function readHeader(
  header: Uint8Array,
  tokenizer: Tokenizer,
): { readonly layout: ShardLayout; readonly id: Uint8Array } | string {
  if (header.length < HEADER_SIZE) return "it ends within its header";
  if (!equalBytes(header.subarray(0, 8), magic)) return "it is not a shard";
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const version = view.getUint32(8, true);
  if (version !== SHARD_VERSION) return `it has version ${version}, not ${SHARD_VERSION}`;
  const vocabulary = view.getUint32(12, true);
  if (vocabulary !== tokenizer.bytes.length || !equalBytes(header.subarray(32, 64), tokenizer.hash))
    return "it was made with another tokenizer";
  const [records, tokens] = [view.getUint32(16, true), view.getUint32(20, true)];
  if (tokens < records || tokens >= 2 ** 31) return "its counts contradict each other";
  const layout = layOut(vocabulary, records, tokens);
  return { layout, id: header.slice(64, 96) };
}

/** The top from its parts, or undefined where the checksum says that they are not what was written. */
export function assembleTop(
  header: Uint8Array,
  layout: ShardLayout,
  id: Uint8Array,
  parts: TopParts,
): ShardTop | undefined {
  const checksum = topChecksum(header, parts);
  if (!equalBytes(checksum, header.subarray(CHECKSUM_AT, CHECKSUM_AT + 32))) return undefined;
  if (parts.buckets.at(-1) !== layout.tokens - layout.records) return undefined;
  const { leaves, tokens, starts, ids } = layout.at;
  return { id, records: layout.records, tokens: layout.tokens, ...parts, pages: { leaves, tokens, starts, ids } };
}

type TopParts = Pick<ShardTop, "buckets" | "keys" | "startTops" | "grams">;

function topChecksum(header: Uint8Array, { buckets, keys, startTops, grams }: TopParts): Uint8Array {
  const parts = [buckets, keys, startTops, grams].map((part) => bytesOf(part));
  return sha256(header.subarray(0, CHECKSUM_AT), ...parts);
}

/** The first tokens of each leaf's first suffix, zeros from the end of its record on. */
function keysOf({ tokens, suffixes }: CorpusIndex, leaves: number): Uint16Array {
  const keys = new Uint16Array(leaves * KEY_TOKENS);
  for (let leaf = 0; leaf < leaves; leaf++) {
    const position = suffixAt(suffixes, leaf * LEAF_SUFFIXES);
    for (let i = 0; i < KEY_TOKENS && tokens[position + i] !== END_OF_RECORD; i++)
      keys[leaf * KEY_TOKENS + i] = tokens[position + i]!;
  }
  return keys;
}

const LEAVES_AT_ONCE = 256;

function* encodeLeaves(index: CorpusIndex, leaves: number): Generator<Uint8Array, void, undefined> {
  const { tokens, suffixes } = index;
  const prefixOf = commonPrefixes(tokens, suffixes);
  const buffer = new ArrayBuffer(LEAVES_AT_ONCE * PAGE_BYTES);
  const longs = new Uint32Array(buffer);
  const words = new Uint16Array(buffer);
  for (let first = 0; first < leaves; first += LEAVES_AT_ONCE) {
    const count = Math.min(LEAVES_AT_ONCE, leaves - first);
    longs.fill(0);
    for (let leaf = 0; leaf < count; leaf++) {
      const begin = (first + leaf) * LEAF_SUFFIXES;
      const end = Math.min(suffixes.length, begin + LEAF_SUFFIXES);
      const positions = (leaf * PAGE_BYTES) / 4;
      const prefixes = (leaf * PAGE_BYTES) / 2 + 2 * LEAF_SUFFIXES;
      for (let place = begin; place < end; place++) {
        const prefix = prefixOf(place);
        const position = suffixAt(suffixes, place);
        longs[positions + place - begin] = position;
        words[prefixes + place - begin] = Math.min(prefix, PREFIX_MAX);
        words[prefixes + LEAF_SUFFIXES + place - begin] = tokens[position + prefix]!;
      }
    }
    yield new Uint8Array(buffer, 0, count * PAGE_BYTES);
  }
}

function* padded(part: Uint8Array): Generator<Uint8Array, void, undefined> {
  yield part;
  const rest = part.length % PAGE_BYTES;
  if (rest > 0) yield new Uint8Array(PAGE_BYTES - rest);
}

function pagesOf(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES);
}
