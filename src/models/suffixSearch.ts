import type { CorpusIndex } from "./corpusIndex.ts";
import { suffixAt } from "./suffixes.ts";

/** A binary search halves 2^31 places at most so often. */
const STEPS_MAX = 32;

/**
 * Looks stretches of one query up in a corpus. A search carries how much its two bounds share with the query (Manber and Myers 1993), and remembers how
 * they moved: where all occurrences begin and end follows from that with few more comparisons. Nothing is allocated by a search.
 */
export class SuffixSearch {
  readonly #index: CorpusIndex;
  readonly #query: Uint16Array;
  /** Where the bounds stood, outermost first, and what the suffixes there share with the query. */
  readonly #lows = new Int32Array(STEPS_MAX + 1);
  readonly #lowPrefixes = new Int32Array(STEPS_MAX + 1);
  readonly #highs = new Int32Array(STEPS_MAX + 1);
  readonly #highPrefixes = new Int32Array(STEPS_MAX + 1);
  #lowCount = 0;
  #highCount = 0;
  #from = 0;
  #length = 0;
  #at = 0;

  constructor(index: CorpusIndex, query: Uint16Array) {
    this.#index = index;
    this.#query = query;
  }

  /** How many tokens of query[from…], at most `lengthMax` ≥ 1, occur together in a record. */
  longest(from: number, lengthMax: number): number {
    const { tokens, suffixes, buckets } = this.#index;
    const query = this.#query;
    const first = query[from]!;
    let low = buckets[first]! - 1;
    let high = buckets[first + 1]!;
    this.#from = from;
    this.#length = 0;
    this.#begin(low, high);
    if (high - low === 1) return 0;
    // All of a bucket share the first token; its bounds belong to others, and are never read.
    let lowPrefix = 1;
    let highPrefix = 1;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      let prefix = Math.min(lowPrefix, highPrefix);
      let position = suffixAt(suffixes, middle) + prefix;
      // A separator matches no token of an output, so this stops within the record.
      while (prefix < lengthMax && tokens[position] === query[from + prefix]) {
        prefix++;
        position++;
      }
      if (prefix === lengthMax) return this.#found(prefix, middle);
      if (tokens[position]! < query[from + prefix]!) {
        low = middle;
        lowPrefix = prefix;
        this.#lows[this.#lowCount] = middle;
        this.#lowPrefixes[this.#lowCount++] = prefix;
      } else {
        high = middle;
        highPrefix = prefix;
        this.#highs[this.#highCount] = middle;
        this.#highPrefixes[this.#highCount++] = prefix;
      }
    }
    // The neighbours of where the query would stand hold the longest match; a bound that was never moved is no neighbour.
    if (this.#highCount === 1 || (this.#lowCount > 1 && lowPrefix >= highPrefix)) return this.#found(lowPrefix, low);
    return this.#found(highPrefix, high);
  }

  /** The first place that holds what the last {@link longest} found. */
  low(): number {
    return this.#beside(this.#lows, this.#lowPrefixes, this.#lowCount) + 1;
  }

  /** The first place after {@link low} that does not hold it. */
  high(): number {
    return this.#beside(this.#highs, this.#highPrefixes, this.#highCount);
  }

  /** On the side of these bounds, the place nearest to what was found that does not hold it: between the last bound that does not and one that does. */
  #beside(bounds: Int32Array, prefixes: Int32Array, count: number): number {
    if (this.#length === 1) return bounds[0]!;
    let i = count - 1;
    let inside = this.#at;
    while (prefixes[i]! >= this.#length) inside = bounds[i--]!;
    let outside = bounds[i]!;
    let prefix = prefixes[i]!;
    while (Math.abs(outside - inside) > 1) {
      const middle = (inside + outside) >> 1;
      const shared = this.#shared(middle, prefix);
      if (shared === this.#length) inside = middle;
      else {
        outside = middle;
        prefix = shared;
      }
    }
    return outside;
  }

  #begin(low: number, high: number): void {
    this.#lows[0] = low;
    this.#highs[0] = high;
    this.#lowPrefixes[0] = 0;
    this.#highPrefixes[0] = 0;
    this.#lowCount = 1;
    this.#highCount = 1;
  }

  #found(length: number, at: number): number {
    this.#length = length;
    this.#at = at;
    return length;
  }

  /** How much of the match the suffix at a place shares, which is at least `known`. */
  #shared(place: number, known: number): number {
    const { tokens, suffixes } = this.#index;
    let shared = known;
    let position = suffixAt(suffixes, place) + shared;
    while (shared < this.#length && tokens[position] === this.#query[this.#from + shared]) {
      shared++;
      position++;
    }
    return shared;
  }
}
