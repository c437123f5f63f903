import type { CorpusIndex } from "../models/corpusIndex.ts";
import { SuffixSearch } from "../models/suffixSearch.ts";

/**
 * The maximal matching spans of an output: stretches of it that occur in the corpus and that are part of no longer stretch which
 * does (as in OLMoTrace, Liu et al. 2025, section 3).
 */
export interface MaximalSpan {
  /** Tokens [from, until) of the output. */
  readonly from: number;
  readonly until: number;
  /** The suffixes that begin with the span: `high − low` occurrences. */
  readonly low: number;
  readonly high: number;
}

/** What the walk over maximal spans asks of a corpus. Starts and ends never fall from one call of `longest` to the next. */
export interface SpanSearch {
  /** How many tokens from `from` on occur in the corpus; exact where at least the walk's `tokensMin`. */
  longest(from: number): number;
  /** Whether the tokens [from, until) occur; of fewer than `tokensMin` it may be said untested. */
  occurs(from: number, until: number): boolean;
}

/**
 * Calls `onSpan` for each maximal span of at least `tokensMin` (≥ 1) tokens, by start; their ends ascend too. `onSpan` may ask what the last call of
 * `longest` found.
 */
export function walkMaximalSpans(
  length: number,
  tokensMin: number,
  search: SpanSearch,
  onSpan: (from: number, until: number) => void,
): void {
  for (let from = 0; from + tokensMin <= length; ) {
    const found = search.longest(from);
    const isSpan = found >= tokensMin;
    if (isSpan) onSpan(from, from + found);
    // [from, absent) does not occur; every further span holds its last token, or begins after it.
    const absent = isSpan ? from + found + 1 : from + tokensMin;
    if (absent > length) return;
    from = nextStart(search, from, absent);
  }
}

/** All maximal spans of at least `tokensMin` (≥ 1) tokens, by start; their ends ascend too. */
export function findMaximalSpans(index: CorpusIndex, output: ArrayLike<number>, tokensMin = 1): MaximalSpan[] {
  const query = Uint16Array.from(output);
  const spans: MaximalSpan[] = [];
  const lookUp = new SuffixSearch(index, query);
  const search: SpanSearch = {
    longest: (from) => lookUp.longest(from, query.length - from),
    occurs: (from, until) => lookUp.longest(from, until - from) === until - from,
  };
  walkMaximalSpans(query.length, tokensMin, search, (from, until) =>
    spans.push({ from, until, low: lookUp.low(), high: lookUp.high() }),
  );
  return spans;
}

/**
 * The first start after `from` from which the corpus has all up to `until`; `until` itself where there is none. Whether it has is
 * monotone in the start, so it is found by galloping back from `until`: long spans cost few searches.
 */
function nextStart(search: SpanSearch, from: number, until: number): number {
  let absent = from;
  let present = until;
  for (let step = 1; present - absent > 1; ) {
    const start = Math.max(absent + 1, present - step);
    if (search.occurs(start, until)) {
      present = start;
      step *= 2;
    } else {
      absent = start;
      step = Math.max(1, (present - absent) >> 1);
    }
  }
  return present;
}
