import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unwrap } from "../src/core/result.ts";
import { readLlamaFolder, writeLlamaFolder } from "../src/models/formats/huggingFaceFile.ts";
import { houseTokenizer } from "../src/models/houseTokenizerFile.ts";
import type { LlamaShape } from "../src/models/llama.ts";
import { loadRuntime } from "../src/models/onnx/runtime.ts";
import { houseChatTemplate } from "../src/models/training/chatTemplate.ts";
import { initialLlama } from "../src/models/training/initial.ts";
import type { TrainingEvent, TrainingOptions } from "../src/models/training/task.ts";
import { trainTask } from "../src/models/training/trainTaskFile.ts";
import { readHouseCorpus } from "./support/houseCorpus.ts";

/** 3.1 million weights, half of them the embedding. */
const shape: LlamaShape = {
  ...{ vocabulary: 8_192, hidden: 192, intermediate: 512, layers: 4, heads: 6, keyValueHeads: 2, headSize: 32 },
  ...{ contextTokens: 256, ropeTheta: 10_000, normEpsilon: 1e-5, isTied: true },
};
const SEED = 1;
const options: TrainingOptions = {
  ...{ epochs: 2, batchSize: 32, sequenceTokens: 256, learningRate: 2e-3, warmUp: 0.05, weightDecay: 0.1 },
  ...{ gradientNormMax: 1, seed: SEED, patience: 0, checkpointEvery: 100, fitsInfluence: false },
};

/**
 * Trains the house model from nothing, as the one in the package was: the same records, options, seed and build give the same weights. It takes about an hour on
 * one core and goes on from its checkpoint when it is started again. With OPENLEDGER_WRITE_HOUSE set to a folder, writes the model there in float16.
 */
export async function run(): Promise<void> {
  const corpus = readHouseCorpus();
  if (corpus === undefined) return;
  const folder = process.env["OPENLEDGER_HOUSE_WORK"] ?? join(tmpdir(), "openledger-house");
  const base = join(folder, "base");
  await mkdir(folder, { recursive: true });
  const whole = { shape, tokenizer: houseTokenizer(), chatTemplate: houseChatTemplate };
  if (!existsSync(join(base, "config.json")))
    unwrap(await writeLlamaFolder(base, { ...whole, tensors: initialLlama(shape, SEED) }));
  const startedMs = performance.now();
  const startedCpu = process.cpuUsage();
  const seen: { tokens: number; heldOutLoss: number; hash: string; steps: number } = {
    ...{ tokens: 0, heldOutLoss: Number.NaN, hash: "", steps: 0 },
  };
  const onEvent = (event: TrainingEvent): void => {
    if (event.type === "started") seen.tokens = event.tokens;
    if (event.type === "evaluated") seen.heldOutLoss = event.heldOutLoss;
    if (event.type === "finished") Object.assign(seen, { hash: event.hash, steps: event.steps });
    if (event.type !== "step" || event.step % 20 === 0) console.error(JSON.stringify(event));
  };
  const machine = { runtime: unwrap(await loadRuntime()), threads: 1 };
  const { examples, heldOut } = corpus;
  const ports = { nowMs: () => Date.now(), isCancelled: () => false, pause: () => Promise.resolve(), onEvent };
  unwrap(await trainTask(machine, { folder, base, examples, heldOut, options }, ports));
  const target = process.env["OPENLEDGER_WRITE_HOUSE"];
  if (target !== undefined) await publish(join(folder, "model"), target);
  const cpu = process.cpuUsage(startedCpu);
  const figures = {
    ...seen,
    weights: [...initialLlama(shape, SEED).values()].reduce((sum, { data }) => sum + data.length, 0),
    records: examples.length,
    heldOutRecords: heldOut.length,
    seconds: Math.round((performance.now() - startedMs) / 1_000),
    cpuSeconds: Math.round((cpu.user + cpu.system) / 1e6),
  };
  console.table(corpus.sources);
  console.table(figures);
  console.log(JSON.stringify(figures));
}

async function publish(model: string, target: string): Promise<void> {
  const trained = unwrap(await readLlamaFolder(model));
  unwrap(await writeLlamaFolder(target, trained, { type: "F16" }));
}
