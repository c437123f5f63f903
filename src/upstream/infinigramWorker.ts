import { parentPort, workerData } from "node:worker_threads";
import { assert } from "../core/result.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import { InfinigramEngine } from "./infinigram.ts";
import type { SharedIndex } from "./infinigramHost.ts";
import { serveEngine } from "./workerProtocol.ts";

/** The worker thread of the embedded ∞-gram engine. The indexes' memory is shared with the main thread, not copied. */
assert(parentPort !== null, "this module runs in a worker thread");
const shared: readonly (readonly [name: string, index: SharedIndex])[] = workerData;
const tokenizer = houseTokenizer();
serveEngine(parentPort, new InfinigramEngine(new Map(shared.map(([name, index]) => [name, { ...index, tokenizer }]))));
