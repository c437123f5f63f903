import { assert } from "../../core/result.ts";
import { splitSystematic } from "../../core/split.ts";
import type { CharRange } from "../../models/bpe.ts";
import type { Evidence } from "../evidence.ts";
import { sumScores } from "./method.ts";

export interface InfluenceEvidenceOptions {
  /** Each example's record, in the scores' order: its 32-byte id and its number in the index; undefined where it is no longer known. */
  readonly recordOf: (example: number) => { readonly id: Uint8Array; readonly number: number } | undefined;
  /** Units of 1/256 bit that influence may explain, all of them where there is any positive score. */
  readonly units: number;
  /** The whole output, in UTF-16 code units: influence does not say which part of it a record shaped. */
  readonly output: CharRange;
  /** At most so many records, the most influential; what the others explain is left unexplained. */
  readonly recordsMax: number;
}

/** Weights are fractions of this before they become units. */
const PARTS = 2 ** 24;

/**
 * Scores of one output as evidence, ascending by record number: summed per record, positives only, normalised, and rounded to whole units that sum to
 * at most `units`. A record that held the model back explains nothing of what it said. Each record is weighed by itself, so how a
 * contributor's records are spread over identities changes no sum.
 */
export function influenceEvidence(scores: ArrayLike<number>, options: InfluenceEvidenceOptions): Evidence[] {
  const { recordOf, units, output, recordsMax } = options;
  assert(Number.isSafeInteger(units) && units >= 0 && units < 2 ** 32, "units are a u32");
  const byNumber = new Map<number, Uint8Array>();
  const numberOf = (example: number): number => {
    const record = recordOf(example);
    if (record === undefined) return UNKNOWN;
    byNumber.set(record.number, record.id);
    return record.number;
  };
  const sums = [...sumScores(scores, numberOf)].filter(([, score]) => score > 0);
  const total = sums.reduce((sum, [, score]) => sum + score, 0);
  if (!(total > 0 && total < Number.POSITIVE_INFINITY) || units === 0) return [];
  const known = sums.filter(([number]) => number !== UNKNOWN).sort(([m, a], [n, b]) => b - a || m - n);
  const kept = known.slice(0, recordsMax).sort(([m], [n]) => m - n);
  if (kept.length === 0) return [];
  const parts = kept.map(([, score]) => Math.floor((PARTS * score) / total));
  const rest = Math.max(0, PARTS - parts.reduce((sum, part) => sum + part, 0));
  const weights = splitSystematic(units, [...parts, rest], 0);
  return kept
    .map(([recordNumber], i) => ({
      ...{ kind: "influence" as const, record: byNumber.get(recordNumber)!, recordNumber },
      ...{ output, source: { from: 0, until: 0 }, weight: weights[i]! },
    }))
    .filter(({ weight }) => weight > 0);
}

const UNKNOWN = -1;

/** Σ |a − b| over records, as a share of the larger sum: 0 where two executions agree, 2 where they share nothing. Within 0.02 they count as the same. */
export function influenceDistance(a: readonly Evidence[], b: readonly Evidence[]): number {
  const differences = new Map<number, number>();
  let [sumA, sumB] = [0, 0];
  const add = (number: number, weight: number): void => {
    differences.set(number, (differences.get(number) ?? 0) + weight);
  };
  for (const { kind, recordNumber, weight } of a) {
    if (kind !== "influence") continue;
    add(recordNumber, weight);
    sumA += weight;
  }
  for (const { kind, recordNumber, weight } of b) {
    if (kind !== "influence") continue;
    add(recordNumber, -weight);
    sumB += weight;
  }
  const distance = [...differences.values()].reduce((sum, one) => sum + Math.abs(one), 0);
  return distance === 0 ? 0 : distance / Math.max(sumA, sumB);
}
