import type { Gradients } from "../../src/attribution/influence/method.ts";
import { unwrap } from "../../src/core/result.ts";
import type { Tensors } from "../../src/models/tensor.ts";
import { batchOf } from "../../src/models/training/batch.ts";
import type { EncodedExample } from "../../src/models/training/chatTemplate.ts";
import type { Curvature, ModuleCurvature } from "../../src/models/training/evaluation.ts";
import { initialLora } from "../../src/models/training/initial.ts";
import { lossesOf } from "../../src/models/training/losses.ts";
import { Computation } from "../../src/models/training/neuralModel.ts";
import type { TrainingOptions } from "../../src/models/training/task.ts";
import { runTraining } from "../../src/models/training/trainingRun.ts";
import { type LdsWorld, TOKENS_MAX, worldLora } from "./ldsWorld.ts";

export const fineTuning: Omit<TrainingOptions, "seed"> = {
  ...{ adapter: worldLora, epochs: 5, batchSize: 16, sequenceTokens: TOKENS_MAX, learningRate: 1e-2, warmUp: 0.05 },
  ...{ weightDecay: 0, gradientNormMax: 1, patience: 0, checkpointEvery: 1_000_000, fitsInfluence: false },
};

/** An adapter of the world's base, trained on these examples alone. */
export async function fineTune(
  world: LdsWorld,
  examples: readonly EncodedExample[],
  seed: number,
  changes: Partial<TrainingOptions> = {},
  initialSeed = seed,
): Promise<Tensors> {
  const { machine, shape, base } = world;
  const tensors = initialLora(shape, worldLora, initialSeed);
  const model = { shape, weights: base, adapter: { lora: worldLora, tensors } };
  const ports = {
    nowMs: () => performance.now(),
    onEvent: () => {},
    save: async () => ({ ok: true as const, value: undefined }),
    isCancelled: () => false,
  };
  const options = { ...fineTuning, ...changes, seed };
  return unwrap(await runTraining(machine, { model, examples, heldOut: [], options }, ports)).values;
}

/** The summed loss of each example under the base, with an adapter or without. */
export async function measureLosses(
  { machine, shape, base }: LdsWorld,
  tensors: Tensors | undefined,
  examples: readonly EncodedExample[],
): Promise<readonly number[]> {
  const adapter = tensors === undefined ? {} : { adapter: { lora: worldLora, tensors } };
  const computation = await Computation.open(machine, { shape, weights: base, ...adapter }, { losses: true });
  try {
    return await lossesOf(computation, examples);
  } finally {
    await computation.close();
  }
}

/** Σ h hᵀ and Σ g gᵀ over all tokens that a target can see, and each example's gradients by the B factors. */
export async function measureGradients(
  { machine, shape, base }: LdsWorld,
  tensors: Tensors,
  examples: readonly EncodedExample[],
): Promise<{ readonly curvature: Curvature; readonly gradients: readonly Gradients[] }> {
  const model = { shape, weights: base, adapter: { lora: worldLora, tensors } };
  const computation = await Computation.open(machine, model, { perExample: "B", curvature: true });
  const sums = new Map<string, ModuleCurvature>();
  const gradients: Gradients[] = [];
  let tokens = 0;
  const names = [...tensors.keys()].filter((name) => name.includes("lora_B"));
  for (let from = 0; from < examples.length; from += GRADIENT_BATCH) {
    const some = examples.slice(from, from + GRADIENT_BATCH);
    const { feeds, relevant } = batchOf(
      some.map((example) => [example]),
      1,
    );
    const found = await computation.run(feeds);
    tokens += relevant;
    for (const name of names) addCurvature(sums, name, tensors.get(name)!.shape, found);
    for (const [i] of some.entries()) {
      const own = names.map((name) => {
        const { data } = found.get(`example:${name}`)!;
        const size = data.length / some.length;
        return [name, data.slice(i * size, (i + 1) * size)] as const;
      });
      gradients.push(new Map(own));
    }
  }
  await computation.close();
  return { curvature: { tokens, examples: examples.length, modules: [...sums.values()] }, gradients };
}

const GRADIENT_BATCH = 16;

function addCurvature(
  sums: Map<string, ModuleCurvature>,
  name: string,
  [out = 0, rank = 0]: readonly number[],
  found: ReadonlyMap<string, { readonly data: Float32Array }>,
): void {
  const known = sums.get(name);
  const sum = known ?? { name, rank, out, inputs: new Float64Array(rank * rank), outputs: new Float64Array(out * out) };
  if (known === undefined) sums.set(name, sum);
  for (const side of ["inputs", "outputs"] as const) {
    const { data } = found.get(`${side}:${name}`)!;
    for (let i = 0; i < data.length; i++) sum[side][i] = sum[side][i]! + data[i]!;
  }
}
