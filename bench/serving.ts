import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EngineRequest } from "../src/core/engine.ts";
import { unwrap } from "../src/core/result.ts";
import { writeLlamaFolder } from "../src/models/formats/huggingFaceFile.ts";
import { writeAdapterFolder } from "../src/models/formats/peftFile.ts";
import { houseTokenizer } from "../src/models/houseTokenizerFile.ts";
import { type LlamaShape, projections } from "../src/models/llama.ts";
import type { LoraShape } from "../src/models/lora.ts";
import { randomLlama, randomLora } from "../src/models/testing/randomLlama.ts";
import { LlamaEngine } from "../src/upstream/llama.ts";

/** The house model's shape; what weights say has no part in what they cost. */
const shape: LlamaShape = {
  ...{ vocabulary: 8_192, hidden: 192, intermediate: 512, layers: 4, heads: 6, keyValueHeads: 2, headSize: 32 },
  ...{ contextTokens: 256, ropeTheta: 10_000, normEpsilon: 1e-5, isTied: true },
};
const lora: LoraShape = { rank: 8, alpha: 16, dropout: 0, targets: projections };
const ADAPTERS = 300;
const ANSWER_TOKENS = 64;
const QUESTION = "How do I list what an archive holds, and how do I take one file out of it?";
/** `/proc` counts CPU time in hundredths of a second. */
const TICKS_PER_SECOND = 100;
const MEBIBYTE = 2 ** 20;

/**
 * Hundreds of adapters over one base on llama.cpp, in a child process: what each takes of memory, how long the first token takes when its context is there and
 * when it must be made, and what answering from 300 adapters in turn costs beside answering from one. CPU time is the child's own; wall time is of a machine that others may use.
 */
export async function run(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "openledger-serving-"));
  const open: LlamaEngine[] = [];
  const engineWith = (memoryBytesMax: number): LlamaEngine => {
    const find = (name: string) =>
      name === "base" ? { base: join(folder, "base") } : { base: join(folder, "base"), adapter: join(folder, name) };
    const engine = new LlamaEngine({ cacheFolder: join(folder, "cache"), find, memoryBytesMax, threads: 1 });
    open.push(engine);
    return engine;
  };
  try {
    await writeModels(folder);
    const all = await measureAll(engineWith(4 * 1_024 * MEBIBYTE));
    const swapping = await measureSwaps(engineWith(24 * MEBIBYTE));
    const figures = { adapters: ADAPTERS, ...all, ...swapping };
    console.table(figures);
    console.log(JSON.stringify(figures));
  } finally {
    await Promise.all(open.map((engine) => engine.close()));
    await rm(folder, { recursive: true, force: true });
  }
}

/** Every adapter keeps its context. */
async function measureAll(engine: LlamaEngine): Promise<Record<string, number>> {
  await answer(engine, "base");
  const baseBytes = residentBytes(engine);
  const first = await Promise.all(names(1).map((name) => answer(engine, name)));
  const oneBytes = residentBytes(engine);
  const firstUse: number[] = [];
  for (const name of names(ADAPTERS)) firstUse.push((await answer(engine, name, 1)).firstMs);
  const allBytes = residentBytes(engine);
  const hits: number[] = [];
  for (const name of names(ADAPTERS)) hits.push((await answer(engine, name, 1)).firstMs);
  const single: number[] = [];
  for (let i = 0; i < ADAPTERS; i++) single.push((await answer(engine, "adapter-0", 1)).firstMs);
  const decode = await timed(engine, ["adapter-0"], 20, 1);
  const oneBusy = await timed(engine, ["adapter-0"], ADAPTERS, 4);
  const manyBusy = await timed(engine, names(ADAPTERS), ADAPTERS, 4);
  return {
    baseMebibytes: round(baseBytes / MEBIBYTE),
    firstAdapterMebibytes: round((oneBytes - baseBytes) / MEBIBYTE),
    mebibytesPerAdapter: round((allBytes - oneBytes) / MEBIBYTE / (ADAPTERS - 1)),
    firstTokenMsFirstUse: round(median(firstUse)),
    firstTokenMsHit: round(median(hits)),
    firstTokenMsOneAdapter: round(median(single)),
    promptTokens: first[0]?.tokensIn ?? 0,
    decodeTokensPerSecond: Math.round(decode.tokensPerSecond),
    decodeTokensPerCpuSecond: Math.round(decode.tokensPerCpuSecond),
    tokensPerSecondOneAdapter4AtOnce: Math.round(oneBusy.tokensPerSecond),
    tokensPerSecond300Adapters4AtOnce: Math.round(manyBusy.tokensPerSecond),
    cpuRatio300To1: round(oneBusy.tokensPerCpuSecond / manyBusy.tokensPerCpuSecond),
  };
}

