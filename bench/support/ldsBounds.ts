import { datamodelScores } from "./ldsDatamodel.ts";
import {
  correlationsOverSubsets,
  foretold,
  linearDatamodelingScores,
  mean,
  reliability,
  round,
  type SubsetRun,
} from "./ldsScore.ts";
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
  /** The score of the sum over contributors that is learnt from them. */
  readonly datamodel: number;
  /** What it would be if it were learnt from endless trainings: the rest up to the ceiling is no sum over contributors. */
  readonly limit: number;
}

/**
 * How well any sum over contributors can foretell `runs`: by one that is learnt from many `further` trainings. Its predictions are reliable only in part, which two,
 * each from half of the trainings, tell; without that part's noise it would score `limit`.
 */
export function additiveBound(
  world: LdsWorld,
  runs: readonly SubsetRun[],
  further: readonly SubsetRun[],
): AdditiveBound {
  const learnt = (some: readonly SubsetRun[]) => datamodelScores(world, "contributor", some, { ridge: RIDGE });
  const half = further.length >> 1;
  const [one, other] = [learnt(further.slice(0, half)), learnt(further.slice(half))];
  const agreement = mean(correlationsOverSubsets(foretold(one, runs), foretold(other, runs)));
  const datamodel = mean(linearDatamodelingScores(learnt(further), runs));
  const limit = datamodel / Math.sqrt((2 * agreement) / (1 + agreement));
  return { trainings: further.length, datamodel: round(datamodel), limit: round(limit) };
}

/** A little, so that few trainings have an answer too. */
const RIDGE = 1;
