import { concat, equalBytes, u64 } from "./bytes.ts";
import { sha256 } from "./hash.ts";
import { assert, ok, type Result, refuse } from "./result.ts";

/**
 * The journal's Merkle tree: RFC 6962 §2.1 with SHA-256, proofs verified as in RFC 9162 §2.1.3 and §2.1.4.
 * Sizes and indices are safe integers, so no bitwise operator (32 bits in JavaScript) touches them.
 */

/** The hash over entries [index·2^level, (index + 1)·2^level); proofs ask only for subtrees that are complete. */
export type HashReader = (level: number, index: number) => Uint8Array;

/** The root of no entries: SHA-256 of nothing. */
export const EMPTY_ROOT: Uint8Array = sha256();

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

/** SHA-256(0x00 ‖ entry): 32 bytes. */
export function leafHash(entry: Uint8Array): Uint8Array {
  return sha256(LEAF, entry);
}

/** SHA-256(0x01 ‖ left ‖ right): 32 bytes. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  return sha256(NODE, left, right);
}

/** The root over a list of leaf hashes. */
export function rootOf(leafHashes: readonly Uint8Array[]): Uint8Array {
  const frontier = new Frontier();
  for (const hash of leafHashes) frontier.append(hash);
  return frontier.root();
}

/** Every complete subtree over a list of leaf hashes, held in memory: for short lists such as one batch. */
export function hashReader(leafHashes: readonly Uint8Array[]): HashReader {
  const levels: Uint8Array[][] = [[...leafHashes]];
  for (let below = levels[0]!; below.length > 1; below = levels.at(-1)!) {
    levels.push(
      Array.from({ length: Math.floor(below.length / 2) }, (_, i) => nodeHash(below[2 * i]!, below[2 * i + 1]!)),
    );
  }
  return (level, index) => {
    const hash = levels[level]?.[index];
    assert(hash !== undefined, `a complete subtree at level ${level}, index ${index}`);
    return hash;
  };
}

/**
 * The right edge of a growing tree: the roots of its complete subtrees, largest first, one for each bit of its size.
 * That is all an append or a root needs, so a restart restores at most 53 hashes and not the journal.
 */
