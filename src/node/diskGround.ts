import { cp, link, mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { totalmem } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import type { Corpus } from "../attribution/corpus.ts";
import { shardCorpus } from "../attribution/spanShards.ts";
import { equalBytes, fromHex, toHex } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { writeAtomically } from "../host/files.ts";
import type { IndexRecord } from "../models/corpusIndex.ts";
import { DiskIndexFolder } from "../models/diskIndexFolderFile.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import type { PageCache } from "../models/shardPages.ts";
import { SHARD_TOKENS_MAX } from "../models/shardSet.ts";
import { parseJson } from "../protocol/parse.ts";
import { appendRecords } from "./indexing.ts";

/** A corpus that is searched on disk, and what receipts name it by: 32 bytes. */
export interface DiskCorpus {
  readonly id: Uint8Array;
  readonly corpus: Corpus;
  readonly records: number;
  close(): void;
}

const SUFFIX = ".shards";
const NOTE = "records.json";
const noteSchema = z.object({ records: z.number().int().min(1), hash: z.string() });

/**
 * An index of these records in a folder of its own below `root`, opened where it is there. Records that another folder indexes the first of are not indexed again: their
 * shards, whose files never change, are linked, and only what has been added since is sorted. So a version costs what is new in it, and versions that are served side by side each have
 * their own numbers. A crash leaves a folder that is made again.
 */
export async function openDiskCorpus(
  root: string,
  records: readonly IndexRecord[],
  cache: PageCache,
): Promise<Result<DiskCorpus>> {
  const hash = idsHash(records, records.length);
  const folder = join(root, `${hash.slice(2, 34)}${SUFFIX}`);
  const known = openIndex(folder, records, cache);
  if (known.ok) return known;
  const making = `${folder}.making`;
  const earlier = await longestBeginning(root, records, folder);
  const grown = earlier === undefined ? undefined : await makeIndex(making, records, earlier);
  // What is linked may be damaged: then all is sorted anew.
  const made = grown?.ok === true ? grown : await makeIndex(making, records);
  if (!made.ok) return made;
  await writeAtomically(join(making, NOTE), `${JSON.stringify({ records: records.length, hash })}\n`);
  await rm(folder, { recursive: true, force: true });
  await rename(making, folder);
  return openIndex(folder, records, cache);
}

async function makeIndex(making: string, records: readonly IndexRecord[], earlier?: string): Promise<Result<number>> {
  await rm(making, { recursive: true, force: true });
  await mkdir(making, { recursive: true });
  if (earlier !== undefined) await linkAll(earlier, making);
  return appendRecords(making, records, shardTokensMax());
}

/** Building a shard takes about 13 bytes of memory a token, so one takes a quarter of the machine's at most. */
function shardTokensMax(): number {
  return Math.min(SHARD_TOKENS_MAX, Math.max(SHARD_TOKENS_LEAST, Math.floor(totalmem() / (4 * 13))));
}

const SHARD_TOKENS_LEAST = 16_000_000;

/** The corpus in a folder, whatever its records are. */
export function openDiskFolder(folder: string, cache: PageCache): Result<DiskCorpus> {
  const opened = DiskIndexFolder.open(folder, houseTokenizer(), { cache, shardTokensMax: shardTokensMax() });
  if (!opened.ok) return opened;
  const { set } = opened.value;
  const close = (): void => opened.value.close();
  return ok({ id: set.id, corpus: shardCorpus(set), records: set.firstRecords.at(-1)!, close });
}

/** Refused unless it holds exactly these records, in this order. */
function openIndex(folder: string, records: readonly IndexRecord[], cache: PageCache): Result<DiskCorpus> {
  const opened = openDiskFolder(folder, cache);
  if (!opened.ok) return opened;
  const isWhole =
    opened.value.records === records.length &&
    records.every(({ id }, number) => equalBytes(opened.value.corpus.recordId(number), fromHex(id)));
  if (isWhole) return opened;
  opened.value.close();
  return refuse("data_folder_damaged", `${folder} does not hold the records that it is named after`);
}

/** The folder that indexes the most of the first of these records, and no others. */
async function longestBeginning(
  root: string,
  records: readonly IndexRecord[],
  but: string,
): Promise<string | undefined> {
  let best: { readonly name: string; readonly records: number } | undefined;
  for (const name of (await readdir(root)).filter((one) => one.endsWith(SUFFIX))) {
    if (join(root, name) === but) continue;
    const text = await readFile(join(root, name, NOTE), "utf8").catch(() => "");
    const note = noteSchema.safeParse(unwrapJson(text));
    if (!note.success || note.data.records > records.length || note.data.records <= (best?.records ?? 0)) continue;
    if (idsHash(records, note.data.records) === note.data.hash) best = { name, records: note.data.records };
  }
  return best === undefined ? undefined : join(root, best.name);
}

async function linkAll(from: string, to: string): Promise<void> {
  for (const name of await readdir(from)) {
    if (name === NOTE) continue;
    // The list is replaced and shards are not, so that a link does for these.
    if (name.endsWith(".shard"))
      await link(join(from, name), join(to, name)).catch(() => cp(join(from, name), join(to, name)));
    else await cp(join(from, name), join(to, name));
  }
}

function idsHash(records: readonly IndexRecord[], count: number): string {
  const ids = new Uint8Array(32 * count);
  for (let i = 0; i < count; i++) ids.set(fromHex(records[i]!.id), 32 * i);
  return toHex(sha256(ids));
}

function unwrapJson(text: string): unknown {
  const json = parseJson(text);
  return json.ok ? json.value : undefined;
}
