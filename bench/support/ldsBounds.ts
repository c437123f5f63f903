import { cholesky, choleskySolve } from "../../src/attribution/influence/matrix.ts";
import { type Halves, retrain } from "./ldsRetraining.ts";
import { correlationsOverSubsets, mean, reliability, round, type SubsetRun } from "./ldsScore.ts";
import type { LdsWorld } from "./ldsWorld.ts";

/** What stands between a method and a perfect score, told by real trainings alone. */
export interface Bounds {
  /** How well one seed's losses foretell another's. */
  readonly betweenSeeds: number;
  /** What a perfect method would score. */
  readonly ceiling: number;
  /** What one more training on the same half, with a third seed, would score. */
  readonly oneRetraining: number;
}

/** r is the seeds' correlation. The mean of two seeds has reliability 2r / (1 + r) (Spearman 1910, Brown 1910): nothing correlates with it more than its root, and a third seed r over that root. */
export function boundsOf(runs: readonly SubsetRun[]): Bounds {
  const betweenSeeds = reliability(runs);
  const ceiling = Math.sqrt((2 * betweenSeeds) / (1 + betweenSeeds));
  return { betweenSeeds, ceiling, oneRetraining: betweenSeeds / ceiling };
}

export interface AdditiveBound {
  /** Trainings that it was learnt from. */
  readonly trainings: number;
  /** The score of the best sum over contributors that can be learnt from them. */
  readonly datamodel: number;
  /** What it would be if it were learnt from endless trainings: the rest up to the ceiling is no sum over contributors. */
  readonly limit: number;
}

/**
 * A linear datamodel (Ilyas et al. 2022) by contributor: losses after training on many further halves, regressed on who was in them. Its predictions are reliable only in part, which two models,
 * each from half of the trainings, tell; without that part's noise it would score `limit`.
 */
export async function additiveBound(
  world: LdsWorld,
  runs: readonly SubsetRun[],
  further: Halves,
): Promise<AdditiveBound> {
  const learntFrom = await retrain(world, "contributor", further);
  const names = [...new Set(world.records.map(({ contributor }) => contributor))];
  const rowOf = ({ members }: SubsetRun): Float64Array => {
    const present = new Set(members.map((record) => world.records[record]!.contributor));
    return Float64Array.from(names, (name) => (present.has(name) ? 0.5 : -0.5));
  };
  const rows = runs.map(rowOf);
  const foretold = (some: readonly SubsetRun[]): number[][] => {
    const weights = regress(some.map(rowOf), some);
    return rows.map((row) => weights.map((own) => own.reduce((sum, weight, i) => sum + weight * row[i]!, 0)));
  };
  const measured = runs.map(({ losses }) => losses[0]!.map((_loss, q) => -mean(losses.map((some) => some[q]!))));
  const half = learntFrom.length >> 1;
  const [first, second] = [foretold(learntFrom.slice(0, half)), foretold(learntFrom.slice(half))];
  const agreement = mean(correlationsOverSubsets(first, second));
  const datamodel = mean(correlationsOverSubsets(foretold(learntFrom), measured));
  const limit = datamodel / Math.sqrt((2 * agreement) / (1 + agreement));
  return { trainings: learntFrom.length, datamodel: round(datamodel), limit: round(limit) };
}

/** A little, so that few trainings have an answer too. */
const RIDGE = 1;

/** Ridge regression of minus each query's loss: [queries][contributors]. */
function regress(rows: readonly Float64Array[], runs: readonly SubsetRun[]): Float64Array[] {
  const size = rows[0]!.length;
  const gram = new Float64Array(size * size);
  for (let i = 0; i < size; i++)
    for (let j = 0; j < size; j++)
      gram[i * size + j] = rows.reduce((sum, row) => sum + row[i]! * row[j]!, i === j ? RIDGE : 0);
  const lower = cholesky(gram, size)!;
  return runs[0]!.losses[0]!.map((_loss, q) => {
    const values = runs.map(({ losses }) => -mean(losses.map((some) => some[q]!)));
    const centre = mean(values);
    const sums = Float64Array.from({ length: size }, (_zero, i) =>
      rows.reduce((sum, row, n) => sum + row[i]! * (values[n]! - centre), 0),
    );
    return choleskySolve(lower, sums);
  });
}
