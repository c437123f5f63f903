import { assert } from "../../core/result.ts";
import type { CorpusIndex } from "../corpusIndex.ts";
import { Shard } from "../shard.ts";
import { assembleTop, encodeShard, readHeader } from "../shardLayout.ts";
import { PAGE_BYTES, type PageCache } from "../shardPages.ts";
import { KEY_TOKENS } from "../shardTop.ts";

/** A shard whose file is in memory: the same bytes, without a disk, for properties that make thousands. */
export function memoryShard(index: CorpusIndex, cache: PageCache): Shard {
  const file = Buffer.concat([...encodeShard(index)].map((piece) => Buffer.from(piece)));
  const read = readHeader(file.subarray(0, PAGE_BYTES), index.tokenizer);
  assert(typeof read !== "string", "what was encoded is read");
  const { layout, id } = read;
  assert(file.length === layout.at.end * PAGE_BYTES, "a shard has the pages that its layout says");
  const part = (page: number, bytes: number): ArrayBuffer =>
    Uint8Array.from(file.subarray(page * PAGE_BYTES, page * PAGE_BYTES + bytes)).buffer;
  const top = assembleTop(file.subarray(0, PAGE_BYTES), layout, id, {
    buckets: new Uint32Array(part(layout.at.buckets, 4 * (layout.vocabulary + 1))),
    keys: new Uint16Array(part(layout.at.keys, 2 * KEY_TOKENS * layout.leaves)),
    startTops: new Uint32Array(part(layout.at.startTops, 4 * layout.startPages)),
    grams: new Uint32Array(part(layout.at.grams, (layout.at.end - layout.at.grams) * PAGE_BYTES)),
  });
  assert(top !== undefined, "what was encoded has its checksum");
  const number = cache.open((page, into, at) => {
    into.set(file.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES), at);
  });
  return new Shard(top, cache, number);
}
