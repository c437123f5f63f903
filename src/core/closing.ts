import { fromHex, type Hex, toHex } from "./bytes.ts";
import type { EpochRecord } from "./epoch.ts";
import { PostingSums } from "./postingSums.ts";
import type { Postings } from "./postings.ts";
import { PostingTree, type RankedPayees, rankPayees } from "./postingTree.ts";
import { assert } from "./result.ts";
import { indexTotals, packTotals, TOTAL_LEAF_BYTES, type TotalLeaf } from "./settlement.ts";
import { SettlementTree } from "./settlementTree.ts";

/**
 * The close of an epoch: from the postings and charges of [first, end), and the lifetime totals before them, to the three trees that go on chain.
 * Writer and verifier both call it, each with what it learnt by itself.
 */
export interface ClosingInput {
  readonly epoch: number;
  readonly first: number;
  readonly end: number;
  readonly sums: PostingSums;
  /** Nano charged to each payer in this epoch; negative where corrections outweighed charges. */
  readonly charges: ReadonlyMap<Hex, bigint>;
  readonly before: LifetimeTotals;
  /** 32-byte id of a payee number. */
  readonly idOf: (payee: number) => Uint8Array;
  readonly registryBlock: number;
  readonly policyHash: Uint8Array;
}

/** Lifetime nano by payee number and by payer id. Zero totals may be left out. */
export interface LifetimeTotals {
  readonly payees: ReadonlyMap<number, bigint>;
  readonly payers: ReadonlyMap<Hex, bigint>;
}

export interface Closing {
  readonly record: EpochRecord;
  readonly after: LifetimeTotals;
  /** The packed leaves of the trees, in order; those of the postings are in the journal. */
  readonly payoutLeaves: Uint8Array;
  readonly debitLeaves: Uint8Array;
}

export const noTotals: LifetimeTotals = { payees: new Map(), payers: new Map() };

/** The close of an epoch whose postings are shown to `postings` round by round, until it is whole. */
export class EpochClose {
  readonly postings: PostingTree;
  readonly #input: ClosingInput;
  readonly #ranked: RankedPayees;

  constructor(input: ClosingInput) {
    this.#input = input;
    const { before, sums } = input;
    this.#ranked = rankPayees(new Set([...before.payees.keys(), ...sums.payees()]), input.idOf);
    this.postings = new PostingTree({
      ...{ sums, ranked: this.#ranked, creditsBefore: sum(before.payees.values()) },
      lifetimeBefore: (payee) => before.payees.get(payee) ?? 0n,
    });
  }

  finish(): Closing {
    const { epoch, first, end, registryBlock, policyHash } = this.#input;
    const after = { payees: payeesAfter(this.#input), payers: payersAfter(this.#input) };
    const payoutLeaves = packTotals(indexTotals(this.#payoutTotals(after.payees)), positive(after.payees.values()));
    const payers = [...after.payers].filter(([, cumulative]) => cumulative > 0n).sort(([a], [b]) => (a < b ? -1 : 1));
    const debitTotals = payers.map(([payer, cumulative]) => ({ party: fromHex(payer), cumulative }));
    const debitLeaves = packTotals(indexTotals(debitTotals), debitTotals.length);
    const postings = this.postings.finish();
    const payouts = SettlementTree.build(payoutLeaves, TOTAL_LEAF_BYTES);
    const paid = SettlementTree.build(debitLeaves, TOTAL_LEAF_BYTES);
    const [credits, debits] = [sum(after.payees.values()), sum(after.payers.values())];
    assert(credits === debits, `what was credited (${credits}) is what was charged (${debits})`);
    const record = {
      ...{ epoch, first, end, postingsRoot: postings.root, postingsCount: postings.count },
      ...{ payoutRoot: payouts.root, payoutCount: payouts.count, debitRoot: paid.root, debitCount: paid.count },
      ...{ credits, debits, registryBlock, policyHash },
    };
    return { record, after, payoutLeaves, debitLeaves };
  }

  *#payoutTotals(after: ReadonlyMap<number, bigint>): Generator<Omit<TotalLeaf, "index">, void> {
    const { numbers, ids } = this.#ranked;
    for (let rank = 0; rank < numbers.length; rank++) {
      const cumulative = after.get(numbers[rank]!) ?? 0n;
      if (cumulative > 0n) yield { party: ids[rank]!, cumulative };
    }
  }
}

/** The close of an epoch whose postings are in memory. */
export function closeEpoch({
  postings,
  ...input
}: Omit<ClosingInput, "sums"> & { readonly postings: Postings }): Closing {
  const sums = new PostingSums();
  postings.each((payee, _seq, _leg, amount) => sums.add(payee, amount));
  const close = new EpochClose({ ...input, sums });
  while (!close.postings.isWhole) {
    postings.each((payee, seq, leg, amount) => close.postings.add(payee, seq, leg, amount));
    close.postings.endRound();
  }
  return close.finish();
}

function payeesAfter({ before, sums }: ClosingInput): Map<number, bigint> {
  const after = new Map(before.payees);
  for (const payee of sums.payees()) after.set(payee, (after.get(payee) ?? 0n) + sums.sumOf(payee));
  return after;
}

function payersAfter(input: ClosingInput): Map<Hex, bigint> {
  const after = new Map(input.before.payers);
  for (const [payer, amount] of input.charges) after.set(payer, (after.get(payer) ?? 0n) + amount);
  return after;
}

function positive(values: Iterable<bigint>): number {
  let count = 0;
  for (const value of values) if (value > 0n) count += 1;
  return count;
}

function sum(values: Iterable<bigint>): bigint {
  let total = 0n;
  for (const value of values) total += value;
  return total;
}

/** Adds a charge to a payer's total of the epoch. */
export function addCharge(charges: Map<Hex, bigint>, payer: Uint8Array, amount: number): void {
  const key = toHex(payer);
  charges.set(key, (charges.get(key) ?? 0n) + BigInt(amount));
}
