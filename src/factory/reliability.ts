import { attributeCorpus } from "../attribution/attribute.ts";
import type { Corpus } from "../attribution/corpus.ts";
import type { Evidence } from "../attribution/evidence.ts";
import { type AnswerScores, type LikelihoodInput, likelihoodOf } from "../attribution/likelihood.ts";
import { utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";

/**
 * How far methods that match words can be trusted on a neural model. That an answer repeats a record says nothing about where the model has the words from; taking the record away does. So for
 * held-out questions records are removed, from the model's context or from its training, and it is measured which part of the credit goes with them.
 */
export interface TestedPiece {
  readonly method: "span" | "passage";
  /** Units that the method credits. */
  readonly weight: number;
  /**
   * `removed`: the credited record was. `other`: another one was, and what went then is the removal's own noise. `unused`: the model never had the record, so
   * that nothing can go with it.
   */
  readonly record: "removed" | "other" | "unused";
  /** The part of the units, in [0, 1], that went; 0 of what was unused. */
  readonly confirmed: number;
}

/** Fewer pieces say nothing. */
const PIECES_MIN = 8;
/** Of one answer, the heaviest pieces. */
const TESTED_MAX = 8;
const MILLION = 1_000_000;

/**
 * In millionths: the part of a method's credit that goes with the credited records, less what goes with others, of the credit for records that the model had. Undefined where too little
 * was tested.
 */
export function matchReliability(pieces: readonly TestedPiece[], method: TestedPiece["method"]): number | undefined {
  const of = (record: TestedPiece["record"]) => pieces.filter((one) => one.method === method && one.record === record);
  const [removed, other, unused] = [of("removed"), of("other"), of("unused")];
  if (removed.length < PIECES_MIN || (other.length > 0 && other.length < PIECES_MIN)) return undefined;
  const used = unitsOf(removed) + unitsOf(other);
  const known = used / (used + unitsOf(unused));
  return Math.floor(MILLION * known * Math.max(0, partConfirmed(removed) - partConfirmed(other)));
}

function unitsOf(pieces: readonly TestedPiece[]): number {
  return pieces.reduce((sum, { weight }) => sum + weight, 0);
}

function partConfirmed(pieces: readonly TestedPiece[]): number {
  return pieces.reduce((sum, { weight, confirmed }) => sum + weight * confirmed, 0) / Math.max(1, unitsOf(pieces));
}

/**
 * Of an answer that was given with records in the context: a record's words are confirmed as far as the model finds the whole answer less likely without it, by Shapley value. Words of records that
 * were not read are unused. Undefined where the engine cannot tell.
 */
export async function testReading(
  corpus: Corpus,
  answer: string,
  context: readonly number[],
  { scores, draw, lengthOf }: Pick<LikelihoodInput, "scores" | "draw" | "lengthOf">,
): Promise<readonly TestedPiece[] | undefined> {
  const { evidence, totalUnits } = attributeCorpus(corpus, answer, { context });
  if (evidence.length === 0) return [];
  let isTold = true;
  const asked: AnswerScores = async (sets) => {
    const found = await scores(sets);
    isTold = found !== undefined;
    return found;
  };
  const canonicalOf = (record: number): number => record;
  const input = { corpus, context, canonicalOf, draw, lengthOf, answerLength: answer.length };
  const effects = unitsByRecord(await likelihoodOf({ ...input, scores: asked }).explain(totalUnits));
  if (!isTold) return undefined;
  const credits = unitsByRecord(evidence);
  return evidence.flatMap(({ kind, recordNumber, weight }): TestedPiece[] => {
    if (kind !== "span" && kind !== "passage") return [];
    if (!context.includes(recordNumber)) return [{ method: kind, weight, record: "unused", confirmed: 0 }];
    const confirmed = Math.min(1, (effects.get(recordNumber) ?? 0) / credits.get(recordNumber)!);
    return [{ method: kind, weight, record: "removed", confirmed }];
  });
}

/** Three models: the base, what was trained, and what was trained alike without the removed records. */
export type TwinRole = "base" | "model" | "twin";

export interface TwinInput {
  readonly corpus: Corpus;
  readonly answer: string;
  /** Whether the model was trained on a record of the corpus. */
  readonly isTrained: (record: number) => boolean;
  readonly isRemoved: (record: number) => boolean;
  /** log p of the beginning of an answer after its question, in nats; undefined where the engine cannot tell. */
  readonly score: (role: TwinRole, text: string) => Promise<number | undefined>;
}

/**
 * Of an answer that was given from training alone: a record's words are confirmed as far as what training made them likelier is gone in a twin that never saw the record. The same of words whose
 * record the twin did see is noise. What the model was not trained on is unused. Undefined where the engine cannot tell.
 */
export async function testTraining(input: TwinInput): Promise<readonly TestedPiece[] | undefined> {
  const { corpus, answer, isTrained, isRemoved } = input;
  const spans = attributeCorpus(corpus, answer)
    .evidence.filter(({ kind }) => kind === "span")
    .sort((a, b) => b.weight - a.weight)
    .slice(0, TESTED_MAX);
  const tested: TestedPiece[] = [];
  for (const span of spans) {
    const { recordNumber, weight } = span;
    const isUsed = isTrained(recordNumber);
    const confirmed = isUsed ? await goneInTwin(input, span) : 0;
    if (confirmed === undefined) return undefined;
    const record = isUsed ? (isRemoved(recordNumber) ? "removed" : "other") : "unused";
    tested.push({ method: "span", weight, record, confirmed });
  }
  return tested;
}

/** The part, in [0, 1], of what training made a span's words likelier that is gone in the twin. */
async function goneInTwin({ answer, score }: TwinInput, { output }: Evidence): Promise<number | undefined> {
  const words = async (role: TwinRole): Promise<number> => {
    const until = await score(role, answer.slice(0, output.until));
    const before = output.from === 0 ? 0 : await score(role, answer.slice(0, output.from));
    return (until ?? Number.NaN) - (before ?? Number.NaN);
  };
  const [base, model, twin] = [await words("base"), await words("model"), await words("twin")];
  if (Number.isNaN(base + model + twin)) return undefined;
  return model <= base ? 0 : Math.min(1, Math.max(0, (model - twin) / (model - base)));
}

/** Half of all records, by their ids alone: the half that a twin is trained without. */
export function isInRemovedHalf(record: string): boolean {
  return sha256(utf8(`openledger.removed.1 ${record}`))[0]! % 2 === 0;
}

function unitsByRecord(evidence: readonly Evidence[]): Map<number, number> {
  const units = new Map<number, number>();
  for (const { recordNumber, weight } of evidence) units.set(recordNumber, (units.get(recordNumber) ?? 0) + weight);
  return units;
}
