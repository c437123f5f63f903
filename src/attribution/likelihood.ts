import { splitSystematic } from "../core/split.ts";
import type { WholeMethod } from "./combine.ts";
import type { Corpus } from "./corpus.ts";
import { likelihoodMethod } from "./description.ts";
import type { Evidence } from "./evidence.ts";
import { shapleyValues } from "./shapley.ts";

/** Asks the engine that gave an answer how likely it finds the answer with each of these sets of records in its context: log p in nats; undefined where it cannot tell. */
export type AnswerScores = (sets: readonly (readonly number[])[]) => Promise<readonly number[] | undefined>;

export interface LikelihoodInput {
  readonly corpus: Pick<Corpus, "recordId">;
  /** Records that were read, best first. */
  readonly context: readonly number[];
  readonly canonicalOf: (record: number) => number;
  readonly scores: AnswerScores;
  /** UTF-16 code units of the answer, and of a record that was read. */
  readonly answerLength: number;
  readonly lengthOf: (record: number) => number;
  /** Draws which coalitions are asked where there are too many: a whole number in [0, below). */
  readonly draw: (below: number) => number;
  /** The latest version where it is left out. */
  readonly version?: number | undefined;
}

/** Players up to which every coalition is asked. */
const EXACT_MAX = 4;
const SETS_MAX = 32;
/** What all sets together may have to read before fewer are asked. */
const CHARACTERS_MAX = 100_000;
/** Weights are fractions of this before they become units. */
const PARTS = 2 ** 24;

/**
 * How many sets of more than four records are asked: a rule of lengths alone and never of time, so that whoever asks again asks the same. Where 32 sets, which read the answer and half of the records each, are more than
 * {@link CHARACTERS_MAX}, each record is asked alone and left out, beside all and none: any number between is no better, since a part of the next larger sets stands for all of them. Version 1 always asked 32.
 */
export function setsAsked(players: number, answerLength: number, readLength: number, version: number): number {
  const isLong = SETS_MAX * (answerLength + readLength / 2) > CHARACTERS_MAX;
  return version > 1 && isLong ? Math.min(SETS_MAX, 2 * players + 2) : SETS_MAX;
}

/**
 * Credits records that were read for how much likelier they make the answer: Shapley values of its log-probability, so that what two records say together is shared, and what
 * either says alone is not paid twice. Near-duplicates are one player. Together the records explain the part of the answer's surprise that they take away; one that made
 * it less likely explains nothing.
 */
export function likelihoodOf(input: LikelihoodInput): WholeMethod {
  return { kind: "passage", explain: (units) => explain(input, units) };
}

async function explain(input: LikelihoodInput, units: number): Promise<readonly Evidence[]> {
  const { corpus, scores, answerLength, lengthOf, draw, version = likelihoodMethod.version } = input;
  const players = playersOf(input);
  if (players.length === 0 || answerLength === 0 || units === 0) return [];
  const order = new Map(input.context.map((record, rank) => [record, rank]));
  const readLength = [...order.keys()].reduce((sum, record) => sum + lengthOf(record), 0);
  const evaluationsMax = setsAsked(players.length, answerLength, readLength, version);
  let surprises: readonly [alone: number, together: number] | undefined;
  const values = await shapleyValues(
    players.length,
    async (coalitions) => {
      const sets = coalitions.map((members) =>
        members.flatMap((player) => players[player]!.records).sort((a, b) => order.get(a)! - order.get(b)!),
      );
      const found = await scores(sets);
      if (found === undefined || !found.every(Number.isFinite)) return coalitions.map(() => 0);
      const of = (size: number) => found[coalitions.findIndex(({ length }) => length === size)]!;
      surprises = [of(0), of(players.length)];
      return found;
    },
    { exactMax: EXACT_MAX, evaluationsMax, draw },
  );
  const helpful = values.map((value) => Math.max(0, value));
  const total = helpful.reduce((sum, value) => sum + value, 0);
  if (surprises === undefined || !(surprises[0] < 0) || !(total > 0)) return [];
  const [alone, together] = surprises;
  const explained = Math.floor(units * Math.min(1, Math.max(0, (together - alone) / -alone)));
  const parts = helpful.map((value) => Math.floor((PARTS * value) / total));
  const rest = PARTS - parts.reduce((sum, part) => sum + part, 0);
  const weights = splitSystematic(explained, [...parts, rest], 0);
  return players
    .map(({ canonical }, i) => ({
      ...{ kind: "passage" as const, record: corpus.recordId(canonical), recordNumber: canonical },
      ...{ output: { from: 0, until: answerLength }, source: { from: 0, until: 0 }, weight: weights[i]! },
    }))
    .filter(({ weight }) => weight > 0);
}

/** Records of one near-duplicate cluster play together; ascending, so that nothing depends on the ranks but the prompt. */
function playersOf({ context, canonicalOf }: LikelihoodInput): { canonical: number; records: number[] }[] {
  const players = new Map<number, number[]>();
  for (const record of new Set(context)) {
    const canonical = canonicalOf(record);
    const records = players.get(canonical);
    if (records === undefined) players.set(canonical, [record]);
    else records.push(record);
  }
  return [...players].map(([canonical, records]) => ({ canonical, records })).sort((a, b) => a.canonical - b.canonical);
}
