import type { Gradients } from "../../src/attribution/influence/method.ts";
import { unwrap } from "../../src/core/result.ts";
import type { Tensors } from "../../src/models/tensor.ts";
import type { EncodedExample } from "../../src/models/training/chatTemplate.ts";
import { curvatureOf, gradientsOf } from "../../src/models/training/evaluate.ts";
import type { Curvature } from "../../src/models/training/evaluation.ts";
import { initialLora } from "../../src/models/training/initial.ts";
import { lossesOf } from "../../src/models/training/losses.ts";
import { Computation } from "../../src/models/training/neuralModel.ts";
import type { TrainingOptions } from "../../src/models/training/task.ts";
import { hashTensors, runTraining } from "../../src/models/training/trainingRun.ts";
import { numbersFile } from "./ldsMemory.ts";
import { type LdsWorld, silentPorts, TOKENS_MAX, tensorsFile, tokensOf, worldLora } from "./ldsWorld.ts";

export const fineTuning: Omit<TrainingOptions, "seed"> = {
  ...{ adapter: worldLora, epochs: 5, batchSize: 16, sequenceTokens: TOKENS_MAX, learningRate: 3e-3, warmUp: 0.05 },
  ...{ weightDecay: 0, gradientNormMax: 1, patience: 0, checkpointEvery: 1_000_000, fitsInfluence: false },
};

/** An adapter of the world's base, trained on these examples alone. */
export function fineTune(
  world: LdsWorld,
  examples: readonly EncodedExample[],
  seed: number,
  changes: Partial<TrainingOptions> = {},
): Promise<Tensors> {
  const { memory } = world;
  return memory.recall(trainingNamed(world, examples, seed, changes), tensorsFile, () =>
    train(world, examples, seed, changes),
  );
}

/** The summed loss of each query under such an adapter, which is not kept. */
export function lossesAfter(
  world: LdsWorld,
  examples: readonly EncodedExample[],
  seed: number,
  queries: readonly EncodedExample[],
): Promise<readonly number[]> {
  const from = [...trainingNamed(world, examples, seed, {}), "losses", tokensOf(queries)];
  return world.memory.recall(from, numbersFile, async () =>
    measureLosses(world, await train(world, examples, seed, {}), queries),
  );
}

/** All that a training follows from. */
function trainingNamed(
  { base, shape, machine }: LdsWorld,
  examples: readonly EncodedExample[],
  seed: number,
  changes: Partial<TrainingOptions>,
): string[] {
  const options = { ...fineTuning, ...changes, seed };
  return [JSON.stringify([shape, options, hashTensors(base), machine.runtime.version]), tokensOf(examples)];
}

async function train(
  { machine, shape, base }: LdsWorld,
  examples: readonly EncodedExample[],
  seed: number,
  changes: Partial<TrainingOptions>,
): Promise<Tensors> {
  const model = { shape, weights: base, adapter: { lora: worldLora, tensors: initialLora(shape, worldLora, seed) } };
  const options = { ...fineTuning, ...changes, seed };
  return unwrap(await runTraining(machine, { model, examples, heldOut: [], options }, silentPorts)).values;
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

/** What influence is fitted from: the adapter's curvature over some examples, and the gradients of examples in their order. */
export interface AdapterView {
  readonly curvature: Curvature;
  readonly records: readonly Gradients[];
  readonly queries: readonly Gradients[];
  readonly costs: {
    readonly curvatureMs: number;
    readonly gradientsMsPerExample: number;
    readonly queryGradientMs: number;
  };
}

/** One pass over the records for the curvature, one for their gradients, one for the queries': nothing but the adapter and its records is needed. */
export async function viewAdapter(
  { machine, shape, base }: LdsWorld,
  tensors: Tensors,
  records: readonly EncodedExample[],
  queries: readonly EncodedExample[],
): Promise<AdapterView> {
  const model = { shape, weights: base, adapter: { lora: worldLora, tensors } };
  const forCurvature = await Computation.open(machine, model, { curvature: true });
  const forGradients = await Computation.open(machine, model, { losses: true, perExample: "B" });
  const gradients = async (examples: readonly EncodedExample[]): Promise<readonly Gradients[]> => {
    const found = new Array<Gradients>(examples.length);
    for await (const { index, gradients: own } of gradientsOf(forGradients, examples)) found[index] = own;
    return found;
  };
  try {
    const times = [performance.now()];
    const curvature = await curvatureOf(forCurvature, records, undefined);
    times.push(performance.now());
    const own = await gradients(records);
    times.push(performance.now());
    const asked = await gradients(queries);
    times.push(performance.now());
    const [curvatureMs, recordsMs, queriesMs] = [0, 1, 2].map((i) => Math.round(times[i + 1]! - times[i]!));
    const costs = {
      ...{ curvatureMs: curvatureMs!, gradientsMsPerExample: recordsMs! / records.length },
      queryGradientMs: queriesMs! / queries.length,
    };
    return { curvature, records: own, queries: asked, costs };
  } finally {
    await forCurvature.close();
    await forGradients.close();
  }
}