/** A few contexts for all: each answer swaps. */
async function measureSwaps(engine: LlamaEngine): Promise<Record<string, number>> {
  await answer(engine, "base");
  // Adapters are read on their first use; after that a swap is a context.
  for (const name of names(ADAPTERS)) await answer(engine, name, 1);
  const swaps: number[] = [];
  for (const name of names(ADAPTERS)) swaps.push((await answer(engine, name, 1)).firstMs);
  const busy = await timed(engine, names(ADAPTERS), ADAPTERS, 4);
  return {
    firstTokenMsSwap: round(median(swaps)),
    firstTokenMsSwapP95: round(quantile(swaps, 0.95)),
    tokensPerSecondSwapping4AtOnce: Math.round(busy.tokensPerSecond),
    swappingMebibytes: round(residentBytes(engine) / MEBIBYTE),
    restarts: engine.restarts,
  };
}

async function writeModels(folder: string): Promise<void> {
  const base = { shape, tensors: randomLlama(shape, 1), tokenizer: houseTokenizer() };
  unwrap(await writeLlamaFolder(join(folder, "base"), base));
  for (const [i, name] of names(ADAPTERS).entries()) {
    const adapter = { lora, tensors: randomLora(shape, lora, i) };
    unwrap(await writeAdapterFolder(join(folder, name), adapter, { shape, name: "base" }));
  }
}

interface Answer {
  readonly firstMs: number;
  readonly tokensIn: number;
  readonly tokensOut: number;
}

async function answer(engine: LlamaEngine, model: string, maxTokens = ANSWER_TOKENS): Promise<Answer> {
  const request: EngineRequest = {
    ...{ model, mode: "chat", passages: [], maxTokens, isStreamed: true, temperature: 1, seed: 1 },
    messages: [{ role: "user", content: QUESTION }],
  };
  const startedMs = performance.now();
  let firstMs = Number.NaN;
  let [tokensIn, tokensOut] = [0, 0];
  for await (const batch of engine.complete(request, new AbortController().signal)) {
    if (Number.isNaN(firstMs)) firstMs = performance.now() - startedMs;
    for (const event of batch) {
      if (event.type === "usage") ({ tokensIn, tokensOut } = event);
      if (event.type === "failed") throw new Error(event.refusal.message);
    }
  }
  return { firstMs, tokensIn, tokensOut };
}

/** Answers `count` requests over the models in turn, so many at once. */
async function timed(
  engine: LlamaEngine,
  models: readonly string[],
  count: number,
  atOnce: number,
): Promise<{ readonly tokensPerSecond: number; readonly tokensPerCpuSecond: number }> {
  const startedMs = performance.now();
  const startedCpu = cpuSeconds(engine);
  let next = 0;
  let tokens = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      const model = models[next++ % models.length] ?? "";
      tokens += (await answer(engine, model)).tokensOut;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  const seconds = (performance.now() - startedMs) / 1_000;
  return { tokensPerSecond: tokens / seconds, tokensPerCpuSecond: tokens / (cpuSeconds(engine) - startedCpu) };
}

function names(count: number): string[] {
  return Array.from({ length: count }, (_unused, i) => `adapter-${i}`);
}

function residentBytes({ pid }: LlamaEngine): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return 1_024 * Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? Number.NaN);
}

/** proc(5) stat, fields 14 and 15. */
function cpuSeconds({ pid }: LlamaEngine): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN;
}

function round(value: number): number {
  return Math.round(100 * value) / 100;
}
