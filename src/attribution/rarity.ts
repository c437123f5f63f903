import { assert } from "../core/result.ts";
import type { CorpusIndex } from "../models/corpusIndex.ts";

/**
 * How much a token says: −log2 of its share of the corpus, in whole units of 1/256 bit. Logarithms are taken in integers, so that
 * everybody who recomputes an attribution gets the same bits on any engine (`Math.log2` may differ in its last place).
 */
export const UNITS_PER_BIT = 256;

/** ⌊256 · log2 value⌋ of a whole value in [1, 2^53), by repeated squaring of a 26-bit mantissa, rounded down at each step. */
export function log2Units(value: number): number {
  assert(Number.isSafeInteger(value) && value >= 1, "the logarithm of a whole number in [1, 2^53)");
  const exponent = value < 2 ** 32 ? 31 - Math.clz32(value) : 63 - Math.clz32(value / 2 ** 32);
  let mantissa = Math.floor((value * 2 ** 25) / 2 ** exponent); // in [2^25, 2^26)
  let units = exponent;
  for (let bit = 0; bit < 8; bit++) {
    mantissa = Math.floor((mantissa * mantissa) / 2 ** 25); // below 2^52: exact before the floor
    units *= 2;
    if (mantissa >= 2 ** 26) {
      units++;
      mantissa = Math.floor(mantissa / 2);
    }
  }
  return units;
}

/** Units of each token of the vocabulary, at least 1; what the corpus never says counts as said once. Shape [vocabulary]. */
export function tokenUnits(index: CorpusIndex): Uint16Array {
  let units = cache.get(index);
  if (units === undefined) {
    const counts = Float64Array.from(
      index.tokenizer.bytes,
      (_, token) => index.buckets[token + 1]! - index.buckets[token]!,
    );
    units = unitsOf(counts, index.suffixes.length);
    cache.set(index, units);
  }
  return units;
}

/** {@link tokenUnits} from how often each token stands in a corpus of `total` tokens, separators aside. */
export function unitsOf(counts: Float64Array, total: number): Uint16Array {
  const whole = log2Units(Math.max(1, total));
  return Uint16Array.from(counts, (count) => Math.max(1, whole - log2Units(Math.max(1, count))));
}

const cache = new WeakMap<CorpusIndex, Uint16Array>();
