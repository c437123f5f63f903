import { sumScores } from "../../src/attribution/influence/method.ts";
import type { Random } from "../../src/models/training/random.ts";

/** Losses of the queries after training on some of the records only. */
export interface SubsetRun {
  /** Numbers of the records that were kept. */
  readonly members: readonly number[];
  /** [seeds][queries]. */
  readonly losses: readonly (readonly number[])[];
}

/**
 * The linear datamodeling score (Ilyas et al. 2022, Park et al. 2023) of each query: Spearman's correlation, over subsets, between the sum of the
 * scores of the records that were kept and minus the loss of the query after training on them, averaged over seeds.
 */
export function linearDatamodelingScores(scores: readonly ArrayLike<number>[], runs: readonly SubsetRun[]): number[] {
  const measured = runs.map(({ losses }) =>
    losses[0]!.map((_loss, query) => -mean(losses.map((some) => some[query]!))),
  );
  return correlationsOverSubsets(foretold(scores, runs), measured);
}

/** The sum of the scores of the records that were kept: [subsets][queries]. */
export function foretold(scores: readonly ArrayLike<number>[], runs: readonly SubsetRun[]): number[][] {
  return runs.map(({ members }) => scores.map((own) => members.reduce((sum, record) => sum + own[record]!, 0)));
}

/** How well one seed's losses foretell another's, over the queries. */
export function reliability(runs: readonly SubsetRun[]): number {
  const of = (seed: number): (readonly number[])[] => runs.map(({ losses }) => losses[seed]!);
  return mean(correlationsOverSubsets(of(0), of(1)));
}

/** Spearman's correlation of each query's values [subsets][queries] in both. */
export function correlationsOverSubsets(
  a: readonly (readonly number[])[],
  b: readonly (readonly number[])[],
): number[] {
  return a[0]!.map((_value, query) =>
    spearman(
      a.map((values) => values[query]!),
      b.map((values) => values[query]!),
    ),
  );
}

/** 95 % of the means of resamples with replacement (Efron 1979). */
export function bootstrapInterval(values: readonly number[], random: Random): readonly [low: number, high: number] {
  const means = Array.from({ length: 2_000 }, () =>
    mean(values.map(() => values[Math.floor(random.uniform() * values.length)]!)),
  ).sort((a, b) => a - b);
  return [means[50]!, means[1_949]!];
}

/** The same of the ratio of two methods' means over the same queries, which are drawn together. */
export function ratioInterval(
  a: readonly number[],
  b: readonly number[],
  random: Random,
): readonly [low: number, high: number] {
  const ratios = Array.from({ length: 2_000 }, () => {
    const drawn = a.map(() => Math.floor(random.uniform() * a.length));
    return mean(drawn.map((i) => a[i]!)) / mean(drawn.map((i) => b[i]!));
  }).sort((x, y) => x - y);
  return [ratios[50]!, ratios[1_949]!];
}

/** Σ min / max Σ over what two weightings give to each key: 1 where they agree, 0 where they share nothing or one is silent. Both silent agree. */
export function sharedPart(a: ArrayLike<number>, b: ArrayLike<number>, keyOf: (record: number) => string): number {
  const sums = [a, b].map((weights) => sumScores(weights, keyOf));
  const totals = sums.map((some) => [...some.values()].reduce((sum, one) => sum + one, 0));
  const most = Math.max(...totals);
  if (most === 0) return 1;
  return [...sums[0]!].reduce((sum, [key, one]) => sum + Math.min(one, sums[1]!.get(key) ?? 0), 0) / most;
}

function spearman(a: readonly number[], b: readonly number[]): number {
  const [x, y] = [ranksOf(a), ranksOf(b)];
  const centre = (a.length - 1) / 2;
  let [xy, xx, yy] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const [u, v] = [x[i]! - centre, y[i]! - centre];
    xy += u * v;
    xx += u * u;
    yy += v * v;
  }
  return xx === 0 || yy === 0 ? 0 : xy / Math.sqrt(xx * yy);
}

/** From 0; equals share the mean of their places. */
function ranksOf(values: readonly number[]): Float64Array {
  const order = values.map((_value, i) => i).sort((i, j) => values[i]! - values[j]!);
  const ranks = new Float64Array(values.length);
  for (let from = 0; from < order.length; ) {
    let last = from;
    while (last + 1 < order.length && values[order[last + 1]!] === values[order[from]!]) last++;
    for (let at = from; at <= last; at++) ranks[order[at]!] = (from + last) / 2;
    from = last + 1;
  }
  return ranks;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}

export function round(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
