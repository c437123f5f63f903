import { assert } from "../core/result.ts";

/**
 * Suffix arrays in linear time: SA-IS (Nong, Zhang and Chan 2009, "Linear Suffix Array Construction by Almost Pure
 * Induced-Sorting"), in the in-place form of Yuta Mori's sais-lite: names and recursion live inside the output array,
 * and a suffix whose left neighbour must not be induced in this pass is kept as its complement, which saves reading its type.
 */

/** Symbols, each below the alphabet's size. */
export type Symbols = Uint16Array | Int32Array;

/**
 * The suffix array of `symbols` (each in [0, alphabetSize)): the start positions of all suffixes in ascending order.
 * The end of the text sorts before every symbol. Shape [n]; about 8 bytes a symbol of working memory besides the input at worst.
 */
export function buildSuffixArray(symbols: Symbols, alphabetSize: number): Int32Array {
  assert(symbols.length < 2 ** 31 - 1, "a suffix array addresses its text with 31 bits");
  const suffixes = new Int32Array(symbols.length);
  sortSuffixes(symbols, suffixes, symbols.length, alphabetSize);
  return suffixes;
}

function sortSuffixes(text: Symbols, out: Int32Array, n: number, alphabetSize: number): void {
  if (n <= 1) return;
  const counts = new Int32Array(alphabetSize);
  for (let i = 0; i < n; i++) counts[text[i]!]!++;
  const buckets = new Int32Array(alphabetSize);
  bucketEnds(counts, buckets);
  const leftmost = placeLeftmost(text, out, n, buckets);
  let names = leftmost;
  if (leftmost > 1) {
    sortLeftmostSubstrings(text, out, n, counts, buckets);
    gatherLeftmost(out, leftmost);
    names = nameLeftmost(text, out, n, leftmost);
  }
  if (names < leftmost) sortLeftmostSuffixes(text, out, n, leftmost, names);
  if (leftmost > 1) spreadLeftmost(text, out, n, leftmost, counts, buckets);
  induceAll(text, out, n, counts, buckets);
}

function bucketStarts(counts: Int32Array, buckets: Int32Array): void {
  let sum = 0;
  for (let c = 0; c < counts.length; c++) {
    buckets[c] = sum;
    sum += counts[c]!;
  }
}

function bucketEnds(counts: Int32Array, buckets: Int32Array): void {
  let sum = 0;
  for (let c = 0; c < counts.length; c++) {
    sum += counts[c]!;
    buckets[c] = sum;
  }
}

/**
 * The next leftmost-S suffix (LMS: it sorts before its right neighbour, and its left neighbour after it) at or below `i`, or -1.
 * Together with {@link skipDescent} a cursor over all of them from right to left, which three passes share.
 */
function leftmostBelow(text: Symbols, i: number): number {
  let at = i;
  let symbol = text[at]!;
  while (at > 0 && text[at - 1]! <= symbol) symbol = text[--at]!;
  return at === 0 ? -1 : at;
}

/** Walks left over the L suffixes that end at `i`: the next position is an S suffix, from which {@link leftmostBelow} may start. */
function skipDescent(text: Symbols, i: number): number {
  let at = i;
  let symbol = text[at]!;
  while (at > 0 && text[at - 1]! >= symbol) symbol = text[--at]!;
  return at - 1;
}

/** Puts `position − 1` of each LMS suffix at the end of its bucket; the leftmost one induces nothing. Returns how many there are. */
function placeLeftmost(text: Symbols, out: Int32Array, n: number, buckets: Int32Array): number {
  let count = 0;
  let slot = -1;
  let pending = 0;
  for (let at = skipDescent(text, n - 1); at >= 0; ) {
    const found = leftmostBelow(text, at);
    if (found < 0) break;
    if (slot >= 0) out[slot] = pending;
    slot = --buckets[text[found]!]!;
    pending = found - 1;
    count++;
    at = skipDescent(text, found - 1);
  }
  if (count === 1) out[slot] = pending + 1;
  return count;
}

/** Stage 1: sorts the LMS substrings; each ends as the complement of its position. */
function sortLeftmostSubstrings(
  text: Symbols,
  out: Int32Array,
  n: number,
  counts: Int32Array,
  buckets: Int32Array,
): void {
  bucketStarts(counts, buckets);
  let symbol = text[n - 1]!;
  let slot = buckets[symbol]!;
  let j = n - 2;
  out[slot++] = text[j]! < symbol ? ~j : j;
  for (let i = 0; i < n; i++) {
    j = out[i]!;
    if (j > 0) {
      const first = text[j]!;
      if (first !== symbol) {
        buckets[symbol] = slot;
        symbol = first;
        slot = buckets[symbol]!;
      }
      j--;
      out[slot++] = text[j]! < symbol ? ~j : j;
      out[i] = 0;
    } else if (j < 0) {
      out[i] = ~j;
    }
  }
  bucketEnds(counts, buckets);
  symbol = 0;
  slot = buckets[0]!;
  for (let i = n - 1; i >= 0; i--) {
    j = out[i]!;
    if (j <= 0) continue;
    const first = text[j]!;
    if (first !== symbol) {
      buckets[symbol] = slot;
      symbol = first;
      slot = buckets[symbol]!;
    }
    j--;
    out[--slot] = text[j]! > symbol ? ~(j + 1) : j;
    out[i] = 0;
  }
}

