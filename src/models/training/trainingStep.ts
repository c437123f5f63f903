import { keepChance } from "../onnx/llamaGraph.ts";
import type { Feed } from "../onnx/runtime.ts";
import { adamW, decays, globalNorm, type Moments } from "./adamW.ts";
import { batchOf } from "./batch.ts";
import { BATCH_TOKENS_MAX, targetCount } from "./losses.ts";
import type { Computation } from "./neuralModel.ts";
import { microBatches, type Sequence } from "./packing.ts";
import { randomOf } from "./random.ts";

/** What is learnt: tensors by name, changed in place. */
export type Learnt = ReadonlyMap<string, { readonly values: Float32Array; readonly moments: Moments }>;

export interface StepOptions {
  /** Counted from 0. */
  readonly step: number;
  readonly learningRate: number;
  readonly weightDecay: number;
  /** 0 does not clip. */
  readonly gradientNormMax: number;
  readonly seed: number;
  readonly dropout: number;
}

export interface StepOutcome {
  /** Mean nats a target, before the step. */
  readonly loss: number;
  /** Before clipping. */
  readonly gradientNorm: number;
}

/** One step: gradients of the mean loss over all sequences, summed over micro-batches in their order, clipped by their norm, then AdamW. */
export async function takeStep(
  computation: Computation,
  learnt: Learnt,
  sequences: readonly Sequence[],
  options: StepOptions,
): Promise<StepOutcome> {
  const targets = sequences.flat().reduce((sum, example) => sum + targetCount(example), 0);
  const sums = new Map<string, Float32Array>();
  let loss = 0;
  for (const [micro, some] of microBatches(sequences, BATCH_TOKENS_MAX).entries()) {
    const { feeds, batch, length } = batchOf(some, 1 / targets);
    const kept = keeps(computation, batch * length, options, micro);
    const found = await computation.run(new Map([...feeds, ...kept]));
    for (const one of found.get("losses")!.data) loss += one;
    for (const name of learnt.keys()) addTo(sums, name, found.get(`gradient:${name}`)!.data);
  }
  const gradientNorm = globalNorm(sums.values());
  const { gradientNormMax: most, learningRate, weightDecay, step } = options;
  const gradientScale = most > 0 && gradientNorm > most ? most / gradientNorm : 1;
  for (const [name, { values, moments }] of learnt)
    adamW(values, sums.get(name)!, moments, {
      ...{ step: step + 1, learningRate, gradientScale },
      weightDecay: decays(name) ? weightDecay : 0,
    });
  return { loss: loss / targets, gradientNorm };
}

function addTo(sums: Map<string, Float32Array>, name: string, gradient: Float32Array): void {
  const sum = sums.get(name);
  if (sum === undefined) sums.set(name, gradient);
  else for (let i = 0; i < sum.length; i++) sum[i]! += gradient[i]!;
}

/** Dropout's masks: a byte of chance an element, drawn for the step, the micro-batch and the layer, so that a resumed run draws the same. */
function keeps(
  { graph }: Computation,
  tokens: number,
  { seed, step, dropout }: StepOptions,
  micro: number,
): Map<string, Feed> {
  const below = Math.round(keepChance(dropout) * 256);
  return new Map(
    [...graph.keeps].map(([name, width], site) => {
      const random = randomOf(seed, 2, step, micro, site);
      const words = Uint32Array.from({ length: Math.ceil((tokens * width) / 4) }, random.bits);
      const data = new Uint8Array(words.buffer, 0, tokens * width);
      for (let i = 0; i < data.length; i++) data[i] = data[i]! < below ? 1 : 0;
      return [name, { type: "bool", shape: [tokens, width], data }];
    }),
  );
}
