import { END_OF_RECORD } from "./bpe.ts";
import { PAGE_BYTES } from "./shardPages.ts";

/** Tokens in a row that the filter of a shard knows: as many as the shortest span that attribution or a trace asks for. */
export const GRAM_TOKENS = 4;
const BITS_PER_TOKEN = 2;
const BITS_PER_PAGE = 8 * PAGE_BYTES;
const WORDS_PER_PAGE = PAGE_BYTES / 4;

/** The pages that the filter of so many tokens takes. */
export function gramPages(tokens: number): number {
  return Math.ceil((BITS_PER_TOKEN * tokens) / BITS_PER_PAGE);
}

/**
 * Which grams stand in a text: a Bloom filter (1970) of one hash, a quarter of a byte a token. What it does not hold stands nowhere, so most of what an output
 * does not share with a shard is known without a page of it.
 */
export function gramsOf(tokens: Uint16Array): Uint32Array {
  const grams = new Uint32Array(gramPages(tokens.length) * WORDS_PER_PAGE);
  let inRecord = 0;
  for (let at = 0; at < tokens.length; at++) {
    inRecord = tokens[at] === END_OF_RECORD ? 0 : inRecord + 1;
    if (inRecord < GRAM_TOKENS) continue;
    const bit = bitOf(grams, tokens, at + 1 - GRAM_TOKENS);
    grams[bit >>> 5]! |= 1 << (bit & 31);
  }
  return grams;
}

/** How many of `lengthMax` tokens from query[from] on may stand together in the text of these grams; fewer than a gram always may. */
export function reachOf(grams: Uint32Array, query: Uint16Array, from: number, lengthMax: number): number {
  for (let length = GRAM_TOKENS; length <= lengthMax; length++) {
    const bit = bitOf(grams, query, from + length - GRAM_TOKENS);
    if (((grams[bit >>> 5]! >>> (bit & 31)) & 1) === 0) return length - 1;
  }
  return lengthMax;
}

/** The place of the gram at `at`: a page, and a bit within it, by murmur3's mixing. */
function bitOf(grams: Uint32Array, tokens: Uint16Array, at: number): number {
  let hash = Math.imul(tokens[at]! | (tokens[at + 1]! << 16), 0xcc9e2d51);
  hash = Math.imul((hash << 15) | (hash >>> 17), 0x1b873593);
  const second = Math.imul(tokens[at + 2]! | (tokens[at + 3]! << 16), 0xcc9e2d51);
  hash = Math.imul((hash << 13) | (hash >>> 19), 5) ^ Math.imul((second << 15) | (second >>> 17), 0x1b873593);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  hash ^= hash >>> 16;
  const page = Math.floor(((hash >>> 0) * (grams.length / WORDS_PER_PAGE)) / 2 ** 32);
  return page * BITS_PER_PAGE + (Math.imul(hash, 0x9e3779b1) >>> 17);
}
