import { KroneckerFit } from "../../src/attribution/influence/kronecker.ts";
import type { Gradients } from "../../src/attribution/influence/method.ts";
import { spectraOf } from "../../src/attribution/influence/spectrum.ts";
import { unwrap } from "../../src/core/result.ts";
import type { Tensors } from "../../src/models/tensor.ts";
import type { EncodedExample } from "../../src/models/training/chatTemplate.ts";
import { curvatureOf, gradientsOf } from "../../src/models/training/evaluate.ts";
import type { Basis, Curvature } from "../../src/models/training/evaluation.ts";
import { initialLora } from "../../src/models/training/initial.ts";
import { lossesOf, targetCount } from "../../src/models/training/losses.ts";
import { Computation, type Machine, type NeuralModel, untrained } from "../../src/models/training/neuralModel.ts";
import { windowsOf } from "../../src/models/training/packing.ts";
import type { TrainingOptions } from "../../src/models/training/task.ts";
import { hashTensors, runTraining } from "../../src/models/training/trainingRun.ts";
import { numbersFile } from "./ldsMemory.ts";
import { type LdsWorld, silentPorts, tensorsFile, tokensOf } from "./ldsWorld.ts";

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
export function trainingNamed(
  { base, shape, machine, training }: LdsWorld,
  examples: readonly EncodedExample[],
  seed: number,
  changes: Partial<TrainingOptions>,
): string[] {
  const options = { ...training.options, ...changes, seed };
  const judged = training.heldOut.length === 0 ? [] : [tokensOf(training.heldOut)];
  return [JSON.stringify([shape, options, hashTensors(base), machine.runtime.version]), tokensOf(examples), ...judged];
}

async function train(
  { machine, shape, base, training }: LdsWorld,
  examples: readonly EncodedExample[],
  seed: number,
  changes: Partial<TrainingOptions>,
): Promise<Tensors> {
  const lora = training.options.adapter;
  const model = { shape, weights: base, adapter: { lora, tensors: initialLora(shape, lora, seed) } };
  const options = { ...training.options, ...changes, seed };
  const { heldOut } = training;
  return unwrap(await runTraining(machine, { model, examples, heldOut, options }, silentPorts)).values;
}

/** The summed loss of each example under the base, with an adapter or without. */
export async function measureLosses(
  { machine, shape, base, training }: LdsWorld,
  tensors: Tensors | undefined,
  examples: readonly EncodedExample[],
): Promise<readonly number[]> {
  const adapter = tensors === undefined ? {} : { adapter: { lora: training.options.adapter, tensors } };
  const computation = await Computation.open(machine, { shape, weights: base, ...adapter }, { losses: true });
  try {
    const { windows, owners } = windowed(examples, training.options.sequenceTokens);
    const sums = examples.map(() => 0);
    for (const [i, loss] of (await lossesOf(computation, windows)).entries())
      sums[owners[i]!] = sums[owners[i]!]! + loss;
    return sums;
  } finally {
    await computation.close();
  }
}

/** What influence is fitted from, at one end of a training: curvature by whole weights, and gradients in its eigenbases, of examples in their order. */
export interface EndView {
  readonly curvature: Curvature;
  readonly records: readonly Gradients[];
  readonly queries: readonly Gradients[];
  readonly costs: ViewCosts;
}

interface ViewCosts {
  readonly curvatureMs: number;
  readonly gradientsMsPerExample: number;
  readonly queryGradientMs: number;
}

/** The same by the factors that were trained: what the rivals are fitted from. */
export interface FactorsView {
  /** Of the B alone. */
  readonly curvature: Curvature;
  /** By A and B. */
  readonly records: readonly Gradients[];
  readonly queries: readonly Gradients[];
  /** Targets of each record and query. */
  readonly targets: { readonly records: readonly number[]; readonly queries: readonly number[] };
}

