import { EMPTY_ROOT } from "../core/merkle.ts";
import { writeSha256 } from "./nativeSha256.ts";

/**
 * The RFC 6962 tree over the entries of one batch, level by level in one buffer. Where a level has an odd number of hashes the last goes up as it is,
 * which gives the tree of §2.1, whose left part is always the largest power of two.
 */
export class BatchTree {
  /** 32 bytes a hash: the leaves, then each level above. */
  readonly #hashes: Uint8Array;
  /** Hashes of each level, from the leaves up. */
  readonly #widths: readonly number[];

  constructor(entries: readonly { readonly bytes: Uint8Array }[]) {
    this.#widths = widthsOver(entries.length);
    this.#hashes = new Uint8Array(32 * this.#widths.reduce((sum, width) => sum + width, 0));
    for (const [i, { bytes }] of entries.entries()) writeLeafHash(bytes, this.#hashes, 32 * i);
    let from = 0;
    for (const width of this.#widths) {
      if (width > 1) this.#raise(32 * from, width, 32 * (from + width));
      from += width;
    }
  }

  get root(): Uint8Array {
    return this.#hashes.length === 0 ? EMPTY_ROOT : this.#hashes.slice(-32);
  }

  /** RFC 6962 §2.1.1: the audit path of an entry, lowest sibling first. */
  path(index: number): Uint8Array[] {
    const path: Uint8Array[] = [];
    let at = index;
    let from = 0;
    for (const width of this.#widths) {
      const sibling = at % 2 === 0 ? at + 1 : at - 1;
      if (sibling < width) path.push(this.#hashes.subarray(32 * (from + sibling), 32 * (from + sibling + 1)));
      at = Math.floor(at / 2);
      from += width;
    }
    return path;
  }

  /** The level above the `width` hashes from byte `from` on, written from byte `into` on. */
  #raise(from: number, width: number, into: number): void {
    const hashes = this.#hashes;
    const pairs = Math.floor(width / 2);
    for (let i = 0; i < pairs; i++) {
      for (let byte = 0; byte < 64; byte++) node[byte + 1] = hashes[from + 64 * i + byte]!;
      writeSha256(node, hashes, into + 32 * i);
    }
    if (width % 2 === 1) hashes.copyWithin(into + 32 * pairs, from + 64 * pairs, from + 64 * pairs + 32);
  }
}

/** SHA-256(0x00 ‖ entry): 32 bytes. */
export function leafHashOf(entry: Uint8Array): Uint8Array {
  const into = new Uint8Array(32);
  writeLeafHash(entry, into, 0);
  return into;
}

function widthsOver(leaves: number): number[] {
  const widths = leaves === 0 ? [] : [leaves];
  for (let width = leaves; width > 1; widths.push(width)) width = Math.ceil(width / 2);
  return widths;
}

function writeLeafHash(entry: Uint8Array, into: Uint8Array, at: number): void {
  if (leaf.length <= entry.length) leaf = new Uint8Array(2 * entry.length);
  leaf.set(entry, 1);
  writeSha256(leaf.subarray(0, entry.length + 1), into, at);
}

/** RFC 6962 §2.1: a leaf's preimage begins with 0, a node's with 1. */
let leaf = new Uint8Array(4_096);
const node = Uint8Array.of(1, ...new Uint8Array(64));
