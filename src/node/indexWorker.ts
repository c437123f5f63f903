import { parentPort, workerData } from "node:worker_threads";
import { assert } from "../core/result.ts";
import type { IndexRecord } from "../models/corpusIndex.ts";
import { type IndexTask, indexInMemory, indexOnDisk } from "./indexTask.ts";

/** The thread of one index: its task is there from the start, records come in slices, and `undefined` ends them. */
assert(parentPort !== null, "this module runs in a worker thread");
const port = parentPort;
const task: IndexTask = workerData;
const records: IndexRecord[] = [];

port.on("message", (slice: readonly IndexRecord[] | undefined) => {
  if (slice !== undefined) {
    records.push(...slice);
    return;
  }
  port.postMessage(made());
  port.close();
});

/** An index travels without its tokenizer, which is full of strings and on the other side already; the rest is shared memory. */
function made() {
  if (task.kind === "disk") return indexOnDisk(task, records);
  const { tokenizer: _, ...index } = indexInMemory(records);
  return index;
}
