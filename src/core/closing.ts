import { compareBytes, fromHex, type Hex, toHex } from "./bytes.ts";
import type { EpochRecord } from "./epoch.ts";
import type { Postings } from "./postings.ts";
import { assert } from "./result.ts";
import {
  indexTotals,
  POSTING_LEAF_BYTES,
  type PostingById,
  packPostings,
  packTotals,
  runningTotals,
  TOTAL_LEAF_BYTES,
} from "./settlement.ts";
import { SettlementTree } from "./settlementTree.ts";

/**
 * The close of an epoch: from the postings and charges of [first, end), and the lifetime totals before them, to the three trees that go on chain.
 * Writer and verifier both call it, each with what it learnt by itself.
 */
export interface ClosingInput {
  readonly epoch: number;
  readonly first: number;
  readonly end: number;
  readonly postings: Postings;
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
  readonly postings: SettlementTree;
  readonly payouts: SettlementTree;
  readonly debits: SettlementTree;
  /** The packed leaves behind the trees, in order. */
  readonly postingLeaves: Uint8Array;
  readonly payoutLeaves: Uint8Array;
  readonly debitLeaves: Uint8Array;
}

export const noTotals: LifetimeTotals = { payees: new Map(), payers: new Map() };

export function closeEpoch(input: ClosingInput): Closing {
  const ranked = rankPayees(input);
  const after = { payees: payeesAfter(input), payers: payersAfter(input) };
  const creditsBefore = sum(input.before.payees.values());
  const postingLeaves = packPostings(
    runningTotals(postingsInOrder(input, ranked), ranked.lifetimeBefore, creditsBefore),
    input.postings.count,
  );
  const payees = ranked.numbers.filter((number) => (after.payees.get(number) ?? 0n) > 0n);
  const payoutTotals = payees.map((number) => ({ party: ranked.idOf(number), cumulative: after.payees.get(number)! }));
  const payoutLeaves = packTotals(indexTotals(payoutTotals), payoutTotals.length);
  const payers = [...after.payers].filter(([, cumulative]) => cumulative > 0n).sort(([a], [b]) => (a < b ? -1 : 1));
  const debitTotals = payers.map(([payer, cumulative]) => ({ party: fromHex(payer), cumulative }));
  const debitLeaves = packTotals(indexTotals(debitTotals), debitTotals.length);
  const trees = {
    postings: SettlementTree.build(postingLeaves, POSTING_LEAF_BYTES),
    payouts: SettlementTree.build(payoutLeaves, TOTAL_LEAF_BYTES),
    debits: SettlementTree.build(debitLeaves, TOTAL_LEAF_BYTES),
  };
  const [credits, debits] = [sum(after.payees.values()), sum(after.payers.values())];
  assert(credits === debits, `what was credited (${credits}) is what was charged (${debits})`);
  const record = {
    ...{ epoch: input.epoch, first: input.first, end: input.end },
    ...{ postingsRoot: trees.postings.root, postingsCount: trees.postings.count },
    ...{ payoutRoot: trees.payouts.root, payoutCount: trees.payouts.count },
    ...{ debitRoot: trees.debits.root, debitCount: trees.debits.count },
    ...{ credits, debits, registryBlock: input.registryBlock, policyHash: input.policyHash },
  };
  return { record, after, ...trees, postingLeaves, payoutLeaves, debitLeaves };
}

interface RankedPayees {
  /** Payee numbers ascending by id. */
  readonly numbers: readonly number[];
  /** Rank of a payee number. */
  readonly rank: Uint32Array;
  readonly idOf: (payee: number) => Uint8Array;
  readonly lifetimeBefore: (id: Uint8Array) => bigint;
}

function rankPayees(input: ClosingInput): RankedPayees {
  const present = new Set(input.before.payees.keys());
  for (let at = 0; at < input.postings.count; at++) present.add(input.postings.payeeAt(at));
  const rows = [...present].map((number) => ({ number, id: input.idOf(number), key: 0 }));
  // Most ids differ within their first 6 bytes, which a double holds exactly.
  for (const row of rows) row.key = prefixKey(row.id);
  rows.sort((a, b) => a.key - b.key || compareBytes(a.id, b.id));
  const numbers = rows.map((row) => row.number);
  const rank = new Uint32Array(numbers.reduce((most, number) => Math.max(most, number), 0) + 1);
  numbers.forEach((number, i) => {
    rank[number] = i;
  });
  // Leaves of one payee follow each other, so only the first of each asks for what was before: in the order of rank.
  let asked = 0;
  const lifetimeBefore = (id: Uint8Array): bigint => {
    while (asked < rows.length && compareBytes(rows[asked]!.id, id) !== 0) asked++;
    assert(asked < rows.length, "postings ask for their payees in order");
    return input.before.payees.get(rows[asked]!.number) ?? 0n;
  };
  return { numbers, rank, idOf: (number) => rows[rank[number]!]!.id, lifetimeBefore };
}

function* postingsInOrder(input: ClosingInput, ranked: RankedPayees): Generator<PostingById, void> {
  const { postings } = input;
  for (const at of postings.orderBy(ranked.rank, ranked.numbers.length)) {
    const payee = ranked.idOf(postings.payeeAt(at));
    yield { payee, seq: postings.seqAt(at), leg: postings.legAt(at), amount: postings.amountAt(at) };
  }
}

function payeesAfter(input: ClosingInput): Map<number, bigint> {
  const { postings } = input;
  const highest = highestPayee(postings);
  const added = new Float64Array(highest + 1);
  const after = new Map(input.before.payees);
  const flush = (payee: number): void => {
    after.set(payee, (after.get(payee) ?? 0n) + BigInt(added[payee]!));
    added[payee] = 0;
  };
  for (let at = 0; at < postings.count; at++) {
    const payee = postings.payeeAt(at);
    const next = added[payee]! + postings.amountAt(at);
    if (!Number.isSafeInteger(next)) flush(payee);
    added[payee] = added[payee]! + postings.amountAt(at);
  }
  for (let payee = 0; payee <= highest; payee++) if (added[payee] !== 0) flush(payee);
  return after;
}

function payersAfter(input: ClosingInput): Map<Hex, bigint> {
  const after = new Map(input.before.payers);
  for (const [payer, amount] of input.charges) after.set(payer, (after.get(payer) ?? 0n) + amount);
  return after;
}

function highestPayee(postings: Postings): number {
  let highest = 0;
  for (let at = 0; at < postings.count; at++) highest = Math.max(highest, postings.payeeAt(at));
  return highest;
}

function prefixKey(id: Uint8Array): number {
  let key = 0;
  for (let i = 0; i < 6; i++) key = key * 256 + id[i]!;
  return key;
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
