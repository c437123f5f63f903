import { randomOf, shuffled } from "../../src/models/training/random.ts";
import type { Scores } from "./ldsMethods.ts";
import { bootstrapInterval, mean, round, type SubsetRun } from "./ldsScore.ts";
import { lossesAfter } from "./ldsTraining.ts";
import type { LdsWorld } from "./ldsWorld.ts";

export const units = ["record", "contributor"] as const;
export type Unit = (typeof units)[number];

export const SEEDS = 2;

/** The halves from one number to another, and with how many seeds each is trained. */
export interface Halves {
  readonly from: number;
  readonly until: number;
  readonly seeds: number;
}

/** Trains on halves of the records, drawn record by record or contributor by contributor. */
export async function retrain(world: LdsWorld, unit: Unit, { from, until, seeds }: Halves): Promise<SubsetRun[]> {
  const numbers = world.records.map((_record, i) => i);
  const owners = numbers.map((record) => keyOf(world, unit, record));
  const keys = [...new Set(owners)];
  const runs: SubsetRun[] = [];
  for (let subset = from; subset < until; subset++) {
    const drawn = shuffled(keys.length, randomOf(7, subset, keys.length)).subarray(0, keys.length / 2);
    const kept = new Set(Array.from(drawn, (i) => keys[i]!));
    const members = numbers.filter((record) => kept.has(owners[record]!));
    runs.push({ members, losses: await lossesWithout(world, members, 1_000 + SEEDS * subset, seeds) });
  }
  return runs;
}

/** Whom a record is drawn with. */
export function keyOf({ records }: LdsWorld, unit: Unit, record: number): string {
  const { contributor, example } = records[record]!;
  return unit === "record" ? example.record : contributor;
}

/** By how many nats a query's loss rises when its top 1 % of the records are left out, seeds being the same. */
export async function removeTop(world: LdsWorld, influence: Scores, lexical: Scores, queryCount: number) {
  const numbers = world.records.map((_record, i) => i);
  const whole = await lossesWithout(world, numbers, 5_000);
  const rises: Record<"influence" | "bm25", number[]> = { influence: [], bm25: [] };
  const step = Math.floor(world.queries.length / queryCount);
  for (let i = 0; i < queryCount; i++) {
    const query = i * step + 1;
    for (const [name, scores] of [
      ["influence", influence],
      ["bm25", lexical],
    ] as const) {
      const own = scores[query]!;
      const top = new Set(numbers.toSorted((a, b) => own[b]! - own[a]!).slice(0, Math.ceil(numbers.length / 100)));
      const losses = await lossesWithout(
        world,
        numbers.filter((record) => !top.has(record)),
        5_000,
      );
      rises[name].push(mean(losses.map((some, seed) => some[query]! - whole[seed]![query]!)));
    }
  }
  const differences = rises.influence.map((rise, i) => rise - rises.bm25[i]!);
  return {
    queries: queryCount,
    influenceNats: round(mean(rises.influence)),
    bm25Nats: round(mean(rises.bm25)),
    differenceInterval: bootstrapInterval(differences, randomOf(4)).map(round),
  };
}

async function lossesWithout(
  world: LdsWorld,
  members: readonly number[],
  firstSeed: number,
  seeds = SEEDS,
): Promise<(readonly number[])[]> {
  const examples = members.map((record) => world.records[record]!.example);
  const queries = world.queries.map(({ example }) => example);
  const losses: (readonly number[])[] = [];
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++)
    losses.push(await lossesAfter(world, examples, seed, queries));
  return losses;
}