export class Frontier {
  readonly #peaks: Uint8Array[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Appends one 32-byte leaf hash; `onNode` hears of every subtree that this completes, the leaf (level 0) first. */
  append(hash: Uint8Array, onNode?: (level: number, index: number, hash: Uint8Array) => void): void {
    assert(hash.length === 32, "a leaf hash has 32 bytes");
    let node = hash;
    let index = this.#size;
    onNode?.(0, index, node);
    for (let level = 1; index % 2 === 1; level++) {
      node = nodeHash(this.#peaks.pop()!, node);
      index = (index - 1) / 2;
      onNode?.(level, index, node);
    }
    this.#peaks.push(node);
    this.#size++;
  }

  /** The RFC 6962 root, in at most 53 hashes. */
  root(): Uint8Array {
    return this.#peaks.length === 0 ? EMPTY_ROOT : this.#peaks.reduceRight((right, left) => nodeHash(left, right));
  }

  /** u64 size, then the 32-byte peaks, largest first. */
  encode(): Uint8Array {
    return concat(u64(this.#size), ...this.#peaks);
  }

  /** Refuses bytes whose number of peaks is not that of their size. */
  static decode(bytes: Uint8Array): Result<Frontier> {
    const damaged = refuse("data_folder_damaged", `${bytes.length} bytes are not the edge of a journal's tree`);
    if (bytes.length < 8) return damaged;
    const size = Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0));
    if (!Number.isSafeInteger(size) || bytes.length !== 8 + 32 * peakCount(size)) return damaged;
    const frontier = new Frontier();
    for (let at = 8; at < bytes.length; at += 32) frontier.#peaks.push(bytes.slice(at, at + 32));
    frontier.#size = size;
    return ok(frontier);
  }
}

/** The root of the first `size` entries of a tree that `read` knows. */
export function rootFrom(read: HashReader, size: number): Uint8Array {
  return size === 0 ? EMPTY_ROOT : rangeHash(read, 0, size);
}

/** RFC 6962 §2.1.1: the audit path of entry `index` in the tree of `size` entries, lowest sibling first. */
export function inclusionProof(read: HashReader, index: number, size: number): Uint8Array[] {
  assert(Number.isSafeInteger(size) && index >= 0 && index < size, `entry ${index} of ${size}`);
  const path: Uint8Array[] = [];
  let start = 0;
  for (let end = size; end - start > 1; ) {
    const middle = start + leftWidth(end - start);
    if (index < middle) {
      path.push(rangeHash(read, middle, end));
      end = middle;
    } else {
      path.push(rangeHash(read, start, middle));
      start = middle;
    }
  }
  return path.reverse();
}

/** RFC 6962 §2.1.2: the proof that the tree of `from` entries is a prefix of the tree of `to` entries. */
export function consistencyProof(read: HashReader, from: number, to: number): Uint8Array[] {
  assert(Number.isSafeInteger(to) && from >= 0 && from <= to, `sizes ${from} ≤ ${to}`);
  if (from === 0 || from === to) return [];
  const path: Uint8Array[] = [];
  let start = 0;
  let end = to;
  while (end !== from) {
    const middle = start + leftWidth(end - start);
    if (from <= middle) {
      path.push(rangeHash(read, middle, end));
      end = middle;
    } else {
      path.push(rangeHash(read, start, middle));
      start = middle;
    }
  }
  // The verifier already has the old root where the old tree is one complete subtree.
  if (start > 0) path.push(rangeHash(read, start, end));
  return path.reverse();
}

/** RFC 9162 §2.1.3.2: whether the leaf stands at `index` of the tree of `size` entries under `root`. */
export function verifyInclusion(
  root: Uint8Array,
  size: number,
  index: number,
  leaf: Uint8Array,
  path: readonly Uint8Array[],
): boolean {
  if (!isSize(size) || !isSize(index) || index >= size || !areHashes([root, leaf, ...path])) return false;
  let hash = leaf;
  let node = index;
  let last = size - 1;
  for (const sibling of path) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      hash = nodeHash(sibling, hash);
      while (node % 2 === 0 && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      hash = nodeHash(hash, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  return last === 0 && equalBytes(hash, root);
}

/** RFC 9162 §2.1.4.2: whether the tree of `from` entries is a prefix of the tree of `to`. Nothing is a prefix of everything. */
export function verifyConsistency(
  fromRoot: Uint8Array,
  from: number,
  toRoot: Uint8Array,
  to: number,
  path: readonly Uint8Array[],
): boolean {
  if (!isSize(from) || !isSize(to) || from > to || !areHashes([fromRoot, toRoot, ...path])) return false;
  if (to === 0 && !equalBytes(toRoot, EMPTY_ROOT)) return false;
  if (from === to) return path.length === 0 && equalBytes(fromRoot, toRoot);
  if (from === 0) return path.length === 0 && equalBytes(fromRoot, EMPTY_ROOT);
  const hashes = isPowerOfTwo(from) ? [fromRoot, ...path] : path;
  if (path.length === 0) return false;
  let node = from - 1;
  let last = to - 1;
  while (node % 2 === 1) [node, last] = [half(node), half(last)];
  let oldHash = hashes[0]!;
  let newHash = oldHash;
  for (const sibling of hashes.slice(1)) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      oldHash = nodeHash(sibling, oldHash);
      newHash = nodeHash(sibling, newHash);
      while (node % 2 === 0 && node !== 0) [node, last] = [half(node), half(last)];
    } else {
      newHash = nodeHash(newHash, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  return last === 0 && equalBytes(oldHash, fromRoot) && equalBytes(newHash, toRoot);
}

/** The hash over entries [start, end), where start is a multiple of the power of two at or above end − start. */
function rangeHash(read: HashReader, start: number, end: number): Uint8Array {
  const width = end - start;
  if (isPowerOfTwo(width)) return read(Math.log2(width), start / width);
  const middle = start + leftWidth(width);
  return nodeHash(rangeHash(read, start, middle), rangeHash(read, middle, end));
}

/** The largest power of two below n, for n > 1. */
function leftWidth(n: number): number {
  let width = 1;
  while (2 * width < n) width *= 2;
  return width;
}

function isPowerOfTwo(n: number): boolean {
  return n === 1 || (n > 1 && 2 * leftWidth(n) === n);
}

function peakCount(size: number): number {
  let count = 0;
  for (let rest = size; rest > 0; rest = half(rest)) count += rest % 2;
  return count;
}

function half(n: number): number {
  return Math.floor(n / 2);
}

function isSize(n: number): boolean {
  return Number.isSafeInteger(n) && n >= 0;
}

function areHashes(values: readonly Uint8Array[]): boolean {
  return values.every((value) => value.length === 32);
}
