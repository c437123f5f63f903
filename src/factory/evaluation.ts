import { attributeCorpus } from "../attribution/attribute.ts";
import type { Corpus } from "../attribution/corpus.ts";
import { ok, type Result } from "../core/result.ts";
import type { EvaluationTask } from "../models/training/evaluation.ts";
import type { TrainingExample } from "../models/training/task.ts";
import { type Compared, compare } from "./compared.ts";
import type { Evaluator } from "./evaluator.ts";

/** Base and model side by side on what neither has learnt from, datanet by datanet. */
export interface Evaluation {
  readonly timeMs: number;
  /** The checkpoint that was measured; absent: the result. */
  readonly step?: number;
  readonly parts: readonly EvaluationPart[];
}

export interface EvaluationPart {
  /** A datanet, or the file that was trained on. */
  readonly name: string;
  readonly version?: number;
  readonly examples: number;
  readonly base: Measured;
  readonly model: Measured;
  /** Losses record by record; absent of what was measured before that was done. */
  readonly compared?: Compared;
  /** Some of the answers, to be read side by side. */
  readonly samples: readonly Sample[];
}

export interface Measured {
  /** Mean nats a token over all held-out targets. */
  readonly loss: number;
  readonly tokens: number;
  /** Answers that were generated; the two shares below are over these. */
  readonly answers: number;
  /** Share of answers that are the expected one, as {@link isSameAnswer} compares them; absent without expected answers. */
  readonly exactMatch?: number;
  /** Answers to questions that were cut at their limit, and so are not the expected one; absent where none was. */
  readonly cut?: number;
  /** Share of the bits of all answers that spans of the datanet explain; absent without a datanet. */
  readonly grounding?: number;
}

export interface Sample {
  readonly record: string;
  readonly prompt: string;
  readonly expected: string;
  readonly base: string;
  readonly model: string;
}

/** Weights to measure: a base's folder, and an adapter's where there is one. */
export interface Weights {
  readonly base: string;
  readonly adapter?: string;
}

/** Generates one answer, always the likeliest token. */
export interface Answers {
  answer(weights: Weights, prompt: Prompt, signal: AbortSignal): Promise<Result<Said>>;
}

export interface Said {
  readonly text: string;
  /** It was still going on at its limit. */
  readonly isCut: boolean;
}

export interface Prompt {
  readonly mode: "chat" | "text";
  readonly messages: readonly { readonly role: "system" | "user" | "assistant"; readonly content: string }[];
  readonly maxTokens: number;
}

export interface PartTask {
  readonly name: string;
  readonly version?: number;
  readonly heldOut: readonly TrainingExample[];
  /** Of the datanet's records; absent for a file. */
  readonly corpus?: Corpus;
}

export interface EvaluationPlan {
  readonly base: Weights;
  readonly model: Weights;
  readonly sequenceTokens: number;
  /** Examples of each part whose loss is measured, and for how many answers are generated. */
  readonly lossesMax: number;
  readonly answersMax: number;
  readonly answerTokens: AnswerTokens;
  /** As the models count them. */
  readonly countTokens: (text: string) => number;
}

/** How long answers may be. */
export interface AnswerTokens {
  /** Of a text that is continued; a question has at least so much. */
  readonly least: number;
  /** Whatever answer is expected. */
  readonly most: number;
}

const SAMPLES_MAX = 5;
const SAMPLE_CHARACTERS_MAX = 600;

/** Refuses as the evaluator and the answers do. */
export async function evaluatePart(
  part: PartTask,
  plan: EvaluationPlan,
  { evaluator, answers }: { readonly evaluator: Evaluator; readonly answers: Answers },
  signal: AbortSignal,
): Promise<Result<EvaluationPart>> {
  const { name, version, heldOut, corpus } = part;
  const examples = heldOut.slice(0, plan.lossesMax);
  const prompts = heldOut.slice(0, plan.answersMax).map((example) => askedFor(example, plan));
  const measured: Measured[] = [];
  const recordLosses: (readonly number[])[] = [];
  const texts: Said[][] = [];
  for (const weights of [plan.base, plan.model]) {
    const task: EvaluationTask = { ...weights, examples, sequenceTokens: plan.sequenceTokens };
    const losses = await evaluator.losses(task, signal);
    if (!losses.ok) return losses;
    recordLosses.push(losses.value.filter(({ tokens }) => tokens > 0).map(({ loss }) => loss));
    const said: Said[] = [];
    for (const { prompt } of prompts) {
      const answer = await answers.answer(weights, prompt, signal);
      if (!answer.ok) return answer;
      said.push(answer.value);
    }
    texts.push(said);
    const tokens = losses.value.reduce((sum, one) => sum + one.tokens, 0);
    const loss = losses.value.reduce((sum, one) => sum + one.loss, 0) / Math.max(1, tokens);
    measured.push({ loss, tokens, ...scores(said, prompts, corpus) });
  }
  const samples = prompts.slice(0, SAMPLES_MAX).map(({ record, shown, expected }, i) => ({
    ...{
      record,
      prompt: cut(shown),
      expected: cut(expected),
      base: cut(texts[0]![i]!.text),
      model: cut(texts[1]![i]!.text),
    },
  }));
  return ok({
    ...{ name, examples: examples.length, base: measured[0]!, model: measured[1]!, samples },
    compared: compare(recordLosses[0]!, recordLosses[1]!),
    ...(version === undefined ? {} : { version }),
  });
}

