import { foldedWords } from "./fold.ts";

/** Texts as sets of overlapping word sequences (Broder 1997), and MinHash signatures that estimate how much two sets share. */
const SHINGLE_WORDS = 5;
const SIGNATURE_HASHES = 128;

/** The distinct 32-bit hashes of every five words in a row, ascending. A shorter text is one shingle. Never empty. */
export function shinglesOf(text: string): Uint32Array {
  const hashes = foldedWords(text).map(hashWord);
  if (hashes.length === 0) return Uint32Array.of(hashWord(text.replace(/\s+/g, "")));
  const count = Math.max(1, hashes.length - SHINGLE_WORDS + 1);
  const width = Math.min(SHINGLE_WORDS, hashes.length);
  const all = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    let mixed = width;
    for (let j = i; j < i + width; j++) mixed = mix(Math.imul(mixed, 0x9e3779b1) ^ hashes[j]!);
    all[i] = mixed;
  }
  all.sort();
  let kept = 0;
  for (let i = 0; i < count; i++) if (i === 0 || all[i] !== all[i - 1]) all[kept++] = all[i]!;
  return all.slice(0, kept);
}

/** |a ∩ b| / |a ∪ b| of two ascending sets. */
export function jaccard(a: Uint32Array, b: Uint32Array): number {
  let [i, j, shared] = [0, 0, 0];
  while (i < a.length && j < b.length) {
    const [x, y] = [a[i]!, b[j]!];
    if (x === y) shared++;
    if (x <= y) i++;
    if (y <= x) j++;
  }
  return shared / (a.length + b.length - shared);
}

/** 128 minima, one for each hash function of a fixed family: the same on every machine. */
export function signatureOf(shingles: Uint32Array): Uint32Array {
  const signature = new Uint32Array(SIGNATURE_HASHES).fill(0xffff_ffff);
  for (let s = 0; s < shingles.length; s++) {
    const shingle = shingles[s]!;
    for (let h = 0; h < SIGNATURE_HASHES; h++) {
      const value = (Math.imul(shingle ^ adders[h]!, multipliers[h]!) >>> 0) ^ (shingle >>> 15);
      if (value >>> 0 < signature[h]!) signature[h] = value >>> 0;
    }
  }
  return signature;
}

/** The part of two signatures that agrees: an estimate of their Jaccard similarity, with standard deviation at most 0.045. */
export function signatureOverlap(a: Uint32Array, b: Uint32Array): number {
  let same = 0;
  for (let h = 0; h < SIGNATURE_HASHES; h++) if (a[h] === b[h]) same++;
  return same / SIGNATURE_HASHES;
}

const adders = new Uint32Array(SIGNATURE_HASHES);
const multipliers = new Uint32Array(SIGNATURE_HASHES);
for (let h = 0; h < SIGNATURE_HASHES; h++) {
  adders[h] = mix(0x51ed_270b + h);
  multipliers[h] = mix(0x2545_f491 + Math.imul(h, 0x9e37_79b1)) | 1;
}

/** FNV-1a over UTF-16 code units, then mixed. */
function hashWord(word: string): number {
  let hash = 0x811c_9dc5;
  for (let i = 0; i < word.length; i++) hash = Math.imul(hash ^ word.charCodeAt(i), 0x0100_0193);
  return mix(hash);
}

/** The finaliser of MurmurHash3: every input bit reaches every output bit. */
function mix(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
