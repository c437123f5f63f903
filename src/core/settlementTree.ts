import { equalBytes } from "./bytes.ts";
import { keccak256, keccak256Rows } from "./hash.ts";
import { assert } from "./result.ts";

/**
 * The trees that contracts read: keccak256, node = keccak256(left ‖ right), leaves padded with 32 zero bytes to a power of two;
 * no leaves give the root zero, one leaf is its own root. `contracts/src/libraries/SettlementTree.sol` verifies the same.
 *
 * A level is one flat buffer and padding is never stored: a subtree of padding alone is one known hash, so an odd level
 * needs that hash once, and a tree of a million leaves takes 64 MB and about two seconds.
 */
export class SettlementTree {
  readonly count: number;
  /** levels[0] are the leaf hashes; every level but the last has an even number of hashes. */
  readonly #levels: readonly Uint8Array[];

  private constructor(count: number, levels: readonly Uint8Array[]) {
    this.count = count;
    this.#levels = levels;
  }

  /** Over packed leaves of `leafBytes` each, in their order. */
  static build(leaves: Uint8Array, leafBytes: number): SettlementTree {
    // A leaf of 64 bytes could pass for a node.
    assert(leafBytes > 0 && leafBytes !== 64 && leaves.length % leafBytes === 0, "whole leaves, never of 64 bytes");
    const count = leaves.length / leafBytes;
    const level = new Uint8Array(levelBytes(count));
    keccak256Rows(leaves, leafBytes, count, level);
    return SettlementTree.#raise(level, count, new Uint8Array(32));
  }

  /** The upper part of a tree, over the roots of subtrees of one height; `padding` is the root of such a subtree of padding alone. */
  static over(roots: readonly Uint8Array[], padding: Uint8Array): SettlementTree {
    const level = new Uint8Array(levelBytes(roots.length));
    for (const [at, root] of roots.entries()) level.set(root, at * 32);
    return SettlementTree.#raise(level, roots.length, padding);
  }

  static #raise(lowest: Uint8Array, count: number, lowestPadding: Uint8Array): SettlementTree {
    let [level, padding] = [lowest, lowestPadding];
    const levels = [level];
    for (let width = count; width > 1; ) {
      if (width % 2 === 1) level.set(padding, width * 32);
      width = Math.ceil(width / 2);
      const above = new Uint8Array(levelBytes(width));
      keccak256Rows(level, 64, width, above);
      padding = settlementNode(padding, padding);
      levels.push(above);
      level = above;
    }
    return new SettlementTree(count, levels);
  }

  /** 32 bytes. */
  get root(): Uint8Array {
    return this.count === 0 ? new Uint8Array(32) : this.#levels.at(-1)!.slice(0, 32);
  }

  /** ⌈log2(count)⌉. */
  get depth(): number {
    return this.#levels.length - 1;
  }

  leafHash(index: number): Uint8Array {
    this.#assertLeaf(index);
    return hashAt(this.#levels[0]!, index);
  }

  /** The siblings on the way to the root, lowest first: exactly {@link treeDepth} of them. */
  proof(index: number): Uint8Array[] {
    this.#assertLeaf(index);
    return this.#levels.slice(0, -1).map((level, height) => {
      const position = Math.floor(index / 2 ** height);
      return hashAt(level, position % 2 === 0 ? position + 1 : position - 1);
    });
  }

  #assertLeaf(index: number): void {
    assert(Number.isInteger(index) && index >= 0 && index < this.count, `leaf ${index} of ${this.count}`);
  }
}

/** keccak256(left ‖ right). */
export function settlementNode(left: Uint8Array, right: Uint8Array): Uint8Array {
  return keccak256(left, right);
}

/** ⌈log2(count)⌉, and 0 for an empty tree. */
export function treeDepth(count: number): number {
  let depth = 0;
  while (2 ** depth < count) depth++;
  return depth;
}

/**
 * Whether the leaf stands at `index` in the tree of `count` leaves under `root`. The path has exactly the tree's depth: a shorter
 * one would let an inner node pass for a leaf, and an index at or above `count` would name padding.
 */
export function verifyProof(
  root: Uint8Array,
  index: number,
  leafHash: Uint8Array,
  proof: readonly Uint8Array[],
  count: number,
): boolean {
  if (!Number.isSafeInteger(count) || !Number.isSafeInteger(index) || index < 0 || index >= count) return false;
  if (proof.length !== treeDepth(count) || [leafHash, ...proof].some((hash) => hash.length !== 32)) return false;
  let hash = leafHash;
  let position = index;
  for (const sibling of proof) {
    hash = position % 2 === 0 ? settlementNode(hash, sibling) : settlementNode(sibling, hash);
    position = Math.floor(position / 2);
  }
  return equalBytes(hash, root);
}

/** Room for the level's hashes, and for one of padding where their number is odd and they have a parent. */
function levelBytes(width: number): number {
  return 32 * (width > 1 ? width + (width % 2) : width);
}

function hashAt(level: Uint8Array, index: number): Uint8Array {
  return level.slice(index * 32, (index + 1) * 32);
}
