import { type CorpusIndex, recordCount, recordTokens } from "../../src/models/corpusIndex.ts";
import { generate } from "../../src/models/infinigram.ts";

export interface SpanOutput {
  readonly tokens: Uint16Array;
  /** Stretches of the corpus that were put in as they stand there. */
  readonly planted: readonly { readonly from: number; readonly until: number }[];
}

const PLANTED_TOKENS = 40;
const WINDOW_TOKENS = 40;
const PERIODS = [1, 2, 3, 7, 40];

/** Records that make a search long: stretches that repeat, for longer than an output or for a part of it, and every window of a text that stands nowhere as a whole. */
export function hostileRecords(texts: readonly Uint16Array[], outputTokens: number): Uint16Array[] {
  const source = wovenSource(texts);
  const periodic = PERIODS.flatMap((period) =>
    [4 * outputTokens, outputTokens >> 3].map((length) =>
      Uint16Array.from({ length }, (_, i) => source[period + (i % period)]!),
    ),
  );
  const windows = Array.from({ length: 2 * outputTokens }, (_, i) => source.slice(i, i + WINDOW_TOKENS));
  return [...periodic, ...windows];
}

/** Every seventh token of the texts: words of the language in an order that nobody wrote. */
function wovenSource(texts: readonly Uint16Array[]): Uint16Array {
  return Uint16Array.from(texts.flatMap((text) => [...text]).filter((_, i) => i % 7 === 0));
}

/** Outputs by how they came about. Of each kind `count`. */
export function outputsByKind(
  index: CorpusIndex,
  texts: readonly Uint16Array[],
  outputTokens: number,
  count: number,
  random: () => number,
): Readonly<Record<string, readonly SpanOutput[]>> {
  const vocabulary = index.tokenizer.bytes.length;
  const anyToken = (): number => 1 + Math.floor(random() * (vocabulary - 1));
  const of = (make: (i: number) => Uint16Array): SpanOutput[] =>
    Array.from({ length: count }, (_, i) => ({ tokens: make(i), planted: [] }));
  const source = wovenSource(texts);
  return {
    mixed: Array.from({ length: count }, () => mixedOutput(index, outputTokens, anyToken, random)),
    written: of(() => writtenOutput(index, outputTokens, random)),
    copied: of(() => copiedOutput(index, outputTokens, random)),
    periodic: of((i) => periodicOutput(source, PERIODS[i % PERIODS.length]!, i, outputTokens)),
    windows: of((i) => source.slice(i, i + outputTokens)),
    random: of(() => Uint16Array.from({ length: outputTokens }, anyToken)),
  };
}

/** Half planted stretches of the corpus, half text that is near it: a stretch with every fifth token changed. */
function mixedOutput(index: CorpusIndex, length: number, anyToken: () => number, random: () => number): SpanOutput {
  const tokens = new Uint16Array(length);
  const planted: { from: number; until: number }[] = [];
  let isPlanted = true;
  for (let at = 0; at < length; ) {
    const piece = Math.min(PLANTED_TOKENS, length - at);
    const source = insideRecord(index, piece, random);
    tokens.set(index.tokens.subarray(source, source + piece), at);
    if (isPlanted) planted.push({ from: at, until: at + piece });
    else for (let i = 0; i < piece; i += 5) tokens[at + i] = anyToken();
    at += piece;
    isPlanted = !isPlanted;
  }
  return { tokens, planted };
}

/** What the ∞-gram model writes, at its own chances: it goes on from the beginning of a record, and from another's where that one ends. */
function writtenOutput(index: CorpusIndex, length: number, random: () => number): Uint16Array {
  const tokens: number[] = [];
  while (tokens.length < length) {
    const prompt = recordTokens(index, Math.floor(random() * recordCount(index))).subarray(0, 3);
    tokens.push(...prompt);
    const options = { maxTokens: length - tokens.length, temperature: 1, random, contextMax: 8 };
    tokens.push(...generate(index, prompt, options));
  }
  return Uint16Array.from(tokens.slice(0, length));
}

/** A stretch over and over, begun anywhere; in every second one a token of the language breaks it now and then. */
function periodicOutput(source: Uint16Array, period: number, phase: number, length: number): Uint16Array {
  const tokens = Uint16Array.from({ length }, (_, at) => source[period + ((at + phase) % period)]!);
  if (phase % 2 === 0) for (let at = 30; at < length; at += 30 + (phase % 50)) tokens[at] = source[at]!;
  return tokens;
}

/** A record as it stands, and the next where it is too short. */
function copiedOutput(index: CorpusIndex, length: number, random: () => number): Uint16Array {
  const tokens = new Uint16Array(length);
  for (let at = 0, record = Math.floor(random() * recordCount(index)); at < length; ) {
    const piece = recordTokens(index, record).subarray(0, length - at);
    tokens.set(piece, at);
    at += piece.length;
    record = (record + 1) % recordCount(index);
  }
  return tokens;
}

function insideRecord(index: CorpusIndex, length: number, random: () => number): number {
  for (;;) {
    const at = Math.floor(random() * (index.tokens.length - length));
    if (!index.tokens.subarray(at, at + length).includes(0)) return at;
  }
}
