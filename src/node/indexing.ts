import type { Worker } from "node:worker_threads";
import type { Result } from "../core/result.ts";
import { nextTurn } from "../host/turn.ts";
import type { CorpusIndex, IndexRecord } from "../models/corpusIndex.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import type { SharedIndex } from "../upstream/infinigramHost.ts";
import { startWorker } from "../upstream/workerThread.ts";
import { type IndexTask, indexInMemory, indexOnDisk } from "./indexTask.ts";

/** Fewer characters are sorted before a thread would have started. */
const CHARACTERS_HERE = 200_000;
/** Records that are handed over at once; between two slices others have their turn. */
const SLICE_RECORDS = 2_000;

/**
 * The index of these records in memory. Sorting takes a second for some four million tokens, in which nobody would be answered: so it is done on a thread of
 * its own, except where there is little to sort.
 */
export async function indexRecords(
  records: readonly IndexRecord[],
  charactersHere = CHARACTERS_HERE,
): Promise<CorpusIndex> {
  if (isLittle(records, charactersHere)) return indexInMemory(records);
  const index = await aside<SharedIndex>({ kind: "memory" }, records);
  return { ...index, tokenizer: houseTokenizer() };
}

/** Adds records to the index in a folder, likewise. Returns how many were added; refuses as `DiskIndexFolder.append` does. */
export async function appendRecords(
  folder: string,
  records: readonly IndexRecord[],
  shardTokensMax: number,
  charactersHere = CHARACTERS_HERE,
): Promise<Result<number>> {
  const task = { kind: "disk", folder, shardTokensMax } as const;
  return isLittle(records, charactersHere) ? indexOnDisk(task, records) : aside<Result<number>>(task, records);
}

function isLittle(records: readonly IndexRecord[], charactersHere: number): boolean {
  let characters = 0;
  for (const { text } of records) {
    characters += text.length;
    if (characters > charactersHere) return false;
  }
  return true;
}

/** Throws what the thread broke of: it refuses nothing by that. */
async function aside<Reply>(task: IndexTask, records: readonly IndexRecord[]): Promise<Reply> {
  const module = import.meta.url.endsWith(".ts") ? "./indexWorker.ts" : "./indexWorker.js";
  const worker = startWorker(new URL(module, import.meta.url), task);
  const reply = replyOf<Reply>(worker);
  // Awaited below; until then a thread that breaks must not count as unheard.
  reply.catch(() => undefined);
  for (let at = 0; at < records.length; at += SLICE_RECORDS) {
    worker.postMessage(records.slice(at, at + SLICE_RECORDS).map(({ id, text }) => ({ id, text })));
    await nextTurn();
  }
  worker.postMessage(undefined);
  return reply;
}

function replyOf<Reply>(worker: Worker): Promise<Reply> {
  return new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
    worker.once("exit", (code) => reject(new Error(`the thread of an index ended with ${code}`)));
  });
}
