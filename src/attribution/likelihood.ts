import { splitSystematic } from "../core/split.ts";
import type { WholeMethod } from "./combine.ts";
import type { Corpus } from "./corpus.ts";
import type { Evidence } from "./evidence.ts";
import { shapleyValues } from "./shapley.ts";

/** Asks the engine that gave an answer how likely it finds the answer with these records in its context. */
export type AnswerScore = (records: readonly number[]) => Promise<number | undefined>;

export interface LikelihoodInput {
  readonly corpus: Pick<Corpus, "recordId">;
  /** Records that were read, best first. */
  readonly context: readonly number[];
  readonly canonicalOf: (record: number) => number;
  /** log p of the answer, in nats; undefined where the engine cannot tell. */
  readonly score: AnswerScore;
  /** UTF-16 code units of the answer. */
  readonly answerLength: number;
  /** Draws which coalitions are asked where there are too many: a whole number in [0, below). */
  readonly draw: (below: number) => number;
  /** Players up to which every coalition is asked; 4 unless a bench wants a reference. */
  readonly exactMax?: number;
}

const EXACT_MAX = 4;
const EVALUATIONS_MAX = 32;
/** Weights are fractions of this before they become units. */
const PARTS = 2 ** 24;

/**
 * Credits records that were read for how much likelier they make the answer: Shapley values of its log-probability, so that what two records say together is shared, and what
 * either says alone is not paid twice. Near-duplicates are one player. Together the records explain the part of the answer's surprise that they take away; one that made
 * it less likely explains nothing.
 */
export function likelihoodOf(input: LikelihoodInput): WholeMethod {
  return { kind: "passage", explain: (units) => explain(input, units) };
}

async function explain(input: LikelihoodInput, units: number): Promise<readonly Evidence[]> {
  const { corpus, score, answerLength, draw, exactMax = EXACT_MAX } = input;
  const players = playersOf(input);
  if (players.length === 0 || answerLength === 0 || units === 0) return [];
  const order = new Map(input.context.map((record, rank) => [record, rank]));
  let isKnown = true;
  const surprises = new Map<number, number>();
  const worth = async (members: readonly number[]): Promise<number> => {
    const records = members.flatMap((player) => players[player]!.records);
    const found = isKnown ? await score(records.sort((a, b) => order.get(a)! - order.get(b)!)) : undefined;
    if (found === undefined || !Number.isFinite(found)) isKnown = false;
    surprises.set(members.length, found ?? 0);
    return found ?? 0;
  };
  const values = await shapleyValues(players.length, worth, { exactMax, evaluationsMax: EVALUATIONS_MAX, draw });
  const alone = surprises.get(0)!;
  const helpful = values.map((value) => Math.max(0, value));
  const total = helpful.reduce((sum, value) => sum + value, 0);
  if (!isKnown || !(alone < 0) || !(total > 0)) return [];
  const explained = Math.floor(units * Math.min(1, Math.max(0, (surprises.get(players.length)! - alone) / -alone)));
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