/** Moves the sorted LMS positions to the front. */
function gatherLeftmost(out: Int32Array, leftmost: number): void {
  let kept = 0;
  for (let i = 0; kept < leftmost; i++) {
    const p = out[i]!;
    if (p >= 0) continue;
    out[i] = 0;
    out[kept++] = ~p;
  }
}

/** Gives equal LMS substrings equal names, in order, at `leftmost + position / 2`. Returns how many names there are. */
function nameLeftmost(text: Symbols, out: Int32Array, n: number, leftmost: number): number {
  out.fill(0, leftmost, n);
  let end = n;
  for (let at = skipDescent(text, n - 1); at >= 0; ) {
    const found = leftmostBelow(text, at);
    if (found < 0) break;
    out[leftmost + (found >> 1)] = end - found;
    end = found + 1;
    at = skipDescent(text, found - 1);
  }
  let names = 0;
  let before = n;
  let lengthBefore = 0;
  for (let i = 0; i < leftmost; i++) {
    const p = out[i]!;
    const length = out[leftmost + (p >> 1)]!;
    let differs = true;
    if (length === lengthBefore && before + length < n) {
      let j = 0;
      while (j < length && text[p + j] === text[before + j]) j++;
      differs = j < length;
    }
    if (differs) {
      names++;
      before = p;
      lengthBefore = length;
    }
    out[leftmost + (p >> 1)] = names;
  }
  return names;
}

/** Stage 2: names are not unique, so the string of names is sorted by the same means, inside the same array. */
function sortLeftmostSuffixes(text: Symbols, out: Int32Array, n: number, leftmost: number, names: number): void {
  const reduced = out.subarray(n - leftmost, n);
  let j = leftmost - 1;
  for (let i = leftmost + (n >> 1) - 1; i >= leftmost; i--) {
    if (out[i] !== 0) reduced[j--] = out[i]! - 1;
  }
  const sorted = out.subarray(0, leftmost);
  sorted.fill(0);
  sortSuffixes(reduced, sorted, leftmost, names);
  j = leftmost - 1;
  for (let at = skipDescent(text, n - 1); at >= 0; ) {
    const found = leftmostBelow(text, at);
    if (found < 0) break;
    reduced[j--] = found;
    at = skipDescent(text, found - 1);
  }
  for (let i = 0; i < leftmost; i++) sorted[i] = reduced[sorted[i]!]!;
}

/** Stage 3: puts the sorted LMS suffixes at the ends of their buckets, zeros elsewhere. */
function spreadLeftmost(
  text: Symbols,
  out: Int32Array,
  n: number,
  leftmost: number,
  counts: Int32Array,
  buckets: Int32Array,
): void {
  bucketEnds(counts, buckets);
  let j = n;
  let i = leftmost - 1;
  while (i >= 0) {
    const symbol = text[out[i]!]!;
    const end = buckets[symbol]!;
    while (j > end) out[--j] = 0;
    while (i >= 0 && text[out[i]!] === symbol) out[--j] = out[i--]!;
  }
  while (j > 0) out[--j] = 0;
}

/** Sorts all suffixes from the sorted LMS suffixes: L types left to right, S types right to left. */
function induceAll(text: Symbols, out: Int32Array, n: number, counts: Int32Array, buckets: Int32Array): void {
  bucketStarts(counts, buckets);
  let j = n - 1;
  let symbol = text[j]!;
  let slot = buckets[symbol]!;
  out[slot++] = text[j - 1]! < symbol ? ~j : j;
  for (let i = 0; i < n; i++) {
    j = out[i]!;
    out[i] = ~j;
    if (j <= 0) continue;
    j--;
    const first = text[j]!;
    if (first !== symbol) {
      buckets[symbol] = slot;
      symbol = first;
      slot = buckets[symbol]!;
    }
    out[slot++] = j > 0 && text[j - 1]! < symbol ? ~j : j;
  }
  bucketEnds(counts, buckets);
  symbol = 0;
  slot = buckets[0]!;
  for (let i = n - 1; i >= 0; i--) {
    j = out[i]!;
    if (j <= 0) {
      out[i] = ~j;
      continue;
    }
    j--;
    const first = text[j]!;
    if (first !== symbol) {
      buckets[symbol] = slot;
      symbol = first;
      slot = buckets[symbol]!;
    }
    out[--slot] = j === 0 || text[j - 1]! > symbol ? ~j : j;
  }
}
