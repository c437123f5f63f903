import { type CharRange, charRange, decode, encode, type Tokenizer } from "../models/bpe.ts";
import { stemsOf } from "../models/queryTerms.ts";
import { type Corpus, type CorpusSpan, sourceRange } from "./corpus.ts";

/**
 * What to show beside an answer: which stretches of it stand where, as OLMoTrace does (Liu et al. 2025, "OLMoTrace: Tracing Language Model Outputs Back to
 * Trillions of Training Tokens", section 3). For the eye only: nobody is paid by it, so common phrases and copies are shown that evidence leaves out.
 */
export interface Trace {
  /** By place in the output, not overlapping. */
  readonly spans: readonly TracedSpan[];
  /** Best first; of equals the earlier registered. */
  readonly documents: readonly TracedDocument[];
}

export interface TracedSpan {
  readonly output: CharRange;
  /** Records that hold it or a part of it, ascending. */
  readonly records: readonly number[];
}

/** How much a document has to do with prompt and answer, beyond the words that they share. */
export type Relevance = "high" | "medium" | "low";

export interface TracedDocument {
  readonly record: number;
  /** 32 bytes. */
  readonly id: Uint8Array;
  readonly relevance: Relevance;
  /** BM25 as a part of what the question and answer would score themselves: 0 to about 1. */
  readonly score: number;
  /** The same words in the output and in the record, by place in the output. */
  readonly passages: readonly { readonly output: CharRange; readonly source: CharRange }[];
  /** The text around the first passage. */
  readonly snippet: string;
}

export interface TraceOptions {
  /** Of the output's tokens, so many per mille are spans: the rarest. */
  readonly spansPerMille: number;
  readonly tokensMin: number;
  /** Documents looked up for a span, and spread evenly where there are more. */
  readonly documentsPerSpan: number;
  /** What stands at more places is not shown. */
  readonly occurrencesMax: number;
  /** Tokens of a document on either side of a passage, by which its relevance is judged. */
  readonly snippetTokens: number;
}

const traceDefaults: TraceOptions = {
  spansPerMille: 50,
  tokensMin: 4,
  documentsPerSpan: 10,
  occurrencesMax: 10_000,
  snippetTokens: 250,
};

export function traceAnswer(
  corpus: Corpus,
  prompt: string,
  answer: string,
  options: TraceOptions = traceDefaults,
): Trace {
  const output = encode(corpus.tokenizer, answer);
  const stretches = rarest(corpus, output, options);
  const found = documentsOf(corpus, output, stretches, options);
  const ranked = rankDocuments(`${prompt}\n${answer}`, found);
  return { spans: mergeSpans(found), documents: ranked };
}

/** Tokens [from, until) of the output that read as one piece, inside a maximal span. */
interface Stretch {
  readonly from: number;
  readonly until: number;
  readonly units: number;
  readonly span: CorpusSpan;
}

/** Spans cut to whole words of one sentence, the least probable by their tokens' shares of the corpus; of equals the earlier. */
function rarest(corpus: Corpus, output: Uint16Array, options: TraceOptions): Stretch[] {
  const stretches = corpus.spans(output, options.tokensMin).flatMap((span) =>
    wholeWords(corpus.tokenizer, output, span).flatMap(({ from, until }): Stretch[] => {
      if (until - from < options.tokensMin) return [];
      let units = 0;
      for (let i = from; i < until; i++) units += corpus.units[output[i]!]!;
      return [{ from, until, units, span }];
    }),
  );
  const count = Math.ceil((output.length * options.spansPerMille) / 1_000);
  return stretches
    .filter((one) => !stretches.some((other) => other !== one && isWithin(one, other)))
    .sort((a, b) => b.units - a.units || a.from - b.from)
    .slice(0, count);
}

/** Of two equal stretches, the later one is within the other. */
function isWithin(one: Stretch, other: Stretch): boolean {
  if (one.from === other.from && one.until === other.until) return one.span.from > other.span.from;
  return one.from >= other.from && one.until <= other.until;
}

/** The pieces of a span between ends of sentences and lines, without words that begin before it or go on after it. */
function wholeWords(
  tokenizer: Tokenizer,
  output: Uint16Array,
  span: CorpusSpan,
): { readonly from: number; readonly until: number }[] {
  const pieces: { from: number; until: number }[] = [];
  const close = (begin: number, end: number): void => {
    let [from, until] = [begin, end];
    while (from < until && !isWordStart(tokenizer, output, from)) from++;
    while (until > from && !isWordStart(tokenizer, output, until)) until--;
    if (from < until) pieces.push({ from, until });
  };
  let from = span.from;
  for (let i = span.from; i < span.until; i++) {
    if (!endsSentence(tokenizer, output, i)) continue;
    close(from, i + 1);
    from = i + 1;
  }
  close(from, span.until);
  return pieces;
}

/** Whether token i begins a word, a mark or a space rather than going on with a word. */
function isWordStart({ bytes }: Tokenizer, output: Uint16Array, i: number): boolean {
  if (i === 0 || i === output.length) return true;
  const first = bytes[output[i]!]![0];
  const before = bytes[output[i - 1]!]!.at(-1);
  return !isWordByte(first) || !isWordByte(before);
}

