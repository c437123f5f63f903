import { bitsOf, type Demand, demandOf, namesOther, supportedBy, tellsTask } from "./blockSupport.ts";
import { type Block, splitBlocks } from "./blocks.ts";
import { END_OF_RECORD, encode, TokenDecoder } from "./bpe.ts";
import { type CorpusIndex, indexTokens } from "./corpusIndex.ts";
import { generate } from "./infinigram.ts";
import { type QueryTerm, queryTerms, stemOf, stemsOf } from "./queryTerms.ts";

/**
 * Grounded generation: the answer is made of what the retrieved records say. The blocks that say most of what the question asks for are
 * planned; the ∞-gram model over the retrieved records alone writes them token by token and finishes what a plan leaves open.
 * Where the records do not say what is asked, the answer is {@link cannotAnswer} and nothing else.
 */
export const cannotAnswer = "I cannot answer that: the records of this datanet do not say.";

export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/** A record that retrieval found, best first. */
export interface RetrievedRecord {
  readonly number: number;
  readonly title: string;
  /** Headings above the record in its source; may be empty. */
  readonly headings: readonly string[];
  readonly text: string;
  /** Retrieval's own score, of any scale; only ratios are used. */
  readonly score: number;
}

export interface AnswerInput {
  readonly messages: readonly ChatMessage[];
  readonly records: readonly RetrievedRecord[];
  readonly maxTokens: number;
  readonly signal?: AbortSignal;
}

export interface AnswerDelta {
  /** Whole characters; the deltas in a row are the answer. */
  readonly text: string;
  /** Tokens that this delta stands for. */
  readonly tokens: number;
}

export interface AnswerOutcome {
  readonly finish: "stop" | "length" | "cancelled" | "refused";
  readonly tokens: number;
  /** Records whose text the answer used, in order of use: the passage evidence. */
  readonly used: readonly number[];
  /** Words of the question which the records do not say; why an answer was refused. */
  readonly missing: readonly string[];
}

/** Writes the answer as deltas and returns what it used. Stop reading, or abort `signal`, and no more is computed. */
export function* answer(index: CorpusIndex, input: AnswerInput): Generator<AnswerDelta, AnswerOutcome, undefined> {
  const terms = queryTerms(index, questionOf(input.messages));
  const plan = planAnswer(terms, input);
  const missing = plan.missing.map((term) => term.word);
  if (plan.steps.length === 0)
    return yield* write(index, input, [{ record: -1, text: cannotAnswer }], "refused", missing);
  return yield* write(index, input, plan.steps, "stop", missing);
}

/** What a chat asks: its last user message, with the one before where the last names nothing of its own. */
export function questionOf(messages: readonly ChatMessage[]): string {
  const asked = messages.filter(({ role }) => role === "user").map(({ content }) => content);
  const last = asked.at(-1) ?? "";
  const refersBack = asked.length > 1 && /\b(it|its|that|this|they|them|those|these)\b/i.test(last);
  return refersBack ? `${asked.at(-2)} ${last}` : last;
}

interface Step {
  readonly record: number;
  readonly text: string;
}

interface Plan {
  readonly steps: readonly Step[];
  readonly missing: readonly QueryTerm[];
}

/** The share of what a question says, by rarity, that one record must say too. */
const COVERAGE_MIN = 0.6;
/** A word at least this rare, beside the rarest, must be said somewhere. */
const SUBJECT_PART = 0.8;
const STEPS_MAX = 5;
/** What a plan may count on; where it is too much, the answer is cut at the last token allowed. */
const CHARACTERS_PER_TOKEN = 2.5;

interface RatedBlock extends Block {
  readonly record: RetrievedRecord;
  readonly rank: number;
  readonly score: number;
  /** Whether it says itself what is asked, and whether it does with its headings: its title and its record's introduction aside. */
  readonly tells: boolean;
  readonly tellsInPlace: boolean;
}

function planAnswer(terms: readonly QueryTerm[], { records, messages, maxTokens }: AnswerInput): Plan {
  const asked = bitsOf(terms);
  const said = records.map((record) => stemsOf(`${record.title}\n${record.headings.join("\n")}\n${record.text}`));
  const missing = terms.filter(({ stem }) => !said.some((stems) => stems.has(stem)));
  if (asked === 0) return { steps: [], missing };
  const coverage = said.map((stems) => covered(terms, stems) / asked);
  const best = Math.max(0, ...coverage);
  // The rarest words are what the question is about; records that never say one of them answer another question.
  const rarest = Math.max(...terms.map(({ bits }) => bits));
  if (best < COVERAGE_MIN || missing.some(({ bits }) => bits >= SUBJECT_PART * rarest)) return { steps: [], missing };
  const wantsCode = /\b(how|show|example|usage|command|code)\b/i.test(questionOf(messages));
  const question = { terms, asked, demand: demandOf(terms, questionOf(messages)), wantsCode };
  const titles = records.map(({ title }) => title);
  const isOther = namesOther(question.demand, titles);
  const blocks = records.flatMap((record, rank) =>
    coverage[rank]! >= 0.75 * best && !isOther(record.title) ? rateBlocks(question, record, rank, coverage[rank]!) : [],
  );
  blocks.sort((a, b) => b.score - a.score || a.rank - b.rank || a.order - b.order);
  const top = blocks.find(({ tellsInPlace }) => tellsInPlace) ?? blocks[0];
  if (top === undefined) return { steps: [], missing };
  return { steps: chooseSteps(blocks, top, CHARACTERS_PER_TOKEN * maxTokens), missing };
}

/**
 * The best blocks that fit, in the order of their records; the introduction of the best record leads where it is short. Another record's block has to tell
 * what is asked itself or by headings of its own: under words that were taken from the best record an empty block would look like an answer.
 */
