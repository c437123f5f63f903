import { closeSync, fstatSync, fsyncSync, openSync, readSync, renameSync, writeSync } from "node:fs";
import { equalBytes } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { assert, ok, type Refusal, type Result, refuse } from "../core/result.ts";
import { END_OF_RECORD, type Tokenizer } from "./bpe.ts";
import { bytesOf, type CorpusIndex, countBuckets, indexId, recordCount } from "./corpusIndex.ts";
import { packSuffixes, suffixAt, suffixBytes, viewSuffixes } from "./suffixes.ts";

/**
 * The index on disk, in the layout in which it is used: read in one piece, it is the index, without a copy or a parse.
 * Little-endian, unlike packed records, for that reason.
 *
 *     0 magic "OLINDEX\0" · 8 u32 version · 12 u32 vocabulary · 16 u32 records · 20 u32 n · 24 u64 zero
 *     32 tokenizer hash · 64 index id · 96 sha256 of bytes 0–96 and 128 to the end
 *     128 record ids (32 each) · starts (u32 each, records + 1) · suffixes as they are packed (n − records) · tokens (u16 each, n)
 *
 * Version 1 has four bytes a suffix (i32). It is still read: the index of an old receipt may exist as such a file only.
 */
const INDEX_VERSION = 2;

/** Writes beside `path` and renames over it, so that a crash leaves the old file or the new one. Refuses `disk_full`. */
export function saveIndex(path: string, index: CorpusIndex): Result<void> {
  const { view: packed } = index.suffixes;
  const suffixes = new Uint8Array(packed.buffer, packed.byteOffset, packed.byteLength);
  const body = [index.recordIds, bytesOf(index.starts), suffixes, bytesOf(index.tokens)];
  const header = new Uint8Array(HEADER_BYTES);
  const view = new DataView(header.buffer);
  header.set(magic);
  view.setUint32(8, INDEX_VERSION, true);
  view.setUint32(12, index.tokenizer.bytes.length, true);
  view.setUint32(16, recordCount(index), true);
  view.setUint32(20, index.tokens.length, true);
  header.set(index.tokenizer.hash, 32);
  header.set(index.id, 64);
  header.set(sha256(header.subarray(0, CHECKSUM_AT), ...body), CHECKSUM_AT);
  return writeAtomically(path, [header, ...body]);
}

/**
 * Reads an index into shared memory. Refuses `not_found`, and `data_folder_damaged` for anything but a whole file of a known version
 * made with `tokenizer`: size, checksum and index id must all agree.
 */
export function loadIndex(path: string, tokenizer: Tokenizer): Result<CorpusIndex> {
  assert(new Uint8Array(Uint16Array.of(1).buffer)[0] === 1, "an index is read in place on a little-endian machine");
  const file = readShared(path);
  if (!file.ok) return file;
  const bytes = file.value;
  if (bytes.length < HEADER_BYTES) return damaged(path, "it ends within its header");
  const header = bytes.slice(0, HEADER_BYTES);
  const view = new DataView(header.buffer);
  if (!equalBytes(header.subarray(0, 8), magic)) return damaged(path, "it is not an index");
  const version = view.getUint32(8, true);
  if (version !== 1 && version !== INDEX_VERSION)
    return damaged(path, `it has version ${version}, and this program reads 1 and ${INDEX_VERSION}`);
  const [vocabulary, records, n] = [view.getUint32(12, true), view.getUint32(16, true), view.getUint32(20, true)];
  if (vocabulary !== tokenizer.bytes.length || !equalBytes(header.subarray(32, 64), tokenizer.hash))
    return damaged(path, "it was made with another tokenizer");
  if (n < records) return damaged(path, "its counts contradict each other");
  const suffixSize = version === 1 ? 4 * (n - records) : suffixBytes(n - records, n);
  const length = HEADER_BYTES + 32 * records + 4 * (records + 1) + suffixSize + 2 * n;
  if (bytes.length !== length) return damaged(path, `it has ${bytes.length} bytes, not ${length}`);
  const checksum = sha256(header.subarray(0, CHECKSUM_AT), bytes.subarray(HEADER_BYTES));
  if (!equalBytes(checksum, header.subarray(CHECKSUM_AT))) return damaged(path, "its checksum does not match");
  const index = viewIndex(bytes, tokenizer, header.slice(64, 96), { version, records, n, suffixSize });
  if (!equalBytes(index.id, indexId(tokenizer, index.tokens, index.starts, index.recordIds)) || !isWellFormed(index))
    return damaged(path, "it contradicts itself");
  return ok(index);
}

