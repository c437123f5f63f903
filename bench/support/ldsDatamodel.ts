import { cholesky, choleskySolve, dot } from "../../src/attribution/influence/matrix.ts";
import type { Scores } from "./ldsMethods.ts";
import { keyOf, type Unit } from "./ldsRetraining.ts";
import { foretold, mean, type SubsetRun } from "./ldsScore.ts";
import type { LdsWorld } from "./ldsWorld.ts";

export interface DatamodelOptions {
  readonly ridge: number;
  /** What is believed of each record before: only what it does not foretell is learnt. */
  readonly prior?: Scores;
}

/**
 * A linear datamodel (Ilyas et al. 2022): minus each query's loss after trainings on halves, regressed on who was in them, with a ridge. As scores of
 * records: a contributor's weight is divided evenly over its records.
 */
export function datamodelScores(
  world: LdsWorld,
  unit: Unit,
  runs: readonly SubsetRun[],
  { ridge, prior }: DatamodelOptions,
): Scores {
  const owners = world.records.map((_record, i) => keyOf(world, unit, i));
  const numbers = new Map([...new Set(owners)].map((key, i) => [key, i]));
  const places = owners.map((key) => numbers.get(key)!);
  const counts = new Float64Array(numbers.size);
  for (const place of places) counts[place] = counts[place]! + 1;
  const rows = runs.map(({ members }) => {
    const row = new Float64Array(numbers.size).fill(-0.5);
    for (const record of members) row[places[record]!] = 0.5;
    return row;
  });
  const lower = cholesky(gramOf(rows, ridge), rows.length)!;
  const before = prior === undefined ? undefined : foretold(prior, runs);
  return runs[0]!.losses[0]!.map((_loss, q) => {
    const values = centred(runs.map(({ losses }) => -mean(losses.map((some) => some[q]!))));
    const believed = centred(before?.map((some) => some[q]!) ?? values.map(() => 0));
    const square = dot(believed, believed);
    const slope = square > 0 ? dot(values, believed) / square : 0;
    const rest = values.map((value, n) => value - slope * believed[n]!);
    const known = prior?.[q];
    // Rᵀ (R Rᵀ + ridge)⁻¹ rest: there are fewer trainings than records.
    const dual = choleskySolve(lower, rest);
    return Float64Array.from(places, (place, record) => {
      const weight = rows.reduce((sum, row, n) => sum + row[place]! * dual[n]!, 0);
      return weight / counts[place]! + slope * (known?.[record] ?? 0);
    });
  });
}

function gramOf(rows: readonly Float64Array[], ridge: number): Float64Array {
  const size = rows.length;
  const gram = new Float64Array(size * size);
  for (let i = 0; i < size; i++)
    for (let j = 0; j <= i; j++) gram[i * size + j] = dot(rows[i]!, rows[j]!) + (i === j ? ridge : 0);
  return gram;
}

function centred(values: readonly number[]): number[] {
  const centre = mean(values);
  return values.map((value) => value - centre);
}
