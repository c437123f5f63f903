import { END_OF_RECORD } from "./bpe.ts";
import { type Suffixes, suffixAt } from "./suffixes.ts";

/** One in so many positions keeps its common prefix while the others are derived: half a byte a token of working memory. */
const SPARSITY = 8;

/**
 * How many tokens each suffix shares with the one before it in the suffix array, up to the end of its record: a function of the
 * suffix's place, to be asked in ascending order. Sparse Φ (Kärkkäinen, Manzini and Puglisi 2009, "Permuted Longest-Common-Prefix
 * Array"): a position shares at least what the position before it shares, less one, so copies however long cost linear time in total.
 */
export function commonPrefixes(tokens: Uint16Array, suffixes: Suffixes): (place: number) => number {
  const sampled = sampledPrefixes(tokens, suffixes);
  return (place) => {
    if (place === 0) return 0;
    const position = suffixAt(suffixes, place);
    const sample = Math.floor(position / SPARSITY);
    const known = Math.max(0, sampled[sample]! - (position - sample * SPARSITY));
    return extend(tokens, position, suffixAt(suffixes, place - 1), known);
  };
}

/** The common prefix of every {@link SPARSITY}-th position of the text with the suffix that stands before it. */
function sampledPrefixes(tokens: Uint16Array, suffixes: Suffixes): Int32Array {
  const sampled = new Int32Array(Math.ceil(tokens.length / SPARSITY)).fill(-1);
  for (let place = 1; place < suffixes.length; place++) {
    const position = suffixAt(suffixes, place);
    if (position % SPARSITY === 0) sampled[position / SPARSITY] = suffixAt(suffixes, place - 1);
  }
  let shared = 0;
  for (let sample = 0; sample < sampled.length; sample++) {
    const before = sampled[sample]!;
    shared = before < 0 ? 0 : extend(tokens, sample * SPARSITY, before, Math.max(0, shared - SPARSITY));
    sampled[sample] = shared;
  }
  return sampled;
}

/** A record that ends is equal to nothing, so this stops before the text does. */
function extend(tokens: Uint16Array, a: number, b: number, known: number): number {
  let shared = known;
  for (let token = tokens[a + shared]!; token !== END_OF_RECORD && token === tokens[b + shared]; ) {
    token = tokens[a + ++shared]!;
  }
  return shared;
}