function chooseSteps(blocks: readonly RatedBlock[], top: RatedBlock, charactersMax: number): Step[] {
  const chosen: RatedBlock[] = [];
  const seen = new Set<string>();
  let characters = 0;
  for (const block of blocks) {
    if (chosen.length === STEPS_MAX || block.score < 0.6 * top.score) break;
    if (!mayJoin(block, top)) continue;
    if (seen.has(block.text) || characters + block.text.length > charactersMax) continue;
    seen.add(block.text);
    characters += block.text.length;
    chosen.push(block);
  }
  if (chosen.length === 0) return [{ record: top.record.number, text: top.text }];
  const leading = blocks.find(({ rank, order }) => rank === top.rank && order === 0);
  if (
    leading !== undefined &&
    !seen.has(leading.text) &&
    leading.text.length <= 400 &&
    leading.text.length + characters <= charactersMax
  )
    chosen.push(leading);
  chosen.sort(
    (a, b) => Number(b.rank === top.rank) - Number(a.rank === top.rank) || a.rank - b.rank || a.order - b.order,
  );
  return chosen.map(({ record, text }) => ({ record: record.number, text }));
}

/**
 * Headings lend words to the blocks of another record too, unless they are the best record's: pieces of one section lie next to each other in a datanet, and who takes its
 * headings comes later.
 */
function mayJoin(block: RatedBlock, top: RatedBlock): boolean {
  if (block.rank === top.rank) return true;
  const isApart = Math.abs(block.record.number - top.record.number) > 1;
  return isApart && placeOf(block) === placeOf(top) ? block.tells : block.tellsInPlace;
}

/** What a block stands under, as it is written. */
function placeOf({ record, heading }: RatedBlock): string {
  return [record.title, ...record.headings, heading].join("\n");
}

interface Question {
  readonly terms: readonly QueryTerm[];
  /** Bits of all terms. */
  readonly asked: number;
  readonly demand: Demand;
  readonly wantsCode: boolean;
}

/** The blocks that say what is asked, with how well they answer it. */
function rateBlocks(question: Question, record: RetrievedRecord, rank: number, coverage: number): RatedBlock[] {
  const { terms, asked, demand, wantsCode } = question;
  const part = (text: string): number => covered(terms, stemsOf(text)) / asked;
  const inTitle = part(`${record.title}\n${record.headings.join("\n")}`);
  // A record that is named exactly what is asked about is the one about it.
  const isNamed = terms.some(({ stem }) => stem === stemOf(record.title.toLowerCase()));
  const blocks = splitBlocks(record.text);
  const isSupported = supportedBy(demand, { ...record, introduction: blocks[0]?.text ?? "" });
  return blocks.filter(isSupported).map((block) => {
    // What the block itself says counts most; its place under a fitting heading and title stands in for words it need not repeat.
    const relevance = part(block.text) + 0.8 * part(block.heading) + 0.3 * inTitle + (isNamed ? 0.6 : 0);
    const form = (block.hasCode && wantsCode ? 0.25 : 0) + 0.1 / (1 + block.order) + 0.25 * coverage;
    const brevity = Math.min(1, 1_200 / (block.text.length + 1));
    const score = (relevance + form) * (0.5 + 0.5 * brevity) * 0.95 ** rank;
    const tells = tellsTask(demand, block.text);
    const tellsInPlace = tellsTask(demand, [...record.headings, block.heading, block.text].join("\n"));
    return { ...block, record, rank, score, tells, tellsInPlace };
  });
}

function covered(terms: readonly QueryTerm[], stems: ReadonlyMap<string, number>): number {
  return bitsOf(terms.filter(({ stem }) => stems.has(stem)));
}

function* write(
  index: CorpusIndex,
  input: AnswerInput,
  steps: readonly Step[],
  finish: "stop" | "refused",
  missing: readonly string[],
): Generator<AnswerDelta, AnswerOutcome, undefined> {
  const { tokenizer } = index;
  const decoder = new TokenDecoder(tokenizer);
  const used: number[] = [];
  let tokens = 0;
  let waiting = 0;
  const outcome = (reason: AnswerOutcome["finish"]): AnswerOutcome => ({ finish: reason, tokens, used, missing });
  for (const [i, step] of steps.entries()) {
    const text = i === 0 ? step.text : `\n\n${step.text}`;
    for (const token of stepTokens(index, input, text, step.record)) {
      if (input.signal?.aborted === true) return outcome("cancelled");
      if (tokens === input.maxTokens) return outcome("length");
      tokens++;
      waiting++;
      if (step.record >= 0 && !used.includes(step.record)) used.push(step.record);
      const delta = decoder.push(token);
      if (delta === "") continue;
      yield { text: delta, tokens: waiting };
      waiting = 0;
    }
  }
  return outcome(finish);
}

/** A planned block; where it breaks off in a colon, the ∞-gram model of its record says what follows, to the end of a paragraph. */
function* stepTokens(index: CorpusIndex, input: AnswerInput, text: string, record: number): Generator<number> {
  const { tokenizer } = index;
  const planned = encode(tokenizer, text);
  yield* planned;
  const source = input.records.find(({ number }) => number === record);
  if (source === undefined || !/:\s*$/.test(text)) return;
  const local = indexTokens(tokenizer, [encode(tokenizer, source.text)], new Uint8Array(32));
  let written = 0;
  for (const token of generate(local, planned, { maxTokens: 64 })) {
    if (token === END_OF_RECORD) return;
    yield token;
    written++;
    const endsLine = tokenizer.bytes[token]!.includes(0x0a);
    if (endsLine && written > 2) return;
  }
}