function endsSentence({ bytes }: Tokenizer, output: Uint16Array, i: number): boolean {
  const token = bytes[output[i]!]!;
  if (token.includes(NEW_LINE)) return true;
  const next = i + 1 < output.length ? bytes[output[i + 1]!]![0] : SPACE;
  return token.at(-1) === FULL_STOP && (next === SPACE || next === NEW_LINE);
}

const [NEW_LINE, SPACE, FULL_STOP] = [0x0a, 0x20, 0x2e];

/** Letters, digits and all that is not ASCII. */
function isWordByte(byte: number | undefined): boolean {
  if (byte === undefined) return false;
  return byte >= 0x80 || (byte >= 0x30 && byte <= 0x39) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a);
}

interface FoundDocument {
  readonly record: number;
  readonly id: Uint8Array;
  readonly passages: { readonly output: CharRange; readonly source: CharRange }[];
  readonly snippet: string;
}

/** The records behind the stretches, each once, ascending. */
function documentsOf(
  corpus: Corpus,
  output: Uint16Array,
  stretches: readonly Stretch[],
  options: TraceOptions,
): FoundDocument[] {
  const documents = new Map<number, FoundDocument>();
  for (const { from, until, span } of stretches) {
    const positions = span.positions(options.occurrencesMax);
    if (positions === undefined) continue;
    const seen = new Set<number>();
    for (const spanPosition of spread(positions, options.documentsPerSpan)) {
      const position = spanPosition + from - span.from;
      const record = corpus.recordAt(position);
      if (seen.has(record)) continue;
      seen.add(record);
      const document = documents.get(record) ?? {
        ...{ record, id: corpus.recordId(record), passages: [] },
        snippet: snippetOf(corpus, record, position, until - from, options.snippetTokens),
      };
      document.passages.push({
        output: charRange(corpus.tokenizer, output, from, until),
        source: sourceRange(corpus, record, position, until - from),
      });
      documents.set(record, document);
    }
  }
  for (const { passages } of documents.values()) passages.sort((a, b) => a.output.from - b.output.from);
  return Array.from(documents.values()).sort((a, b) => a.record - b.record);
}

function spread(values: ArrayLike<number>, countMax: number): number[] {
  const count = Math.min(values.length, countMax);
  return Array.from({ length: count }, (_, i) => values[Math.floor((i * values.length) / count)]!);
}

function snippetOf(corpus: Corpus, record: number, position: number, length: number, around: number): string {
  const tokens = corpus.recordTokens(record);
  const at = position - corpus.startOf(record);
  return decode(corpus.tokenizer, tokens.subarray(Math.max(0, at - around), at + length + around));
}

/** Stretches that overlap or touch become one to mark, with the records of all. */
function mergeSpans(documents: readonly FoundDocument[]): TracedSpan[] {
  const passages = documents.flatMap(({ record, passages: some }) => some.map(({ output }) => ({ output, record })));
  passages.sort((a, b) => a.output.from - b.output.from || a.record - b.record);
  const merged: { output: { from: number; until: number }; records: Set<number> }[] = [];
  for (const { output, record } of passages) {
    const last = merged.at(-1);
    if (last === undefined || output.from > last.output.until)
      merged.push({ output: { from: output.from, until: output.until }, records: new Set([record]) });
    else {
      last.output.until = Math.max(last.output.until, output.until);
      last.records.add(record);
    }
  }
  return merged.map(({ output, records }) => ({ output, records: [...records].sort((a, b) => a - b) }));
}

const K1 = 1.2;
const B = 0.75;
const HIGH_MIN = 0.5;
const MEDIUM_MIN = 0.25;

/**
 * BM25 (Robertson and Zaragoza 2009) of the snippets for prompt and answer, the snippets being the whole collection. A score is a part of what the query itself
 * would score, so that a level means the same for long and short answers, and the best of a bad lot is not high.
 */
function rankDocuments(query: string, documents: readonly FoundDocument[]): TracedDocument[] {
  const asked = stemsOf(query);
  const stems = documents.map(({ snippet }) => stemsOf(snippet));
  const lengths = stems.map((counts) => total(counts));
  const mean = Math.max(1, lengths.reduce((sum, length) => sum + length, 0) / Math.max(1, documents.length));
  const weights = new Map<string, number>();
  let ideal = 0;
  for (const [stem, count] of asked) {
    const holders = stems.filter((counts) => counts.has(stem)).length;
    const weight = Math.log(1 + (documents.length - holders + 0.5) / (holders + 0.5));
    weights.set(stem, weight);
    ideal += (weight * count * (K1 + 1)) / (count + K1);
  }
  const scored = documents.map((document, i): TracedDocument => {
    let sum = 0;
    for (const [stem, weight] of weights) {
      const count = stems[i]!.get(stem) ?? 0;
      sum += (weight * count * (K1 + 1)) / (count + K1 * (1 - B + (B * lengths[i]!) / mean));
    }
    const score = ideal === 0 ? 0 : sum / ideal;
    return { ...document, score, relevance: score >= HIGH_MIN ? "high" : score >= MEDIUM_MIN ? "medium" : "low" };
  });
  return scored.sort((a, b) => b.score - a.score || a.record - b.record);
}

function total(counts: ReadonlyMap<string, number>): number {
  let sum = 0;
  for (const count of counts.values()) sum += count;
  return sum;
}
