import { assert } from "../../src/core/result.ts";
import { initialLora } from "../../src/models/training/initial.ts";
import { lossesOf } from "../../src/models/training/losses.ts";
import { Computation } from "../../src/models/training/neuralModel.ts";
import { planEpoch, type Sequence, windowsOf } from "../../src/models/training/packing.ts";
import { learningRateAt } from "../../src/models/training/schedule.ts";
import { type Learnt, takeStep } from "../../src/models/training/trainingStep.ts";
import { numbersFile } from "./ldsMemory.ts";
import { keyOf, type Unit } from "./ldsRetraining.ts";
import type { SubsetRun } from "./ldsScore.ts";
import { trainingNamed } from "./ldsTraining.ts";
import { type LdsWorld, tokensOf } from "./ldsWorld.ts";

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

/** The losses of the queries after a training on the members, which keep the places that they have in a training on all records: two of these differ by who is left out and by nothing else. */
function lossesInOrder(world: LdsWorld, members: readonly number[], seed: number): Promise<readonly number[]> {
  const all = world.records.map(({ example }) => example);
  const kept = members.map((record) => all[record]!);
  const queries = world.queries.map(({ example }) => example);
  const named = trainingNamed(world, all, seed, { batchSize: batchSizeOf(world) });
  return world.memory.recall(
    [...named, "of which", tokensOf(kept), "losses", tokensOf(queries)],
    numbersFile,
    async () => {
      const { options } = world.training;
      const lora = options.adapter;
      const tensors = initialLora(world.shape, lora, seed);
      const model = { shape: world.shape, weights: world.base, adapter: { lora, tensors } };
      const forStep = await Computation.open(world.machine, model, { losses: true, gradients: "adapter" });
      const forLoss = await Computation.open(world.machine, model, { losses: true });
      try {
        const learnt: Learnt = new Map(
          [...tensors].map(([name, { data: values }]) => {
            const zeros = () => new Float32Array(values.length);
            return [name, { values, moments: { mean: zeros(), square: zeros() } }];
          }),
        );
        const steps = stepsOf(world, new Set(kept.map(({ record }) => record)), seed);
        for (const [step, sequences] of steps.entries()) {
          const learningRate = learningRateAt(step, { ...options, steps: steps.length });
          await takeStep(forStep, learnt, sequences, { ...options, step, learningRate, seed, dropout: 0 });
        }
        return await lossesOf(forLoss, queries);
      } finally {
        await forStep.close();
        await forLoss.close();
      }
    },
  );
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
