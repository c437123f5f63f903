import type { CorpusIndex } from "../models/corpusIndex.ts";

/**
 * The maximal matching spans of an output: stretches of it that occur in the corpus and that are part of no longer stretch which
 * does (as in OLMoTrace, Liu et al. 2025, section 3). Each look-up is one binary search that carries the common
 * prefixes of its two bounds (Manber and Myers 1993).
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
  /** Whether the tokens [from, until) occur. */
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
  let match: Match = { length: 0, at: 0 };
  const search: SpanSearch = {
    longest: (from) => {
      match = longestMatch(index, query, from, query.length - from);
      return match.length;
    },
    occurs: (from, until) => longestMatch(index, query, from, until - from).length === until - from,
  };
  walkMaximalSpans(query.length, tokensMin, search, (from, until) =>
    spans.push({ from, until, ...widen(index, match.at, match.length) }),
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

interface Match {
  readonly length: number;
  /** A place in the suffix array that begins with the match. */
  readonly at: number;
}

/** The longest prefix of query[from…], of at most `lengthMax` tokens, that occurs in the corpus. */
function longestMatch(index: CorpusIndex, query: Uint16Array, from: number, lengthMax: number): Match {
  const { tokens, suffixes, buckets } = index;
  const first = query[from]!;
  let low = buckets[first]! - 1;
  let high = buckets[first + 1]!;
  if (high - low === 1) return { length: 0, at: 0 };
  let lowPrefix = 1;
  let highPrefix = 1;
  const [before, after] = [low, high];
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    let prefix = Math.min(lowPrefix, highPrefix);
    let position = suffixes[middle]! + prefix;
    // A separator matches no token of an output, so this stops within the record.
    while (prefix < lengthMax && tokens[position] === query[from + prefix]) {
      prefix++;
      position++;
    }
    if (prefix === lengthMax) return { length: lengthMax, at: middle };
    if (tokens[position]! < query[from + prefix]!) {
      low = middle;
      lowPrefix = prefix;
    } else {
      high = middle;
      highPrefix = prefix;
    }
  }
  // The neighbours of where the query would stand hold the longest match; a bound that was never moved is no neighbour.
  if (high === after || (low !== before && lowPrefix >= highPrefix)) return { length: lowPrefix, at: low };
  return { length: highPrefix, at: high };
}

/** All suffixes around `at` that share its first `length` tokens. */
function widen(index: CorpusIndex, at: number, length: number): { low: number; high: number } {
  const { tokens, suffixes, buckets } = index;
  const origin = suffixes[at]!;
  const shares = (place: number): boolean => {
    const position = suffixes[place]!;
    for (let k = 0; k < length; k++) if (tokens[position + k] !== tokens[origin + k]) return false;
    return true;
  };
  const first = tokens[origin]!;
  return {
    low: edge(at, buckets[first]! - 1, -1, shares),
    high: edge(at, buckets[first + 1]!, 1, shares),
  };
}

/**
 * Walks from `at` towards `bound` (excluded) in doubling steps, then bisects: the last place that shares (downwards), or
 * the first that does not (upwards).
 */
function edge(at: number, bound: number, direction: 1 | -1, shares: (place: number) => boolean): number {
  let inside = at;
  let outside = bound;
  for (let step = 1; (outside - inside) * direction > step; step *= 2) {
    const place = inside + step * direction;
    if (!shares(place)) {
      outside = place;
      break;
    }
    inside = place;
  }
  while (Math.abs(outside - inside) > 1) {
    const middle = inside + Math.trunc((outside - inside) / 2);
    if (shares(middle)) inside = middle;
    else outside = middle;
  }
  return direction === 1 ? outside : inside;
}