/** A question may be answered at half as much length again as is expected, for another way may lead to the same result. */
function askedFor(example: TrainingExample, { answerTokens: { least, most }, countTokens }: EvaluationPlan): Asked {
  const asked = promptOf(example, least);
  if (!asked.isQuestion) return asked;
  const wanted = Math.ceil(1.5 * countTokens(asked.expected)) + 1;
  return { ...asked, prompt: { ...asked.prompt, maxTokens: Math.min(most, Math.max(least, wanted)) } };
}

/**
 * How much of some answers is supported by a datanet: the share of their bits that maximal spans of its records explain (see `attribution/spans.ts`).
 * 0 for answers without any text.
 */
export function groundingScore(corpus: Corpus, texts: readonly string[]): number {
  let [explained, total] = [0, 0];
  for (const text of texts) {
    const { explainedUnits, totalUnits } = attributeCorpus(corpus, text);
    explained += explainedUnits;
    total += totalUnits;
  }
  return total === 0 ? 0 : explained / total;
}

/**
 * The same words as expected, apart from case, white space and a mark at the end. Where the expected answer is worked out and marks its result on a last line, as GSM8K does
 * with `#### 72`, the results are what is compared.
 */
export function isSameAnswer(said: string, expected: string): boolean {
  const result = resultOf(expected);
  if (result === undefined) return plainAnswer(said) === plainAnswer(expected);
  const found = resultOf(said);
  return found !== undefined && plainAnswer(found) === plainAnswer(result);
}

function resultOf(answer: string): string | undefined {
  return /(?:^|\n)#### *(\S[^\n]*)\s*$/.exec(answer)?.[1];
}

export interface Asked {
  readonly record: string;
  readonly prompt: Prompt;
  readonly shown: string;
  readonly expected: string;
  /** A question with an answer of its own, and not a text to be continued. */
  readonly isQuestion: boolean;
}

/** A conversation up to its last answer; of a plain text the first third, to be continued. */
export function promptOf(example: TrainingExample, maxTokens: number): Asked {
  const { record } = example;
  if ("text" in example) {
    const at = Math.max(1, Math.floor(example.text.length / 3));
    const content = example.text.slice(0, at);
    const prompt: Prompt = { mode: "text", messages: [{ role: "user", content }], maxTokens };
    return { record, prompt, shown: content, expected: example.text.slice(at), isQuestion: false };
  }
  const last = example.messages.findLastIndex(({ role }) => role === "assistant");
  const messages = example.messages.slice(0, Math.max(0, last));
  const shown = messages.findLast(({ role }) => role === "user")?.content ?? "";
  return {
    ...{ record, prompt: { mode: "chat", messages, maxTokens }, shown, isQuestion: true },
    expected: example.messages[last]?.content ?? "",
  };
}

function scores(
  said: readonly Said[],
  asked: readonly Asked[],
  corpus: Corpus | undefined,
): Pick<Measured, "answers" | "exactMatch" | "cut" | "grounding"> {
  const [texts, toQuestions] = [said.map(({ text }) => text), said.filter((_one, i) => asked[i]!.isQuestion)];
  const questions = toQuestions.length;
  const same = asked.filter(({ expected, isQuestion }, i) => isQuestion && isSameAnswer(texts[i]!, expected)).length;
  const cutOff = toQuestions.filter(({ isCut }) => isCut).length;
  return {
    answers: said.length,
    ...(questions === 0 ? {} : { exactMatch: same / questions }),
    ...(cutOff === 0 ? {} : { cut: cutOff }),
    ...(corpus === undefined || said.length === 0 ? {} : { grounding: groundingScore(corpus, texts) }),
  };
}

function plainAnswer(text: string): string {
  return text
    .trim()
    .replace(/\s+/g, " ")
    .replace(/[.!?]$/, "")
    .toLowerCase();
}

function cut(text: string): string {
  return text.length > SAMPLE_CHARACTERS_MAX ? `${text.slice(0, SAMPLE_CHARACTERS_MAX)}…` : text;
}
