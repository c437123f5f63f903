import { likelihoodMethod, lineageMethod, passageMethod, spanMethod } from "../attribution/description.ts";
import type { AnswerScores } from "../attribution/likelihood.ts";
import { type Combination, type CombinationPolicy, combinationOf, type MethodTrust } from "../attribution/policy.ts";
import { utf8 } from "../core/bytes.ts";
import type { EngineMessage, Passage, StopSignal } from "../core/engine.ts";
import { keccak256 } from "../core/hash.ts";
import type { Result } from "../core/result.ts";
import type { AttributionInput } from "../gateway/ports.ts";
import { messagesOf } from "./prompts.ts";

/** An engine that says how likely it finds a text after a prompt, once with each of several sets of passages. */
export interface ScoringEngine {
  score(
    request: {
      readonly model: string;
      readonly mode: "chat" | "text";
      readonly messages: readonly EngineMessage[];
      readonly reads: readonly (readonly Passage[])[];
      readonly text: string;
      /** It may give up as soon as it sees that it needs longer. */
      readonly withinMs: number;
    },
    signal: StopSignal,
  ): Promise<Result<{ readonly logProbabilities: readonly number[] }>>;
}

/** How a model that reads records is asked what it owes to them. */
export interface Reading {
  /** What its receipts name where the engine could tell. */
  readonly combination: Combination;
  scores(input: AttributionInput): AnswerScores;
}

/** The engine reads the answer again with each set of records: what takes longer is left to the words that match. */
const SCORING_MS_MAX = 10_000;

/** Of a neural model: that words stand in a record says little about where it has them from, until somebody has measured it. */
export function neuralCombination(
  policy: CombinationPolicy,
  trust: { readonly span?: MethodTrust; readonly passage?: MethodTrust } = {},
): Combination {
  const { span = "unmeasured", passage = "unmeasured" } = trust;
  return combinationOf(policy, [
    [spanMethod, span],
    [passageMethod, passage],
    [lineageMethod, "exact"],
  ]);
}

/** Of a model whose engine can be asked: what it owes to what it has read is measured for each answer. */
export function readingOf(
  policy: CombinationPolicy,
  engine: ScoringEngine,
  model: string,
  span: MethodTrust = "unmeasured",
): Reading {
  const combination = combinationOf(policy, [
    [spanMethod, span],
    [likelihoodMethod, "exact"],
    [lineageMethod, "exact"],
  ]);
  return {
    combination,
    scores: (input) => answerScores(engine, model, input, SCORING_MS_MAX),
  };
}

/** Asks an engine how likely it finds an answer with some of what was read, for so long. */
export function answerScores(
  engine: ScoringEngine,
  model: string,
  { prompt, passages, answer }: Omit<AttributionInput, "receipt">,
  withinMs: number,
): AnswerScores {
  const messages = messagesOf(prompt);
  return async (sets) => {
    if (messages === undefined) return undefined;
    const reads = sets.map((records) => passages.filter(({ number }) => records.includes(number)));
    const request = { model, mode: "chat", messages, reads, text: answer, withinMs } as const;
    const scored = await engine.score(request, AbortSignal.timeout(withinMs));
    if (!scored.ok) return undefined;
    const { logProbabilities } = scored.value;
    return logProbabilities.length === sets.length && logProbabilities.every(Number.isFinite)
      ? logProbabilities
      : undefined;
  };
}

/** UTF-16 code units of what was read, by record. */
export function lengthsOf(passages: readonly Passage[]): (record: number) => number {
  const lengths = new Map(passages.map(({ number, text }) => [number, text.length]));
  return (record) => lengths.get(record) ?? 0;
}

/** Whole numbers in [0, below) that follow from a receipt's id alone: keccak256(tag ‖ receipt id ‖ u8 turn), its first 48 bits modulo `below`. */
export function drawsOf(receipt: Uint8Array): (below: number) => number {
  let turn = 0;
  return (below) => {
    const hash = keccak256(utf8("openledger/likelihood"), receipt, Uint8Array.of(turn++ & 255));
    return hash.subarray(0, 6).reduce((value, byte) => value * 256 + byte, 0) % below;
  };
}

/** Of a model's context, so much is for retrieved records; a model that reads less than the least answers from what it has learnt. */
const CONTEXT_PART = 1 / 2;
const RETRIEVING_CONTEXT_TOKENS_MIN = 2_048;
const RETRIEVED_TOKENS_MAX = 8_192;

/** Tokens of a context that are for records. A small model has no room for records beside a question: it says what it has learnt. */
export function roomToRead(contextTokens: number): number {
  if (contextTokens < RETRIEVING_CONTEXT_TOKENS_MIN) return 0;
  return Math.min(RETRIEVED_TOKENS_MAX, Math.floor(CONTEXT_PART * contextTokens));
}
