import { utf8 } from "../core/bytes.ts";
import { assert } from "../core/result.ts";
import { makeTokenizer, TOKENS_MAX, type Tokenizer, wordPattern } from "./bpe.ts";
import { NumberHeap } from "./numberHeap.ts";

/**
 * Learns a byte-level BPE: words are counted once, then the most frequent pair is merged until the vocabulary is full or no pair
 * occurs twice. Deterministic: of equally frequent pairs, the one with the smaller left, then smaller right token is merged.
 */
export function trainTokenizer(texts: Iterable<string>, tokensMax: number = TOKENS_MAX): Tokenizer {
  assert(
    tokensMax >= 257 && tokensMax <= TOKENS_MAX,
    `a vocabulary holds the 256 bytes and at most ${TOKENS_MAX} tokens`,
  );
  const words = countWords(texts);
  const bytes: Uint8Array[] = [
    new Uint8Array(0),
    ...Array.from({ length: 256 }, (_unused, byte) => Uint8Array.of(byte)),
  ];
  const taken = new Set(bytes.map((token) => token.join()));
  const pairs = new PairCounts(words);
  const merges: [number, number][] = [];
  while (bytes.length < tokensMax) {
    const best = pairs.takeMostFrequent();
    if (best === undefined) break;
    const [left, right] = best;
    const merged = Uint8Array.of(...bytes[left]!, ...bytes[right]!);
    // Two ways to make the same bytes would leave one token that no text yields.
    if (taken.has(merged.join())) continue;
    taken.add(merged.join());
    merges.push([left, right]);
    pairs.merge(left, right, bytes.push(merged) - 1);
  }
  return makeTokenizer(bytes, merges);
}

interface Word {
  tokens: number[];
  readonly count: number;
}

function countWords(texts: Iterable<string>): Word[] {
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const match of text.matchAll(wordPattern)) counts.set(match[0], (counts.get(match[0]) ?? 0) + 1);
  }
  return Array.from(counts, ([word, count]) => ({ tokens: Array.from(utf8(word), (byte) => byte + 1), count }));
}

/** 2^26 pairs of tokens; with counts below 2^27 a heap item is a safe integer. */
const PAIRS_MAX = TOKENS_MAX * TOKENS_MAX;

/** How often each pair stands side by side, with a lazily corrected heap over the counts. */
class PairCounts {
  readonly #words: readonly Word[];
  readonly #counts = new Map<number, number>();
  readonly #places = new Map<number, Set<number>>();
  readonly #heap = new NumberHeap();

  constructor(words: readonly Word[]) {
    this.#words = words;
    words.forEach((_word, index) => {
      this.#count(index, 1);
    });
    for (const pair of this.#counts.keys()) this.#offer(pair);
  }

  takeMostFrequent(): [left: number, right: number] | undefined {
    for (let item = this.#heap.pop(); item !== undefined; item = this.#heap.pop()) {
      const pair = item + Math.ceil(-item / PAIRS_MAX) * PAIRS_MAX;
      const claimed = Math.ceil(-item / PAIRS_MAX);
      const count = this.#counts.get(pair) ?? 0;
      if (count < 2) continue;
      if (count === claimed) return [Math.floor(pair / TOKENS_MAX), pair % TOKENS_MAX];
      if (count < claimed) this.#offer(pair);
    }
    return undefined;
  }

  merge(left: number, right: number, merged: number): void {
    const pair = left * TOKENS_MAX + right;
    const touched = new Set<number>();
    for (const index of this.#places.get(pair) ?? []) {
      const word = this.#words[index]!;
      this.#count(index, -1);
      word.tokens = replacePair(word.tokens, left, right, merged);
      for (const changed of this.#count(index, 1)) touched.add(changed);
    }
    this.#places.delete(pair);
    this.#counts.delete(pair);
    for (const changed of touched) this.#offer(changed);
  }

  /** Adds (or, with −1, removes) one word's pairs; returns them. */
  #count(index: number, sign: 1 | -1): number[] {
    const { tokens, count } = this.#words[index]!;
    const pairs: number[] = [];
    for (let i = 0; i + 1 < tokens.length; i++) {
      const pair = tokens[i]! * TOKENS_MAX + tokens[i + 1]!;
      this.#counts.set(pair, (this.#counts.get(pair) ?? 0) + sign * count);
      if (sign < 0) continue;
      pairs.push(pair);
      const places = this.#places.get(pair);
      if (places === undefined) this.#places.set(pair, new Set([index]));
      else places.add(index);
    }
    return pairs;
  }

  #offer(pair: number): void {
    const count = this.#counts.get(pair) ?? 0;
    // More frequent first, then the smaller pair.
    if (count >= 2) this.#heap.push(pair - count * PAIRS_MAX);
  }
}

function replacePair(tokens: readonly number[], left: number, right: number, merged: number): number[] {
  const out: number[] = [];
  for (let i = 0; i < tokens.length; i++) {
    if (tokens[i] === left && tokens[i + 1] === right) {
      out.push(merged);
      i++;
    } else out.push(tokens[i]!);
  }
  return out;
}