export interface AdapterView {
  /** Of the base, which is alike for all adapters. */
  readonly start: EndView;
  readonly end: EndView;
  readonly factors: FactorsView;
}

/** Nothing but the adapter and its records is needed. What is known of the start is taken over. */
export async function viewAdapter(
  world: LdsWorld,
  tensors: Tensors,
  records: readonly EncodedExample[],
  queries: readonly EncodedExample[],
  start?: EndView,
): Promise<AdapterView> {
  const model = adapted(world, tensors);
  return {
    start: start ?? (await viewEnd(world.machine, untrained(model), records, queries)),
    end: await viewEnd(world.machine, model, records, queries),
    factors: await viewFactors(world, tensors, records, queries),
  };
}

/** One pass over the records for the curvature, one for their gradients, one for the queries'. */
async function viewEnd(
  machine: Machine,
  model: NeuralModel,
  records: readonly EncodedExample[],
  queries: readonly EncodedExample[],
): Promise<EndView> {
  const forCurvature = await Computation.open(machine, model, { curvature: "W" });
  const forGradients = await Computation.open(machine, model, { losses: true, perExample: {} });
  try {
    const times = [performance.now()];
    const curvature = await curvatureOf(forCurvature, records, undefined);
    const { bases } = new KroneckerFit(spectraOf(curvature));
    times.push(performance.now());
    const own = await gradientsInOrder(forGradients, records, bases);
    times.push(performance.now());
    const asked = await gradientsInOrder(forGradients, queries, bases);
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

export async function viewFactors(
  world: LdsWorld,
  tensors: Tensors,
  records: readonly EncodedExample[],
  queries: readonly EncodedExample[],
): Promise<FactorsView> {
  const { machine, training } = world;
  const { sequenceTokens } = training.options;
  const model = adapted(world, tensors);
  const forCurvature = await Computation.open(machine, model, { curvature: "B" });
  const forGradients = await Computation.open(machine, model, { losses: true, perExample: "AB" });
  try {
    return {
      curvature: await curvatureOf(forCurvature, windowed(records, sequenceTokens).windows, undefined),
      records: await summedGradients(forGradients, records, sequenceTokens),
      queries: await summedGradients(forGradients, queries, sequenceTokens),
      targets: { records: records.map(targetCount), queries: queries.map(targetCount) },
    };
  } finally {
    await forCurvature.close();
    await forGradients.close();
  }
}

async function gradientsInOrder(
  computation: Computation,
  examples: readonly EncodedExample[],
  bases: readonly Basis[] = [],
): Promise<readonly Gradients[]> {
  const found = new Array<Gradients>(examples.length);
  for await (const { index, gradients } of gradientsOf(computation, examples, bases)) found[index] = gradients;
  return found;
}

/** Each example's gradients summed over its windows, as a training sees them. */
async function summedGradients(
  computation: Computation,
  examples: readonly EncodedExample[],
  sequenceTokens: number,
): Promise<readonly Gradients[]> {
  const { windows, owners } = windowed(examples, sequenceTokens);
  const sums = new Array<Gradients>(examples.length);
  for await (const { index, gradients } of gradientsOf(computation, windows)) {
    const owner = owners[index]!;
    const before = sums[owner];
    sums[owner] =
      before === undefined
        ? gradients
        : new Map([...gradients].map(([name, own]) => [name, own.map((value, i) => value + before.get(name)![i]!)]));
  }
  return sums;
}

/** The windows of all examples, and whose each is. */
function windowed(examples: readonly EncodedExample[], sequenceTokens: number) {
  const windows = examples.map((example) => windowsOf(example, sequenceTokens));
  return { windows: windows.flat(), owners: windows.flatMap((own, owner) => own.map(() => owner)) };
}

function adapted({ shape, base, training }: LdsWorld, tensors: Tensors): NeuralModel {
  return { shape, weights: base, adapter: { lora: training.options.adapter, tensors } };
}
