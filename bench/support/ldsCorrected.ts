import { intervalOf, ratioOf, toldScores } from "./ldsChoice.ts";
import { datamodelScores } from "./ldsDatamodel.ts";
import type { Scores } from "./ldsMethods.ts";
import { linearDatamodelingScores, mean, round, type SubsetRun } from "./ldsScore.ts";
import type { LdsWorld } from "./ldsWorld.ts";

const RIDGES = [1, 3, 10, 20, 30, 100, 300, 1_000];

/** By contributor. */
export interface BelievedBefore {
  readonly believed: Scores;
  /** What is foretold. */
  readonly runs: readonly SubsetRun[];
  readonly ceiling: number;
  /** What DataInf, as its authors have it, scores by query. */
  readonly published: readonly number[];
}

/** What further trainings on halves have seen, alone and with influence as what is believed before: how far so many would take it, by contributor. Ridges are chosen as dampings are. */
export function correctedScore(
  world: LdsWorld,
  { believed, runs, ceiling, published }: BelievedBefore,
  seen: { readonly halves: string; readonly runs: readonly SubsetRun[] },
) {
  const chosen = (prior?: Scores): Scores => {
    const tried = RIDGES.map((ridge) =>
      datamodelScores(world, "contributor", seen.runs, { ridge, ...(prior === undefined ? {} : { prior }) }),
    );
    const fitness = tried.map((scores) =>
      mean(linearDatamodelingScores(scores, runs).filter((_score, query) => query % 2 === 0)),
    );
    return tried[fitness.indexOf(Math.max(...fitness))]!;
  };
  const scores = chosen(believed);
  const told = toldScores(scores, runs);
  const toDataInf = ratioOf(told, published);
  const row = {
    ...{ halves: seen.halves, trainings: seen.runs.length, alone: round(mean(toldScores(chosen(), runs))) },
    ...{ contributor: round(mean(told)), contributorInterval: intervalOf(told) },
    toCeiling: round(mean(told) / ceiling),
    toDataInf: toDataInf.ratio,
    toDataInfInterval: toDataInf.interval.map((bound) => bound.toFixed(2)).join("–"),
  };
  return { row, scores };
}
