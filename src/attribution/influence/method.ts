import { assert } from "../../core/result.ts";
import type { Curvature } from "../../models/training/evaluation.ts";
import type { Method } from "../evidence.ts";

/** Gradients of one example's summed loss by the B factors of an adapter, by PEFT tensor name; each row-major [out, rank]. */
export type Gradients = ReadonlyMap<string, Float32Array>;

/**
 * A way to estimate how much each training example lowered the loss of a query: to first order, by how much that loss would rise if training
 * had gone without the example. Scales differ between methods and mean nothing; the order and the ratios of one query's scores do.
 */
export interface InfluenceMethod extends Method {
  /** Begins with the adapter's curvature over its training examples; then the examples' gradients are added, each once. */
  begin(curvature: Curvature): InfluenceFit;
}

export interface InfluenceFit {
  /** One training example of a record; a record may have several. */
  add(record: string, gradients: Gradients): void;
  finish(): Influence;
}

export interface Influence {
  /** The record of each example, in the order in which they were added. */
  readonly records: readonly string[];
  /** A score for each example; positive where it helped. */
  scores(query: Gradients): Float64Array;
}

/** The mean score over adapters that were trained alike with different seeds; `queries[i]` is the query's gradients under the i-th. */
export function ensembleScores(members: readonly Influence[], queries: readonly Gradients[]): Float64Array {
  const records = members[0]?.records ?? [];
  const sum = new Float64Array(records.length);
  for (const [i, member] of members.entries()) {
    const isAlike = member.records.length === records.length && member.records.every((one, n) => one === records[n]);
    assert(isAlike, "members know the same examples in the same order");
    const scores = member.scores(queries[i]!);
    for (let n = 0; n < sum.length; n++) sum[n] = sum[n]! + scores[n]! / members.length;
  }
  return sum;
}

/** Scores summed by a key of each example: its record, or whoever contributed it. Splitting one key into several splits its sum and changes no other. */
export function sumScores<Key>(scores: ArrayLike<number>, keyOf: (example: number) => Key): Map<Key, number> {
  const sums = new Map<Key, number>();
  for (let n = 0; n < scores.length; n++) sums.set(keyOf(n), (sums.get(keyOf(n)) ?? 0) + scores[n]!);
  return sums;
}
