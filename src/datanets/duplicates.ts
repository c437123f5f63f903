import { jaccard, shinglesOf, signatureOf, signatureOverlap } from "./shingles.ts";

/**
 * Near-duplicates: texts whose five-word shingles agree by at least 0.8 (Jaccard) after {@link ./fold.ts} has folded case, spacing, invisible
 * characters and look-alike letters away. Of a cluster the first registered stands for all: a copy earns its copier nothing.
 *
 * MinHash signatures in 32 bands of 4 rows find candidates: a pair at 0.8 is missed with probability (1 − 0.8⁴)³² ≈ 5·10⁻⁸. Each candidate is then
 * checked by its true similarity, so nothing is a duplicate by chance. The hash family is public, for everybody to recompute: who rewrites a text
 * until no band agrees has rewritten it. A copy inside a much longer text is below 0.8 and stays; span attribution still credits the first.
 */
export const NEAR_DUPLICATE_MIN = 0.8;

const BANDS = 32;
const ROWS = 4;
/** A bucket holds at most so many first-registered texts, so that crafted collisions cost at most this much a text. */
const BUCKET_MAX = 256;
/** Below this estimate a pair is not looked at: more than five standard deviations under the threshold. */
const ESTIMATE_MIN = 0.6;

export class DuplicateIndex {
  readonly #buckets = new Map<number, number[]>();
  readonly #shingles: (Uint32Array | undefined)[] = [];
  readonly #signatures: (Uint32Array | undefined)[] = [];

  /** Texts added so far. */
  get size(): number {
    return this.#shingles.length;
  }

  /**
   * Adds a text as number `size`. Returns the number of the earliest text that stands for it, or its own number when it is the first of its kind.
   * Only texts that stand for themselves stand for others: similarity is not chained along a row of small changes.
   */
  add(text: string): number {
    const number = this.#shingles.length;
    const shingles = shinglesOf(text);
    const signature = signatureOf(shingles);
    const keys = bandKeys(signature);
    const first = this.#first(shingles, signature, keys);
    const isFirst = first === undefined;
    this.#shingles.push(isFirst ? shingles : undefined);
    this.#signatures.push(isFirst ? signature : undefined);
    if (!isFirst) return first;
    for (const key of keys) {
      const bucket = this.#buckets.get(key);
      if (bucket === undefined) this.#buckets.set(key, [number]);
      else if (bucket.length < BUCKET_MAX) bucket.push(number);
    }
    return number;
  }

  /** The number of the earliest text that would stand for this one; nothing is added. */
  find(text: string): number | undefined {
    const shingles = shinglesOf(text);
    const signature = signatureOf(shingles);
    return this.#first(shingles, signature, bandKeys(signature));
  }

  #first(shingles: Uint32Array, signature: Uint32Array, keys: readonly number[]): number | undefined {
    const candidates = new Set<number>();
    for (const key of keys) for (const candidate of this.#buckets.get(key) ?? []) candidates.add(candidate);
    let first: number | undefined;
    for (const candidate of candidates) {
      if (first !== undefined && candidate > first) continue;
      if (signatureOverlap(signature, this.#signatures[candidate]!) < ESTIMATE_MIN) continue;
      if (jaccard(shingles, this.#shingles[candidate]!) >= NEAR_DUPLICATE_MIN) first = candidate;
    }
    return first;
  }
}

/** For each text in order of registration, the index of the one that stands for it: its own when it is the first of its kind. */
export function duplicateClusters(texts: Iterable<string>): number[] {
  const index = new DuplicateIndex();
  return Array.from(texts, (text) => index.add(text));
}

/** One number a band: exact in a double, since 32 bands take 5 bits above 32. */
function bandKeys(signature: Uint32Array): number[] {
  const keys: number[] = [];
  for (let band = 0; band < BANDS; band++) {
    let hash = 0x811c_9dc5;
    for (let row = 0; row < ROWS; row++) {
      hash = Math.imul(hash ^ signature[band * ROWS + row]!, 0x85eb_ca6b);
      hash ^= hash >>> 15;
    }
    keys.push(band * 2 ** 32 + (hash >>> 0));
  }
  return keys;
}
