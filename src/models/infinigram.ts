import type { CorpusIndex } from "./corpusIndex.ts";
import { suffixAt } from "./suffixes.ts";

/**
 * The ∞-gram model (Liu et al. 2024, "Infini-gram: Scaling Unbounded n-gram Language Models to a Trillion Tokens"): the next token
 * is distributed as it is after the longest suffix of the context that occurs in the corpus. No weights: all counts are exact.
 */

/** The suffixes that begin with a pattern: a half-open range of the suffix array, as many as the pattern occurs. */
export interface SuffixRange {
  readonly low: number;
  readonly high: number;
}

/** Where `pattern` occurs. The empty pattern occurs at every token. O(m log n). */
export function findPattern(
  index: CorpusIndex,
  pattern: ArrayLike<number>,
  from = 0,
  until = pattern.length,
): SuffixRange {
  if (from === until) return { low: 0, high: index.suffixes.length };
  const first = pattern[from]!;
  const [low, high] = [index.buckets[first]!, index.buckets[first + 1]!];
  const start = partition(low, high, (at) => compareAt(index, at, pattern, from, until) < 0);
  return { low: start, high: partition(start, high, (at) => compareAt(index, at, pattern, from, until) === 0) };
}

/** How often a pattern occurs. */
export function countPattern(index: CorpusIndex, pattern: ArrayLike<number>): number {
  const { low, high } = findPattern(index, pattern);
  return high - low;
}

export interface NextToken {
  /** `END_OF_RECORD` where the record ends. */
  readonly token: number;
  readonly count: number;
}

export interface NextTokens {
  /** Tokens of context that the counts are conditioned on: the n of the ∞-gram, less one. */
  readonly suffixLength: number;
  readonly total: number;
  /** Ascending by token; the counts sum to `total`. */
  readonly tokens: readonly NextToken[];
}

/** The longest suffix of `context` that occurs in the corpus: its length and where. */
function longestSuffix(index: CorpusIndex, context: ArrayLike<number>): { length: number; range: SuffixRange } {
  const occurs = (length: number): SuffixRange | undefined => {
    const range = findPattern(index, context, context.length - length);
    return range.high > range.low ? range : undefined;
  };
  // If a suffix occurs, so do all shorter ones: gallop, then bisect.
  let length = 0;
  let range = occurs(0) ?? { low: 0, high: 0 };
  let absent = context.length + 1;
  for (let step = 1; length + step < absent; step *= 2) {
    const found = occurs(length + step);
    if (found === undefined) {
      absent = length + step;
      break;
    }
    length += step;
    range = found;
  }
  while (absent - length > 1) {
    const middle = (length + absent) >> 1;
    const found = occurs(middle);
    if (found === undefined) absent = middle;
    else {
      length = middle;
      range = found;
    }
  }
  return { length, range };
}

/** The next-token distribution with backoff to the longest suffix that occurs at all. */
export function nextTokens(index: CorpusIndex, context: ArrayLike<number>): NextTokens {
  const { length, range } = longestSuffix(index, context);
  const tokens: NextToken[] = [];
  const next = (at: number): number => index.tokens[suffixAt(index.suffixes, at) + length]!;
  for (let at = range.low; at < range.high; ) {
    const token = next(at);
    const end = gallop(at, range.high, (i) => next(i) === token);
    tokens.push({ token, count: end - at });
    at = end;
  }
  return { suffixLength: length, total: range.high - range.low, tokens };
}

export interface GenerateOptions {
  readonly maxTokens: number;
  /** 0 (the default) takes the most frequent next token, of equals the lowest. Otherwise counts are raised to 1 / temperature. */
  readonly temperature?: number;
  /** Uniform in [0, 1); used only where the temperature is above 0. */
  readonly random?: () => number;
  /** Tokens of context looked at; 256 unless told. */
  readonly contextMax?: number;
}

/** Continues `prompt` token by token until a record would end or `maxTokens`. */
export function* generate(
  index: CorpusIndex,
  prompt: ArrayLike<number>,
  options: GenerateOptions,
): Generator<number, "stop" | "length", undefined> {
  const contextMax = options.contextMax ?? 256;
  const context = Array.from(prompt).slice(-contextMax);
  for (let made = 0; made < options.maxTokens; made++) {
    const token = chooseToken(nextTokens(index, context).tokens, options);
    if (token === undefined || token === 0) return "stop";
    yield token;
    context.push(token);
    if (context.length > contextMax) context.shift();
  }
  return "length";
}

/** −1, 0 or 1: how the suffix at `at` compares with the pattern, over the pattern's length. */
function compareAt(index: CorpusIndex, at: number, pattern: ArrayLike<number>, from: number, until: number): number {
  const { tokens } = index;
  const position = suffixAt(index.suffixes, at) - from;
  for (let i = from; i < until; i++) {
    const difference = tokens[position + i]! - pattern[i]!;
    // A separator is smaller than every pattern token, so the comparison ends before the corpus does.
    if (difference !== 0) return difference;
  }
  return 0;
}

function chooseToken(tokens: readonly NextToken[], options: GenerateOptions): number | undefined {
  const temperature = options.temperature ?? 0;
  if (temperature <= 0 || options.random === undefined) {
    let best = tokens[0];
    for (const candidate of tokens) if (best === undefined || candidate.count > best.count) best = candidate;
    return best?.token;
  }
  const most = tokens.reduce((max, { count }) => Math.max(max, count), 0);
  const weights = tokens.map(({ count }) => (count / most) ** (1 / temperature));
  let rest = options.random() * weights.reduce((sum, weight) => sum + weight, 0);
  for (let i = 0; i < tokens.length; i++) {
    rest -= weights[i]!;
    if (rest < 0) return tokens[i]!.token;
  }
  return tokens.at(-1)?.token;
}

/** The first place in [low, high) where `holds`, true on a prefix, is false. */
function partition(low: number, high: number, holds: (at: number) => boolean): number {
  let [from, until] = [low, high];
  while (from < until) {
    const middle = (from + until) >>> 1;
    if (holds(middle)) from = middle + 1;
    else until = middle;
  }
  return from;
}

/** Like {@link partition} from a place where it holds, in steps that double: short runs are found at once. */
function gallop(low: number, high: number, holds: (at: number) => boolean): number {
  let step = 1;
  while (low + step < high && holds(low + step)) step *= 2;
  return partition(low + (step >> 1) + 1, Math.min(low + step, high), holds);
}
