import { assert } from "../../src/core/result.ts";
import type { Tensors } from "../../src/models/tensor.ts";
import { initialLora } from "../../src/models/training/initial.ts";
import { Computation } from "../../src/models/training/neuralModel.ts";
import { planEpoch, type Sequence, windowsOf } from "../../src/models/training/packing.ts";
import { learningRateAt } from "../../src/models/training/schedule.ts";
import { type Learnt, takeStep } from "../../src/models/training/trainingStep.ts";
import { numbersFile } from "./ldsMemory.ts";
import { keyOf, type Unit } from "./ldsRetraining.ts";
import { mean, type SubsetRun } from "./ldsScore.ts";
import { measureLosses, trainingNamed } from "./ldsTraining.ts";
import { type LdsWorld, tokensOf } from "./ldsWorld.ts";

/** Of trainings on designed halves: 43 of forty contributors with each. */
export const DESIGN_SEEDS = [9_001, 9_002];

/**
 * Halves of `count` things such that any two of them are together, apart and both left out about equally often: a design in which what each does is told with the
 * least error (Plackett and Burman 1946), of the quadratic residues of a prime (Paley 1933). As many halves as the first prime p ≡ 3 mod 4 that is not below `count`;
 * each is ascending. Complements are the same with who is in and who is out exchanged.
 */
export function designedHalves(count: number, isComplement = false): readonly (readonly number[])[] {
  const prime = primeFrom(count);
  const squares = new Set(Array.from({ length: prime - 1 }, (_unused, i) => (i + 1) ** 2 % prime));
  const isIn = (half: number, thing: number): boolean => {
    const distance = (thing - half + prime) % prime;
    return distance !== 0 && !squares.has(distance);
  };
  const things = Array.from({ length: count }, (_unused, i) => i);
  return Array.from({ length: prime }, (_unused, half) => things.filter((thing) => isIn(half, thing) !== isComplement));
}

function primeFrom(least: number): number {
  const isPrime = (n: number): boolean => {
    for (let d = 2; d * d <= n; d++) if (n % d === 0) return false;
    return n > 1;
  };
  let found = least;
  while (found % 4 !== 3 || !isPrime(found)) found++;
  return found;
}

/** Trains on designed halves, all with one seed and in one order; with the second seed on their complements, and so on by turns. Runs by seed. */
export async function retrainByDesign(world: LdsWorld, unit: Unit, seeds: readonly number[]): Promise<SubsetRun[][]> {
  const owners = world.records.map((_record, i) => keyOf(world, unit, i));
  const keys = [...new Set(owners)];
  const bySeed: SubsetRun[][] = [];
  for (const [turn, seed] of seeds.entries()) {
    const runs: SubsetRun[] = [];
    for (const half of designedHalves(keys.length, turn % 2 === 1)) {
      const kept = new Set(half.map((i) => keys[i]!));
      const members = owners.flatMap((owner, record) => (kept.has(owner) ? [record] : []));
      runs.push({ members, losses: [await lossesInOrder(world, members, seed)] });
    }
    bySeed.push(runs);
  }
  return bySeed;
}

/**
 * The losses of the queries after a training on the members, which keep the places that they have in a training on all records: two of these differ by who is left out and by nothing else.
 * Where something is held out, it goes as far as the loss of that falls from checkpoint to checkpoint.
 */
function lossesInOrder(world: LdsWorld, members: readonly number[], seed: number): Promise<readonly number[]> {
  const all = world.records.map(({ example }) => example);
  const kept = members.map((record) => all[record]!);
  const queries = world.queries.map(({ example }) => example);
  const named = trainingNamed(world, all, seed, { batchSize: batchSizeOf(world) });
  return world.memory.recall(
    [...named, "of which", tokensOf(kept), "losses", tokensOf(queries)],
    numbersFile,
    async () => {
      const { heldOut, options } = world.training;
      const tensors = initialLora(world.shape, options.adapter, seed);
      const steps = stepsOf(world, new Set(kept.map(({ record }) => record)), seed);
      let best = { judged: Number.POSITIVE_INFINITY, losses: [] as readonly number[] };
      for await (const done of trainInOrder(world, tensors, steps, seed)) {
        const isJudged = heldOut.length > 0 && done % options.checkpointEvery === 0;
        if (!isJudged && done < steps.length) continue;
        const [losses, judges] = [
          await measureLosses(world, tensors, queries),
          await measureLosses(world, tensors, heldOut),
        ];
        const judged = mean(judges);
        if (judged >= best.judged) break;
        best = { judged, losses };
      }
      return best.losses;
    },
  );
}

/** Steps one after the other, each of which is told when it is done; the tensors are changed in place. */
async function* trainInOrder(
  world: LdsWorld,
  tensors: Tensors,
  steps: readonly (readonly Sequence[])[],
  seed: number,
): AsyncGenerator<number> {
  const { options } = world.training;
  const model = { shape: world.shape, weights: world.base, adapter: { lora: options.adapter, tensors } };
  const computation = await Computation.open(world.machine, model, { losses: true, gradients: "adapter" });
  try {
    const learnt: Learnt = new Map(
      [...tensors].map(([name, { data: values }]) => {
        const zeros = () => new Float32Array(values.length);
        return [name, { values, moments: { mean: zeros(), square: zeros() } }];
      }),
    );
    for (const [step, sequences] of steps.entries()) {
      const learningRate = learningRateAt(step, { ...options, steps: steps.length });
      await takeStep(computation, learnt, sequences, { ...options, step, learningRate, seed, dropout: 0 });
      yield step + 1;
    }
  } finally {
    await computation.close();
  }
}

/** Steps have room for twice as many, of which about half are in: they see as many as the steps of another training on a half. */
function batchSizeOf({ training }: LdsWorld): number {
  return 2 * training.options.batchSize;
}

function stepsOf(world: LdsWorld, kept: ReadonlySet<string>, seed: number): readonly (readonly Sequence[])[] {
  const { records, training } = world;
  const { epochs, sequenceTokens } = training.options;
  const windows = records.flatMap(({ example }) => windowsOf(example, sequenceTokens));
  const planned = Array.from({ length: epochs }, (_unused, epoch) =>
    planEpoch(windows, { seed, batchSize: batchSizeOf(world), sequenceTokens }, epoch),
  ).flat();
  return planned.map((sequences) => {
    const own = sequences.map((sequence) => sequence.filter(({ record }) => kept.has(record)));
    const filled = own.filter(({ length }) => length > 0);
    assert(filled.length > 0, "somebody is in every step");
    return filled;
  });
}
