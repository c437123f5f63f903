import { unwrap } from "../../src/core/result.ts";
import type { Tensors } from "../../src/models/tensor.ts";
import type { EncodedExample } from "../../src/models/training/chatTemplate.ts";
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
): Promise<Tensors> {
  const { machine, shape, base } = world;
  const tensors = initialLora(shape, worldLora, seed);
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
