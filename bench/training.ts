import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unwrap } from "../src/core/result.ts";
import { llamaTensorShapes } from "../src/models/formats/huggingFace.ts";
import { loraTensorShapes } from "../src/models/formats/peft.ts";
import { type LlamaShape, projections } from "../src/models/llama.ts";
import type { LoraShape } from "../src/models/lora.ts";
import type { LlamaOutputs } from "../src/models/onnx/llamaGraph.ts";
import { loadRuntime } from "../src/models/onnx/runtime.ts";
import type { Tensor, Tensors } from "../src/models/tensor.ts";
import { batchOf } from "../src/models/training/batch.ts";
import type { EncodedExample } from "../src/models/training/chatTemplate.ts";
import { Computation, type NeuralModel } from "../src/models/training/neuralModel.ts";
import { type Random, randomOf } from "../src/models/training/random.ts";
import { PEER_BATCH, tinyShape } from "./support/tinyLlama.ts";

/**
 * Tokens a second of loss and gradients: a tiny Llama in full, beside jax-js on the same sizes, the size of the house model in full, and the shape of a
 * 135M Llama with a rank-8 adapter, with gradients of each example apart too. Random weights. With `--peers`, jax-js is installed into a
 * temporary folder; without, it is left out. CPU seconds stand beside wall time, for a busy machine slows the clock only.
 */
export async function run(): Promise<void> {
  const houseShape = { ...tinyShape, vocabulary: 8_192, hidden: 192, intermediate: 512, layers: 4 };
  const house: LlamaShape = { ...houseShape, heads: 6, keyValueHeads: 2, contextTokens: 256 };
  const large: LlamaShape = {
    ...{ vocabulary: 49_152, hidden: 576, intermediate: 1_536, layers: 30, heads: 9, keyValueHeads: 3, headSize: 64 },
    ...{ contextTokens: 2_048, ropeTheta: 10_000, normEpsilon: 1e-5, isTied: true },
  };
  const lora: LoraShape = { rank: 8, alpha: 16, dropout: 0, targets: projections };
  const full: LlamaOutputs = { losses: true, gradients: "weights" };
  const adapter: LlamaOutputs = { losses: true, gradients: "adapter" };
  const rows: Row[] = [];
  for (const threads of [1, 2]) {
    rows.push(await measure("tiny, full", tinyShape, undefined, full, { ...PEER_BATCH, threads, runs: 8 }));
    rows.push(await measure("house, full", house, undefined, full, { batch: 4, length: 256, threads, runs: 8 }));
    const size = { batch: 2, length: 256, threads, runs: 3 };
    rows.push(await measure("135M, adapter", large, lora, adapter, size));
    if (threads === 1)
      rows.push(await measure("135M, each example", large, lora, { losses: true, perExample: "AB" }, size));
  }
  const peer = jaxJs();
  if (peer !== undefined) rows.push(peer);
  console.table(rows);
  const of = (what: string): number => rows.find((row) => row.what === what && row.threads === 1)?.perCpuSecond ?? 0;
  const ratio = peer === undefined ? undefined : round(of("tiny, full") / of(peer.what));
  console.log(JSON.stringify({ rows, ...(ratio === undefined ? {} : { timesJaxJsPerCpuSecond: ratio }) }));
}

interface Row {
  readonly what: string;
  readonly threads: number;
  /** Tokens a second of wall time, and of CPU time over all threads. */
  readonly perSecond: number;
  readonly perCpuSecond: number;
  readonly residentMb: number;
}

interface Size {
  readonly batch: number;
  readonly length: number;
  readonly threads: number;
  readonly runs: number;
}

async function measure(
  what: string,
  shape: LlamaShape,
  lora: LoraShape | undefined,
  outputs: LlamaOutputs,
  { batch, length, threads, runs }: Size,
): Promise<Row> {
  const random = randomOf(1);
  const weights = fill(llamaTensorShapes(shape), random);
  const adapter = lora === undefined ? {} : { adapter: { lora, tensors: fill(loraTensorShapes(shape, lora), random) } };
  const model: NeuralModel = { shape, weights, ...adapter };
  const computation = await Computation.open({ runtime: unwrap(await loadRuntime()), threads }, model, outputs);
  const { feeds } = batchOf(
    Array.from({ length: batch }, () => [randomExample(shape, length, random)]),
    1 / (batch * (length - 1)),
  );
  // The first runs fill the allocator.
  for (let i = 0; i < 2; i++) await computation.run(feeds);
  const [cpu, startedAt] = [process.cpuUsage(), performance.now()];
  for (let i = 0; i < runs; i++) await computation.run(feeds);
  const seconds = (performance.now() - startedAt) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  const residentMb = Math.round(process.memoryUsage.rss() / 1e6);
  await computation.close();
  const tokens = runs * batch * length;
  return {
    ...{ what, threads, residentMb },
    ...{ perSecond: Math.round(tokens / seconds), perCpuSecond: Math.round((tokens * 1e6) / (user + system)) },
  };
}

function fill(shapes: ReadonlyMap<string, readonly number[]>, random: Random): Tensors {
  const tensors = new Map<string, Tensor>();
  for (const [name, shape] of shapes) {
    const size = shape.reduce((product, dim) => product * dim, 1);
    const value = name.includes("norm") ? () => 1 : () => 0.07 * (random.uniform() - 0.5);
    tensors.set(name, { shape, data: Float32Array.from({ length: size }, value) });
  }
  return tensors;
}

function randomExample({ vocabulary }: LlamaShape, length: number, random: Random): EncodedExample {
  const tokens = Uint16Array.from({ length }, () => Math.floor(random.uniform() * vocabulary));
  return { record: "", tokens, isTarget: new Uint8Array(length).fill(1, 1) };
}

const JAX_JS = "@jax-js/jax@0.1.25";

/** The peer in a process of its own; undefined where it was not asked for, or does not install or run. */
function jaxJs(): Row | undefined {
  if (!process.argv.includes("--peers")) {
    console.log("jax-js is left out: run with --peers to install it into a temporary folder");
    return undefined;
  }
  const folder = mkdtempSync(join(tmpdir(), "openledger-peers-"));
  try {
    execFileSync("npm", ["install", "--silent", "--prefix", folder, JAX_JS], { stdio: "ignore", timeout: 120_000 });
    const entry = join(folder, "node_modules/@jax-js/jax/dist/index.js");
    if (!existsSync(entry)) throw new Error(`${entry} is missing`);
    const script = new URL("./support/jaxTraining.js", import.meta.url).pathname;
    const said = execFileSync(process.execPath, [script, entry], { encoding: "utf8", timeout: 300_000 });
    const { perSecond, perCpuSecond, residentMb } = JSON.parse(said.trim().split("\n").at(-1) ?? "");
    return { what: "tiny, full, by jax-js (wasm)", threads: 1, perSecond, perCpuSecond, residentMb };
  } catch (error) {
    console.log(`jax-js is left out: ${error instanceof Error ? error.message : error}`);
    return undefined;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
