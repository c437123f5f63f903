import { SettlementTree } from "../core/settlementTree.ts";

/** The settlement trees that proofs were asked of last: claims of one epoch come together, and a tree over a million leaves takes seconds to build. */
export class TreeCache {
  readonly #trees = new Map<string, SettlementTree>();

  /** The tree over these packed leaves of an epoch. They never change, so the epoch and the kind name them. */
  of(epoch: number, kind: "payouts" | "debits", leaves: Uint8Array, leafBytes: number): SettlementTree {
    const key = `${kind} ${epoch}`;
    const tree = this.#trees.get(key) ?? SettlementTree.build(leaves, leafBytes);
    // The one that was asked last is the last to go.
    this.#trees.delete(key);
    this.#trees.set(key, tree);
    for (const oldest of this.#trees.keys()) {
      if (this.#trees.size <= TREES_MAX) break;
      this.#trees.delete(oldest);
    }
    return tree;
  }
}

const TREES_MAX = 6;
