import { closeSync, fstatSync, fsyncSync, openSync, readSync, renameSync, writeSync } from "node:fs";
import { assert, ok, type Refusal, RefusalError, type Result, refuse } from "../core/result.ts";
import type { Tokenizer } from "./bpe.ts";
import { type CorpusIndex, indexTokens } from "./corpusIndex.ts";
import { Shard } from "./shard.ts";
import { assembleTop, encodeShard, readHeader, type ShardLayout } from "./shardLayout.ts";
import { PAGE_BYTES, type PageCache } from "./shardPages.ts";
import { KEY_TOKENS, type ShardTop, type Tombstones } from "./shardTop.ts";

/** A shard whose file is open: its top is in memory, the rest is read when a look-up wants it. */
export interface OpenShard {
  readonly shard: Shard;
  close(): void;
}

/** Writes beside `path` and renames over it, so that a crash leaves the old file or the new one. Refuses `disk_full`. */
export function saveShard(path: string, index: CorpusIndex): Result<void> {
  const temporary = `${path}.new`;
  try {
    const file = openSync(temporary, "w");
    try {
      for (const piece of encodeShard(index)) {
        for (let at = 0; at < piece.length; )
          at += writeSync(file, piece, at, Math.min(piece.length - at, CHUNK_BYTES));
      }
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
    return ok(undefined);
  } catch (error) {
    return refuse("disk_full", `The shard cannot be written to ${path}: ${messageOf(error)}`, {
      hint: "Free space or check rights.",
    });
  }
}

/**
 * Opens a shard: reads its top (0.32 bytes a token), nothing else. Refuses `not_found`, and `data_folder_damaged` for anything but a file of
 * this version made with `tokenizer`, of the right size, whose top has its checksum. That the rest is what was written is for {@link checkShard}.
 */
export function openShard(
  path: string,
  tokenizer: Tokenizer,
  cache: PageCache,
  tombstones?: Tombstones,
): Result<OpenShard> {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch {
    return refuse("not_found", `There is no shard at ${path}.`, { hint: "Build the index first." });
  }
  const top = readTop(path, file, tokenizer);
  if (!top.ok) {
    closeSync(file);
    return top;
  }
  const number = cache.open((page, into, at) => readExactly(path, file, into.subarray(at, at + PAGE_BYTES), page));
  const close = (): void => {
    cache.close(number);
    closeSync(file);
  };
  return ok({ shard: new Shard(top.value, cache, number, tombstones), close });
}

/**
 * Whether every byte of a shard follows from its tokens, starts and record ids, by making it again: as slow as building it. Refuses what
 * {@link openShard} refuses, and `data_folder_damaged` at the first byte that differs.
 */
export function checkShard(path: string, tokenizer: Tokenizer, cache: PageCache): Result<void> {
  const opened = openShard(path, tokenizer, cache);
  if (!opened.ok) return opened;
  const { shard, close } = opened.value;
  let file: number | undefined;
  try {
    const ids = new Uint8Array(32 * shard.top.records);
    const records = Array.from({ length: shard.top.records }, (_, record) => {
      ids.set(shard.recordId(record), 32 * record);
      return shard.recordTokens(record);
    });
    if (records.some((tokens) => tokens.some((token) => token === 0 || token >= tokenizer.bytes.length)))
      return damaged(path, "it holds tokens that its tokenizer has not");
    file = openSync(path, "r");
    let at = 0;
    for (const piece of encodeShard(indexTokens(tokenizer, records, ids))) {
      const found = Buffer.alloc(piece.length);
      for (let read = 0; read < found.length; ) {
        const count = readSync(file, found, read, Math.min(found.length - read, CHUNK_BYTES), at + read);
        if (count === 0) return damaged(path, "it is too short");
        read += count;
      }
      if (!found.equals(piece)) return damaged(path, `it differs from what its text gives, after byte ${at}`);
      at += piece.length;
    }
    return ok(undefined);
  } catch (error) {
    if (error instanceof RefusalError) return { ok: false, error: error.refusal };
    throw error;
  } finally {
    if (file !== undefined) closeSync(file);
    close();
  }
}

const CHUNK_BYTES = 2 ** 28;

function readTop(path: string, file: number, tokenizer: Tokenizer): Result<ShardTop> {
  assert(new Uint8Array(Uint16Array.of(1).buffer)[0] === 1, "a shard is read in place on a little-endian machine");
  const size = fstatSync(file).size;
  if (size < PAGE_BYTES) return damaged(path, "it ends within its header");
  const header = new Uint8Array(PAGE_BYTES);
  try {
    readExactly(path, file, header, 0);
    const read = readHeader(header, tokenizer);
    if (typeof read === "string") return damaged(path, read);
    const { layout, id } = read;
    if (size !== layout.at.end * PAGE_BYTES)
      return damaged(path, `it has ${size} bytes, not ${layout.at.end * PAGE_BYTES}`);
    const top = assembleTop(header, layout, id, readParts(path, file, layout));
    return top === undefined ? damaged(path, "its checksum does not match") : ok(top);
  } catch (error) {
    if (error instanceof RefusalError) return { ok: false, error: error.refusal };
    throw error;
  }
}

function readParts(path: string, file: number, { at, vocabulary, leaves, startPages }: ShardLayout) {
  const buckets = new Uint32Array(vocabulary + 1);
  const keys = new Uint16Array(leaves * KEY_TOKENS);
  const startTops = new Uint32Array(startPages);
  const grams = new Uint32Array(((at.end - at.grams) * PAGE_BYTES) / 4);
  readExactly(path, file, new Uint8Array(buckets.buffer), at.buckets);
  readExactly(path, file, new Uint8Array(keys.buffer), at.keys);
  readExactly(path, file, new Uint8Array(startTops.buffer), at.startTops);
  readExactly(path, file, new Uint8Array(grams.buffer), at.grams);
  return { buckets, keys, startTops, grams };
}

/** Fills `into` from the beginning of a page; throws a refusal where the file ends or cannot be read. */
function readExactly(path: string, file: number, into: Uint8Array, page: number): void {
  try {
    for (let at = 0; at < into.length; ) {
      const read = readSync(file, into, at, Math.min(into.length - at, CHUNK_BYTES), page * PAGE_BYTES + at);
      if (read === 0) throw new RefusalError(damaged(path, "it became shorter while it was open").error);
      at += read;
    }
  } catch (error) {
    if (error instanceof RefusalError) throw error;
    throw new RefusalError(damaged(path, messageOf(error)).error);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function damaged(path: string, why: string): { readonly ok: false; readonly error: Refusal } {
  return refuse("data_folder_damaged", `The shard ${path} cannot be used: ${why}.`, {
    hint: "Delete it; it is built again from the datanet.",
  });
}
