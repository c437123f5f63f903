import { randomOf } from "../../src/models/training/random.ts";
import type { Contender, Scored, Scores } from "./ldsMethods.ts";
import { bootstrapInterval, linearDatamodelingScores, mean, ratioInterval, round, type SubsetRun } from "./ldsScore.ts";

export interface Chosen {
  readonly found: Scored;
  readonly damping?: number;
}

/** Dampings are chosen on the even queries; what is told is of the odd ones. */
export function chooseSetting({ settings }: Contender, runs: readonly SubsetRun[]): Chosen {
  const tried = settings.map(({ damping, score }) => {
    const found = score();
    const fitness = mean(everyOther(found.scores, runs, 0));
    return { found, fitness, ...(damping === undefined ? {} : { damping }) };
  });
  const { found, damping } = tried.reduce((a, b) => (b.fitness > a.fitness ? b : a));
  return { found, ...(damping === undefined ? {} : { damping }) };
}

/** The scores of the queries that are told of. */
export function toldScores(scores: Scores, runs: readonly SubsetRun[]): readonly number[] {
  return everyOther(scores, runs, 1);
}

function everyOther(scores: Scores, runs: readonly SubsetRun[], half: 0 | 1): readonly number[] {
  return linearDatamodelingScores(scores, runs).filter((_score, query) => query % 2 === half);
}

export function intervalOf(scores: readonly number[]): string {
  return bootstrapInterval(scores, randomOf(3))
    .map((bound) => bound.toFixed(2))
    .join("–");
}

/** Of the means over the same queries, with its 95 %. */
export function ratioOf(a: readonly number[], b: readonly number[]) {
  return { ratio: round(mean(a) / mean(b)), interval: ratioInterval(a, b, randomOf(5)).map(round) };
}
