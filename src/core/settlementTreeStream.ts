import { assert } from "./result.ts";
import { SettlementTree, settlementNode } from "./settlementTree.ts";

const PART_DEPTH = 12;
/** Leaves of a part: what is left of them is one hash. */
const PART = 2 ** PART_DEPTH;

/** The root of padding alone, by height. */
const paddings: Uint8Array[] = [new Uint8Array(32)];
for (let height = 0; height < PART_DEPTH; height++) paddings.push(settlementNode(paddings[height]!, paddings[height]!));

/**
 * A {@link SettlementTree} over leaves that come in their order and are not kept: of every 4,096 one hash stays, so a tree of a hundred million leaves
 * takes a megabyte. The part around one wanted leaf can be kept, and gives the proofs of its leaves.
 */
export class SettlementTreeStream {
  readonly #leafBytes: number;
  readonly #wanted: number | undefined;
  readonly #roots: Uint8Array[] = [];
  readonly #part: Uint8Array;
  #filled = 0;
  #kept: { readonly leaves: Uint8Array; readonly tree: SettlementTree } | undefined;
  #last: SettlementTree | undefined;

  constructor(leafBytes: number, wanted?: number) {
    this.#leafBytes = leafBytes;
    this.#wanted = wanted;
    this.#part = new Uint8Array(PART * leafBytes);
  }

  get count(): number {
    return this.#roots.length * PART + this.#filled / this.#leafBytes;
  }

  /** The next leaves, packed. */
  add(leaves: Uint8Array): void {
    assert(leaves.length % this.#leafBytes === 0, "whole leaves");
    for (let from = 0; from < leaves.length; ) {
      const taken = leaves.subarray(from, from + this.#part.length - this.#filled);
      this.#part.set(taken, this.#filled);
      this.#filled += taken.length;
      from += taken.length;
      if (this.#filled === this.#part.length) this.#roots.push(this.#endPart().root);
    }
  }

  /** No leaf comes any more. */
  finish(): { readonly root: Uint8Array; readonly count: number; readonly kept: KeptLeaves | undefined } {
    const { count } = this;
    const part = Math.floor((this.#wanted ?? 0) / PART);
    if (this.#filled > 0 || count === 0) this.#roots.push(this.#lifted(this.#endPart(), count > PART));
    const above = SettlementTree.over(this.#roots, paddings[PART_DEPTH]!);
    // A tree of one part is as deep as its leaves make it.
    const root = count > PART ? above.root : this.#last!.root;
    const kept = this.#kept === undefined ? undefined : new KeptLeaves({ ...this.#kept, part, above, count });
    return { root, count, kept };
  }

  #endPart(): SettlementTree {
    const leaves = this.#part.slice(0, this.#filled);
    const tree = SettlementTree.build(leaves, this.#leafBytes);
    if (this.#wanted !== undefined && Math.floor(this.#wanted / PART) === this.#roots.length)
      this.#kept = { leaves, tree };
    this.#filled = 0;
    this.#last = tree;
    return tree;
  }

  #lifted(tree: SettlementTree, isBeside: boolean): Uint8Array {
    let { root } = tree;
    for (let height = tree.depth; isBeside && height < PART_DEPTH; height++)
      root = settlementNode(root, paddings[height]!);
    return root;
  }
}

/** Neighbouring leaves of a tree, and what proves them. */
export class KeptLeaves {
  readonly #parts: {
    readonly leaves: Uint8Array;
    readonly tree: SettlementTree;
    readonly part: number;
    readonly above: SettlementTree;
    readonly count: number;
  };

  constructor(parts: {
    readonly leaves: Uint8Array;
    readonly tree: SettlementTree;
    readonly part: number;
    readonly above: SettlementTree;
    readonly count: number;
  }) {
    this.#parts = parts;
  }

  has(index: number): boolean {
    const { part, tree } = this.#parts;
    return index >= part * PART && index < part * PART + tree.count;
  }

  leaf(index: number): Uint8Array {
    const { leaves, tree } = this.#parts;
    assert(this.has(index), "a leaf that was kept");
    const leafBytes = leaves.length / tree.count;
    return leaves.slice((index % PART) * leafBytes, ((index % PART) + 1) * leafBytes);
  }

  /** As {@link SettlementTree.proof}. */
  proof(index: number): Uint8Array[] {
    const { tree, part, above, count } = this.#parts;
    assert(this.has(index), "a leaf that was kept");
    const within = tree.proof(index % PART);
    return count > PART ? [...within, ...paddings.slice(tree.depth, PART_DEPTH), ...above.proof(part)] : within;
  }
}