const HEADER_BYTES = 128;
const CHECKSUM_AT = 96;
const magic = Uint8Array.of(0x4f, 0x4c, 0x49, 0x4e, 0x44, 0x45, 0x58, 0x00);

interface Extent {
  readonly version: number;
  readonly records: number;
  readonly n: number;
  readonly suffixSize: number;
}

function viewIndex(
  bytes: Uint8Array<SharedArrayBuffer>,
  tokenizer: Tokenizer,
  id: Uint8Array,
  { version, records, n, suffixSize }: Extent,
): CorpusIndex {
  const startsAt = HEADER_BYTES + 32 * records;
  const suffixesAt = startsAt + 4 * (records + 1);
  const tokensAt = suffixesAt + suffixSize;
  const parts = {
    tokens: new Uint16Array(bytes.buffer, tokensAt, n),
    starts: new Uint32Array(bytes.buffer, startsAt, records + 1),
    recordIds: bytes.subarray(HEADER_BYTES, startsAt),
  };
  const buckets = countBuckets(parts.tokens, tokenizer.bytes.length);
  if (version === INDEX_VERSION) {
    const packed = bytes.subarray(suffixesAt, tokensAt);
    return { tokenizer, id, buckets, ...parts, suffixes: viewSuffixes(packed, n - records, n) };
  }
  // The parts are copied, so that nothing holds on to the wide suffixes between them.
  const wide = new Int32Array(bytes.buffer, suffixesAt, n - records);
  const tokens = new Uint16Array(new SharedArrayBuffer(2 * n));
  const starts = new Uint32Array(new SharedArrayBuffer(4 * (records + 1)));
  const recordIds = new Uint8Array(new SharedArrayBuffer(32 * records));
  tokens.set(parts.tokens);
  starts.set(parts.starts);
  recordIds.set(parts.recordIds);
  return { tokenizer, id, buckets, tokens, starts, recordIds, suffixes: packSuffixes(wide, n) };
}

/** What a checksum cannot promise: that whoever wrote the file kept every value in bounds. */
function isWellFormed(index: CorpusIndex): boolean {
  const { tokens, suffixes, starts, tokenizer } = index;
  const records = recordCount(index);
  if (starts[0] !== 0 || starts[records] !== tokens.length) return false;
  let separators = 0;
  for (let i = 0; i < tokens.length; i++) {
    if (tokens[i]! >= tokenizer.bytes.length) return false;
    if (tokens[i] === END_OF_RECORD) separators++;
  }
  if (separators !== records) return false;
  for (let i = 0; i < records; i++)
    if (starts[i]! >= starts[i + 1]! || tokens[starts[i + 1]! - 1] !== END_OF_RECORD) return false;
  for (let place = 0; place < suffixes.length; place++) if (suffixAt(suffixes, place) >= tokens.length) return false;
  return true;
}

function writeAtomically(path: string, parts: readonly Uint8Array[]): Result<void> {
  const temporary = `${path}.new`;
  try {
    const file = openSync(temporary, "w");
    try {
      for (const part of parts) {
        for (let at = 0; at < part.length; ) at += writeSync(file, part, at, Math.min(part.length - at, CHUNK_BYTES));
      }
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
    return ok(undefined);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return refuse("disk_full", `The index cannot be written to ${path}: ${reason}`, {
      hint: "Free space or check rights.",
    });
  }
}

function readShared(path: string): Result<Uint8Array<SharedArrayBuffer>> {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch {
    return refuse("not_found", `There is no index at ${path}.`, { hint: "Build the model first." });
  }
  try {
    const bytes = new Uint8Array(new SharedArrayBuffer(fstatSync(file).size));
    for (let at = 0; at < bytes.length; ) {
      const read = readSync(file, bytes, at, Math.min(bytes.length - at, CHUNK_BYTES), at);
      if (read === 0) return damaged(path, "it became shorter while it was read");
      at += read;
    }
    return ok(bytes);
  } catch (error) {
    return damaged(path, error instanceof Error ? error.message : String(error));
  } finally {
    closeSync(file);
  }
}

const CHUNK_BYTES = 2 ** 28;

function damaged(path: string, why: string): { readonly ok: false; readonly error: Refusal } {
  return refuse("data_folder_damaged", `The index ${path} cannot be used: ${why}.`, {
    hint: "Delete it; it is built again from the datanet.",
  });
}
