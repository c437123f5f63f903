import { compareBytes } from "./bytes.ts";
import type { PostingSums } from "./postingSums.ts";
import { assert } from "./result.ts";
import { POSTING_LEAF_BYTES, type PostingById, type PostingLeaf, packPostings, runningTotals } from "./settlement.ts";
import { type KeptLeaves, SettlementTreeStream } from "./settlementTreeStream.ts";

/** Postings that are sorted at once: 40 MB of columns. */
const ROUND_POSTINGS = 2 ** 21;
/** Few enough to be gone before a collector of the young looks at them twice. */
const PACKED_AT_ONCE = 128;

/** The payees of an epoch, ascending by id. */
export interface RankedPayees {
  readonly numbers: readonly number[];
  readonly ids: readonly Uint8Array[];
  /** Rank of a payee number. */
  readonly rank: Uint32Array;
}

export function rankPayees(present: ReadonlySet<number>, idOf: (payee: number) => Uint8Array): RankedPayees {
  const rows = [...present].map((number) => ({ number, id: idOf(number), key: 0 }));
  // Most ids differ within their first 6 bytes, which a double holds exactly.
  for (const row of rows) row.key = prefixKey(row.id);
  rows.sort((a, b) => a.key - b.key || compareBytes(a.id, b.id));
  const numbers = rows.map((row) => row.number);
  const rank = new Uint32Array(numbers.reduce((most, number) => Math.max(most, number), 0) + 1);
  numbers.forEach((number, i) => {
    rank[number] = i;
  });
  return { numbers, ids: rows.map((row) => row.id), rank };
}

export interface PostingTreeInput {
  readonly sums: PostingSums;
  readonly ranked: RankedPayees;
  /** Lifetime nano of a payee, and of the ledger, before the epoch. */
  readonly lifetimeBefore: (payee: number) => bigint;
  readonly creditsBefore: bigint;
  /** A leaf whose neighbourhood is kept. */
  readonly wanted?: number;
}

/**
 * The postings tree of an epoch, in memory that does not grow with it. Where each posting stands follows from how many each payee has, so its leaves are
 * made in rounds: in each, all postings of the epoch are shown once more, in journal order, and those of the round's range are kept, sorted by where they stand.
 */
export class PostingTree {
  readonly #input: PostingTreeInput;
  readonly #tree: SettlementTreeStream;
  readonly #roundPostings: number;
  /** Where each rank's postings begin; at the end their number. */
  readonly #starts: Uint32Array;
  /** Where each rank's next posting of this round stands. */
  readonly #next: Uint32Array;
  readonly #seqs: Float64Array;
  readonly #legs: Uint32Array;
  readonly #amounts: Float64Array;
  #from = 0;
  #kept = 0;
  #last: PostingLeaf | undefined;
  /** Of the payee whose leaf is made. */
  #rank = 0;

  constructor(input: PostingTreeInput, roundPostings = ROUND_POSTINGS) {
    const { sums, ranked } = input;
    this.#input = input;
    this.#tree = new SettlementTreeStream(POSTING_LEAF_BYTES, input.wanted);
    this.#roundPostings = roundPostings;
    assert(sums.count < 2 ** 32, "an epoch has fewer than 2^32 postings");
    this.#starts = new Uint32Array(ranked.numbers.length + 1);
    for (const [rank, payee] of ranked.numbers.entries())
      this.#starts[rank + 1] = this.#starts[rank]! + sums.countOf(payee);
    this.#next = this.#starts.slice();
    const size = Math.min(roundPostings, sums.count);
    this.#seqs = new Float64Array(size);
    this.#legs = new Uint32Array(size);
    this.#amounts = new Float64Array(size);
  }

  /** Whether no round is left. */
  get isWhole(): boolean {
    return this.#from === this.#input.sums.count;
  }

  /** In each round every posting of the epoch, in journal order. */
  add(payee: number, seq: number, leg: number, amount: number): void {
    const at = this.#next[this.#input.ranked.rank[payee]!]!++ - this.#from;
    if (at < 0 || at >= this.#roundSize) return;
    this.#seqs[at] = seq;
    this.#legs[at] = leg;
    this.#amounts[at] = amount;
    this.#kept += 1;
  }

  endRound(): void {
    assert(this.#kept === this.#roundSize, "a round shows all postings");
    const { lifetimeBefore, creditsBefore, ranked } = this.#input;
    const before = () => lifetimeBefore(ranked.numbers[this.#rank]!);
    let leaves: PostingLeaf[] = [];
    for (const leaf of runningTotals(this.#inOrder(), before, creditsBefore, this.#last)) {
      leaves.push(leaf);
      this.#last = leaf;
      if (leaves.length < PACKED_AT_ONCE) continue;
      this.#tree.add(packPostings(leaves, leaves.length));
      leaves = [];
    }
    this.#tree.add(packPostings(leaves, leaves.length));
    this.#from += this.#roundSize;
    this.#kept = 0;
    this.#next.set(this.#starts);
  }

  finish(): { readonly root: Uint8Array; readonly count: number; readonly kept: KeptLeaves | undefined } {
    assert(this.isWhole, "all rounds are over");
    return this.#tree.finish();
  }

  get #roundSize(): number {
    return Math.min(this.#roundPostings, this.#input.sums.count - this.#from);
  }

  *#inOrder(): Generator<PostingById, void> {
    const { ids } = this.#input.ranked;
    const size = this.#roundSize;
    for (let at = 0; at < size; at++) {
      while (this.#starts[this.#rank + 1]! <= this.#from + at) this.#rank += 1;
      yield { payee: ids[this.#rank]!, seq: this.#seqs[at]!, leg: this.#legs[at]!, amount: this.#amounts[at]! };
    }
  }
}

function prefixKey(id: Uint8Array): number {
  let key = 0;
  for (let i = 0; i < 6; i++) key = key * 256 + id[i]!;
  return key;
}
