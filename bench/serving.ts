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

/** Contexts may take so much: a few of them, not hundreds. */
const MEMORY_BYTES_MAX = 128 * MEBIBYTE;
/** All of these have a context at once. */
const OPEN = 4;
const TIMED_ANSWERS = 120;

/**
 * Hundreds of adapters over one base on llama.cpp, in a child process with memory for a few contexts: how long the first token takes when an adapter's context is
 * there, when it must be made and when the adapter is seen for the first time, what memory it takes, and what answering from 300 adapters in turn costs
 * beside answering from one. CPU time is the child's own; wall time is of a machine that others may use.
 */
export async function run(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "openledger-serving-"));
  const engine = new LlamaEngine({
    ...{ cacheFolder: join(folder, "cache"), memoryBytesMax: MEMORY_BYTES_MAX, threads: 1 },
    find: (name) => ({ base: join(folder, "base"), ...(name === "base" ? {} : { adapter: join(folder, name) }) }),
  });
  try {
    await writeModels(folder);
    const figures = { adapters: ADAPTERS, ...(await measureFirstTokens(engine)), ...(await measureAnswers(engine)) };
    console.table(figures);
    console.log(JSON.stringify(figures));
  } finally {
    await engine.close();
    await rm(folder, { recursive: true, force: true });
  }
}

async function measureFirstTokens(engine: LlamaEngine): Promise<Record<string, number>> {
  const { tokensIn } = await answer(engine, "base");
  const baseBytes = residentBytes(engine);
  const round300 = async (): Promise<number[]> => {
    const times: number[] = [];
    for (const name of names(ADAPTERS)) times.push((await answer(engine, name, 1)).firstMs);
    return times;
  };
  const [firstUse, swap] = [await round300(), await round300()];
  const allBytes = residentBytes(engine);
  const [one, hit] = [await repeated(engine, 1), await repeated(engine, OPEN)];
  return {
    promptTokens: tokensIn,
    baseMebibytes: round(baseBytes / MEBIBYTE),
    mebibytesFor300: round((allBytes - baseBytes) / MEBIBYTE),
    mebibytesPerAdapter: round((allBytes - baseBytes) / MEBIBYTE / ADAPTERS),
    firstTokenMsOnlyAdapter: round(median(one)),
    firstTokenMsHit: round(median(hit)),
    firstTokenMsSwap: round(median(swap)),
    firstTokenMsSwapP95: round(quantile(swap, 0.95)),
    firstTokenMsFirstUse: round(median(firstUse)),
  };
}

async function measureAnswers(engine: LlamaEngine): Promise<Record<string, number>> {
  await repeated(engine, OPEN);
  const decode = await timed(engine, names(1), TIMED_ANSWERS / 4, 1);
  const one = await timed(engine, names(1), TIMED_ANSWERS, 4);
  const open = await timed(engine, names(OPEN), TIMED_ANSWERS, 4);
  const all = await timed(engine, names(ADAPTERS), TIMED_ANSWERS, 4);
  return {
    decodeTokensPerSecond: Math.round(decode.tokensPerSecond),
    decodeTokensPerCpuSecond: Math.round(decode.tokensPerCpuSecond),
    oneAdapterTokensPerCpuSecond: Math.round(one.tokensPerCpuSecond),
    openAdaptersTokensPerCpuSecond: Math.round(open.tokensPerCpuSecond),
    allAdaptersTokensPerCpuSecond: Math.round(all.tokensPerCpuSecond),
    cpuRatioOpenToOne: round(one.tokensPerCpuSecond / open.tokensPerCpuSecond),
    cpuRatioAllToOne: round(one.tokensPerCpuSecond / all.tokensPerCpuSecond),
    restarts: engine.restarts,
  };
}

/** First tokens of so many adapters in turn, all of which have a context. */
async function repeated(engine: LlamaEngine, adapters: number): Promise<number[]> {
  for (const name of names(adapters)) await answer(engine, name, 1);
  const times: number[] = [];
  for (let i = 0; i < ADAPTERS; i++) times.push((await answer(engine, `adapter-${i % adapters}`, 1)).firstMs);
  return times;
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
    ...{ model, mode: "chat", passages: [], maxTokens, isStreamed: true },
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
      const { tokensOut } = await answer(engine, model);
      tokens += tokensOut;
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
