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
}

/** What tells how a record's score compares with others'. */
export interface ExampleMeasures {
  /** How large each example is (`exampleSizes`). */
  readonly sizes: ArrayLike<number>;
  /** What records that are given by their examples would be scored for each other. */
  readonly mutualScores: (records: readonly (readonly number[])[]) => Float64Array;
}

/**
 * Scores of one output as evidence, ascending by record number: what stands out ({@link standingOut}), credited ({@link creditStanding}). Without
 * measures every positive score counts in full.
 */
export function influenceEvidence(
  scores: ArrayLike<number>,
  options: InfluenceEvidenceOptions,
  measures?: ExampleMeasures,
): Evidence[] {
  const standing = standingOut(scores, options, measures?.sizes);
  return creditStanding(standing, options, measures?.mutualScores(standing.known.map(({ examples }) => examples)));
}

/** The records that stand out for one output. */
export interface Standing {
  /** At most `recordsMax`, those that stand out most; ascending by record number, which is the order of registration. */
  readonly known: readonly Outstanding[];
  /** Those that are no longer known, together, and what is cut off: they are paid nothing, and nobody is paid in their place. */
  readonly others: readonly Excess[];
}

interface Excess {
  /** What chance would give, in the score's own unit. */
  readonly chance: number;
  /** The score beyond it: positive. */
  readonly beyond: number;
}

interface Outstanding extends Excess {
  readonly id: Uint8Array;
  readonly number: number;
  readonly examples: readonly number[];
}

/**
 * What chance would give is taken off each record's summed score, and what is left stands out. A record that held the model back explains nothing of what it
 * said. Each record is weighed by itself, so how a contributor's records are spread over identities changes no sum.
 */
export function standingOut(
  scores: ArrayLike<number>,
  options: InfluenceEvidenceOptions,
  sizes?: ArrayLike<number>,
): Standing {
  const all = recordsOf(scores, options, sizes);
  const chance = sizes === undefined ? 0 : chanceOf(all);
  const standing = all
    .map((record) => ({ ...record, chance: chance * record.size, beyond: record.score - chance * record.size }))
    .filter(({ beyond }) => beyond > 0);
  const known = standing.flatMap(({ id, ...record }) => (id === undefined ? [] : [{ ...record, id }]));
  known.sort((a, b) => b.beyond - a.beyond || a.number - b.number);
  return {
    known: known.slice(0, options.recordsMax).sort((a, b) => a.number - b.number),
    others: [...standing.filter(({ id }) => id === undefined), ...known.slice(options.recordsMax)],
  };
}

/** Weights are fractions of this before they become units. */
const PARTS = 2 ** 24;

/**
 * Evidence of whole units that sum to at most `units`. `mutual` has what the known records would be scored for each other, in their order: what a record has beyond chance counts less what
 * records that were registered before it account for, as near-duplicates are their first registered's.
 */
export function creditStanding(
  { known, others }: Standing,
  { units, output }: InfluenceEvidenceOptions,
  mutual?: Float64Array,
): Evidence[] {
  assert(Number.isSafeInteger(units) && units >= 0 && units < 2 ** 32, "units are a u32");
  const own = mutual === undefined ? known.map(({ beyond }) => beyond) : ownParts(known, mutual);
  const claims = [...known.map(({ chance }, i) => ({ chance, beyond: own[i]! })), ...others];
  const total = totalOf(claims);
  if (!(total > 0 && total < Number.POSITIVE_INFINITY) || units === 0 || known.length === 0) return [];
  const parts = own.map((weight) => Math.floor((PARTS * weight) / total));
  const rest = Math.max(0, PARTS - parts.reduce((sum, part) => sum + part, 0));
  const weights = splitSystematic(units, [...parts, rest], 0);
  return known
    .map(({ id, number: recordNumber }, i) => ({
      ...{ kind: "influence" as const, record: id, recordNumber },
      ...{ output, source: { from: 0, until: 0 }, weight: weights[i]! },
    }))
    .filter(({ weight }) => weight > 0);
}

/**
 * What each has that no earlier one accounts for. By as much as an earlier record is in it, what that one is credited foretells its own score, and is taken off: who says again what
 * another's record taught is credited what is new. A matching pursuit (Mallat & Zhang 1993) in the order of registration, and continuous, since who hardly stands out takes hardly anything off.
 */
function ownParts(known: readonly Outstanding[], mutual: Float64Array): number[] {
  const own: number[] = [];
  for (const [i, { beyond }] of known.entries()) {
    const foretold = own.map((part, j) => {
      const [shared, size] = [mutual[i * known.length + j]!, mutual[j * known.length + j]!];
      return shared > 0 && size > 0 ? (part * shared) / size : 0;
    });
    own.push(Math.max(0, beyond - foretold.reduce((sum, one) => sum + one, 0)));
  }
  return own;
}

/**
 * Of what the parts are parts: what is beyond chance, and what chance would give to whom, which is paid to nobody. That of a record counts by as much as it stands
 * out beside the one that does most; so a record that just passes the threshold changes next to nothing for the others.
 */
function totalOf(claims: readonly Excess[]): number {
  const most = claims.reduce((max, { beyond }) => Math.max(max, beyond), 0);
  return claims.reduce((sum, { chance, beyond }) => sum + beyond + (most > 0 ? (chance * beyond) / most : 0), 0);
}

/** A record with the sum of its examples' scores, and its own size. */
interface Scored {
  /** Undefined for all that is no longer known, together. */
  readonly id: Uint8Array | undefined;
  readonly number: number;
  readonly score: number;
  readonly size: number;
  readonly examples: readonly number[];
}

function recordsOf(
  scores: ArrayLike<number>,
  { recordOf }: InfluenceEvidenceOptions,
  sizes: ArrayLike<number> | undefined,
): Scored[] {
  const found = new Map<number, { id: Uint8Array | undefined; score: number; square: number; examples: number[] }>();
  for (let example = 0; example < scores.length; example++) {
    const record = recordOf(example);
    const number = record?.number ?? UNKNOWN;
    const sum = found.get(number) ?? { id: record?.id, score: 0, square: 0, examples: [] };
    sum.score += scores[example]!;
    sum.square += (sizes?.[example] ?? 0) ** 2;
    sum.examples.push(example);
    found.set(number, sum);
  }
  return Array.from(found, ([number, { id, score, square, examples }]) => ({
    ...{ id, number, score, size: Math.sqrt(square), examples },
  }));
}

/** So many standard deviations above the middle, a record is no longer like any other; measured by `npm run bench -- attribution` on spam and on records that only look alike. */
const DEVIATIONS = 7;
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
