import { assert } from "../../core/result.ts";
import { splitSystematic } from "../../core/split.ts";
import type { CharRange } from "../../models/bpe.ts";
import type { Evidence } from "../evidence.ts";
import { sumScores } from "./method.ts";

export interface InfluenceEvidenceOptions {
  /** Each example's record, in the scores' order: its 32-byte id and its number in the index; undefined where it is no longer known. */
  readonly recordOf: (example: number) => { readonly id: Uint8Array; readonly number: number } | undefined;
  /** Units of 1/256 bit that influence may explain. */
  readonly units: number;
  /** The whole output, in UTF-16 code units: influence does not say which part of it a record shaped. */
  readonly output: CharRange;
  /** At most so many records, the most influential; what the others explain is left unexplained. */
  readonly recordsMax: number;
  /** How large each example is (`exampleSizes`); where it is left out, every positive score counts in full. */
  readonly sizes?: ArrayLike<number>;
}

/** Weights are fractions of this before they become units. */
const PARTS = 2 ** 24;

/**
 * Scores of one output as evidence, ascending by record number: summed per record, what chance would give taken off, normalised, and rounded to whole units that sum to
 * at most `units`. A record that held the model back explains nothing of what it said. Each record is weighed by itself, so how a
 * contributor's records are spread over identities changes no sum.
 */
export function influenceEvidence(scores: ArrayLike<number>, options: InfluenceEvidenceOptions): Evidence[] {
  const { units, output, recordsMax } = options;
  assert(Number.isSafeInteger(units) && units >= 0 && units < 2 ** 32, "units are a u32");
  const all = recordsOf(scores, options);
  const chance = options.sizes === undefined ? 0 : chanceOf(all);
  const outstanding = all
    .map((record) => ({ ...record, weight: record.score - chance * record.size }))
    .filter(({ weight }) => weight > 0);
  const total = outstanding.reduce((sum, { score }) => sum + score, 0);
  if (!(total > 0 && total < Number.POSITIVE_INFINITY) || units === 0) return [];
  const known = outstanding.filter(({ id }) => id !== undefined);
  const kept = known.sort((a, b) => b.weight - a.weight || a.number - b.number).slice(0, recordsMax);
  if (kept.length === 0) return [];
  kept.sort((a, b) => a.number - b.number);
  const parts = kept.map(({ weight }) => Math.floor((PARTS * weight) / total));
  const rest = Math.max(0, PARTS - parts.reduce((sum, part) => sum + part, 0));
  const weights = splitSystematic(units, [...parts, rest], 0);
  return kept
    .map(({ id, number: recordNumber }, i) => ({
      ...{ kind: "influence" as const, record: id!, recordNumber },
      ...{ output, source: { from: 0, until: 0 }, weight: weights[i]! },
    }))
    .filter(({ weight }) => weight > 0);
}

/** A record with the sum of its examples' scores, and its own size. */
interface Scored {
  /** Undefined for all that is no longer known, together. */
  readonly id: Uint8Array | undefined;
  readonly number: number;
  readonly score: number;
  readonly size: number;
}

function recordsOf(scores: ArrayLike<number>, { recordOf, sizes }: InfluenceEvidenceOptions): Scored[] {
  const ids = new Map<number, Uint8Array>();
  const numbers = Array.from(scores, (_score, example) => {
    const record = recordOf(example);
    if (record !== undefined) ids.set(record.number, record.id);
    return record?.number ?? UNKNOWN;
  });
  const numberOf = (example: number): number => numbers[example]!;
  const sums = sumScores(scores, numberOf);
  const squares = sumScores(
    Array.from(scores, (_score, example) => (sizes?.[example] ?? 0) ** 2),
    numberOf,
  );
  return Array.from(sums, ([number, score]) => ({
    ...{ id: ids.get(number), number, score, size: Math.sqrt(squares.get(number)!) },
  }));
}

/** So many standard deviations above the middle, a record is no longer like any other; measured by `npm run bench -- attribution` on spam and on records that only look alike. */
const DEVIATIONS = 8;
/** The standard deviation of a Gaussian, in median absolute deviations. */
const GAUSSIAN = 1.4826;

/**
 * The likeness (score by size) that a record has by chance and by looking like all the others: most records have nothing to do with one output, so their likenesses tell. The median
 * and its deviation (Hampel 1974) do not heed the few that stand out, nor what an attacker adds unless it is half of all. Continuous in the scores, so that a
 * little other rounding elsewhere is a little other weight and no other record.
 */
function chanceOf(records: readonly Scored[]): number {
  const likenesses = records.filter(({ size }) => size > 0).map(({ score, size }) => score / size);
  if (likenesses.length === 0) return 0;
  const middle = median(likenesses);
  return Math.max(
    0,
    middle + DEVIATIONS * GAUSSIAN * median(likenesses.map((likeness) => Math.abs(likeness - middle))),
  );
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}

const UNKNOWN = -1;

/** Σ |a − b| over records, as a share of the larger sum: 0 where two executions of a method agree, 2 where they share nothing. Within 0.02 they count as the same. */
export function evidenceDistance(a: readonly Evidence[], b: readonly Evidence[]): number {
  const distance = pairsOf(a, b).reduce((sum, [x, y]) => sum + Math.abs(x - y), 0);
  return distance === 0 ? 0 : distance / largerSum(a, b);
}

/** Σ min(a, b) over records, as a share of the larger sum: 1 where both credit alike, 0 where they share nothing or one credits nobody. */
export function sharedPart(a: readonly Evidence[], b: readonly Evidence[]): number {
  const shared = pairsOf(a, b).reduce((sum, [x, y]) => sum + Math.min(x, y), 0);
  return shared === 0 ? 0 : shared / largerSum(a, b);
}

/** What each record has by either. */
function pairsOf(a: readonly Evidence[], b: readonly Evidence[]): (readonly [number, number])[] {
  const [one, other] = [weightsOf(a), weightsOf(b)];
  const numbers = new Set([...one.keys(), ...other.keys()]);
  return Array.from(numbers, (number) => [one.get(number) ?? 0, other.get(number) ?? 0]);
}

function largerSum(a: readonly Evidence[], b: readonly Evidence[]): number {
  const sum = (weights: ReadonlyMap<number, number>): number =>
    [...weights.values()].reduce((all, one) => all + one, 0);
  return Math.max(sum(weightsOf(a)), sum(weightsOf(b)));
}

function weightsOf(evidence: readonly Evidence[]): Map<number, number> {
  return sumScores(
    evidence.map(({ weight }) => weight),
    (i) => evidence[i]!.recordNumber,
  );
}
