import type { Random } from "../../src/models/training/random.ts";
import type { Scores } from "./ldsMethods.ts";
import { correlationsOverSubsets, foretold, mean, round, type SubsetRun } from "./ldsScore.ts";

const RESAMPLES = 1_000;

/**
 * Mean scores of each method over the odd queries, had queries and halves been others: each resample draws both with replacement (the pigeonhole bootstrap, Owen 2007), the same for all
 * methods. Over queries alone intervals are too narrow, since all queries are asked of the same halves. Shape [methods][resamples].
 */
export function resampledScores(all: readonly Scores[], runs: readonly SubsetRun[], random: Random): number[][] {
  const measured = runs.map(({ losses }) => losses[0]!.map((_loss, q) => -mean(losses.map((some) => some[q]!))));
  const asked = measured[0]!.flatMap((_value, query) => (query % 2 === 1 ? [query] : []));
  const predicted = all.map((scores) => foretold(scores, runs));
  const means: number[][] = all.map(() => []);
  const drawn = (count: number): number[] => Array.from({ length: count }, () => Math.floor(random.uniform() * count));
  for (let n = 0; n < RESAMPLES; n++) {
    const [halves, queries] = [drawn(runs.length), drawn(asked.length).map((i) => asked[i]!)];
    const part = (values: readonly (readonly number[])[]) =>
      halves.map((half) => queries.map((q) => values[half]![q]!));
    const seen = part(measured);
    for (const [m, values] of predicted.entries()) means[m]!.push(mean(correlationsOverSubsets(part(values), seen)));
  }
  return means;
}

/** 95 % of them. */
export function middleOf(values: readonly number[]): readonly [low: number, high: number] {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (part: number): number => round(sorted[Math.floor(part * sorted.length)]!);
  return [at(0.025), at(0.975)];
}
