import type { Result } from "../core/result.ts";
import { buildIndex, type CorpusIndex, type IndexRecord } from "../models/corpusIndex.ts";
import { DiskIndexFolder } from "../models/diskIndexFolderFile.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import { PageCache } from "../models/shardPages.ts";

/** An index to be made of records: in memory, or behind those of a folder on disk, in shards of at most so many tokens. */
export type IndexTask =
  | { readonly kind: "memory" }
  | { readonly kind: "disk"; readonly folder: string; readonly shardTokensMax: number };

/** What is read of earlier shards is read once. */
const CACHE_BYTES = 16 * 1024 * 1024;

export function indexInMemory(records: readonly IndexRecord[]): CorpusIndex {
  return buildIndex(houseTokenizer(), records);
}

/** How many records were added. */
export function indexOnDisk(
  { folder, shardTokensMax }: Extract<IndexTask, { kind: "disk" }>,
  records: readonly IndexRecord[],
): Result<number> {
  const cache = new PageCache(CACHE_BYTES);
  const opened = DiskIndexFolder.open(folder, houseTokenizer(), { cache, shardTokensMax });
  if (!opened.ok) return opened;
  const added = opened.value.append(records);
  opened.value.close();
  return added;
}
