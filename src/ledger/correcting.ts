import type { Correction } from "../core/correction.ts";
import { decodeEntry } from "../core/entry.ts";
import type { Fee } from "../core/quote.ts";
import { ownOf, type Receipt } from "../core/receipt.ts";
import { assert, ok, type Result, refuse } from "../core/result.ts";
import { fillAmounts, type Leg, roleCode } from "../core/route.ts";
import type { BookState } from "./bookState.ts";
import type { LedgerStore } from "./ports.ts";

/** Where a refund goes: to the payer's debit, and to the earnings that the receipt spent. */
export interface GivenBack {
  readonly refund: number;
  readonly earned: number;
}

/** What of `amount` goes where. A receipt spends a deposit first, then earnings; they are given back in that order too. */
export function givenBack(state: BookState, receipt: Receipt, amount: number): Result<GivenBack> {
  const own = ownOf(receipt);
  if (!Number.isSafeInteger(amount) || amount <= 0)
    return refuse("invalid_request", "a refund is whole nano above 0", { field: "refund" });
  const before = state.refunded(receipt.id);
  if (amount > own - before)
    return refuse("invalid_request", `the receipt's own fee is ${own} nano, of which ${before} were given back`, {
      hint: `at most ${own - before} nano can be refunded`,
      field: "refund",
    });
  const refund = Math.min(amount, Math.max(0, own - receipt.earned - before));
  return ok({ refund, earned: amount - refund });
}

/**
 * The legs of a refund: each payee gives back in proportion to what it got, as far as it has unsettled credit that no hold counts on. What settled
 * money does not cover is taken from the operator and then from the treasury: a contributor's finalised money is never clawed back.
 */
export function refundLegs(receipt: Receipt, refund: number, unsettled: (payee: number) => number): Result<Leg[]> {
  const credit = new Map<number, number>();
  const take = (payee: number, wanted: number): number => {
    const available = credit.get(payee) ?? Math.max(0, unsettled(payee));
    const taken = Math.min(available, wanted);
    credit.set(payee, available - taken);
    return taken;
  };
  const parts = proportional(refund, receipt.legs);
  const taken = receipt.legs.map((leg, i) => take(leg.payee, parts[i]!));
  let missing = refund - taken.reduce((sum, part) => sum + part, 0);
  for (const role of ["operator", "treasury"] as const) {
    const at = receipt.legs.findIndex((leg) => leg.role === role);
    const more = at < 0 ? 0 : take(receipt.legs[at]!.payee, missing);
    if (more > 0) taken[at]! += more;
    missing -= more;
  }
  if (missing > 0) {
    return refuse(
      "insufficient_funds",
      `${missing} nano of the refund are settled with contributors, and operator and treasury have no unsettled credit for them`,
      {
        hint: "refund less, or again once the operator has earned more",
      },
    );
  }
  const legs = receipt.legs.map((leg, i) => ({ ...leg, amount: -taken[i]! })).filter((leg) => leg.amount !== 0);
  return ok(legs.sort((a, b) => roleCode[a.role] - roleCode[b.role] || a.payee - b.payee));
}

/**
 * The legs of a late meter that found more: like a receipt of its own over the first one's weights, with its own offsets. The policy is that of the
 * moment, so whoever reads the journal up to here knows it.
 */
export function chargeLegs(state: BookState, seq: number, receipt: Receipt, more: Fee): Leg[] {
  const { policy } = state;
  assert(policy !== undefined, "a ledger with receipts has a policy");
  const legs = fillAmounts(state.ledger, seq, more.cost, more.royalty, policy.route, receipt.legs);
  return legs.filter((leg) => leg.amount !== 0);
}

export async function correctionsOf(
  store: LedgerStore,
  ledger: Uint8Array,
  receipt: Uint8Array,
): Promise<Correction[]> {
  return (await store.corrections(ledger, receipt)).map(({ bytes }) => {
    const entry = decodeEntry(bytes);
    assert(entry.ok && entry.value.kind === "correction", "a row of kind correction holds one");
    return entry.value.correction;
  });
}

/** The receipt with the legs that corrections have left of it: later ones go by what stands, not by what stood. */
export function asCorrected(receipt: Receipt, corrections: readonly Correction[]): Receipt {
  if (corrections.length === 0) return receipt;
  const moved = new Map<string, number>();
  for (const { role, payee, amount } of corrections.flatMap(({ legs }) => legs))
    moved.set(`${role} ${payee}`, (moved.get(`${role} ${payee}`) ?? 0) + amount);
  const legs = receipt.legs.map((leg) => {
    const amount = leg.amount + (moved.get(`${leg.role} ${leg.payee}`) ?? 0);
    return { ...leg, amount: Math.max(0, amount) };
  });
  return { ...receipt, legs };
}

/** How much more a second fee is than the first, line by line, as far as lines that shrank do not pay for lines that grew. */
export function moreOf(before: Fee, after: Fee, more: number): Fee {
  const royalty = Math.min(more, Math.max(0, after.royalty - before.royalty));
  return { cost: more - royalty, royalty };
}

/** `refund` in proportion to the legs' amounts: prefix sums rounded down, so that the parts sum to it. */
function proportional(refund: number, legs: readonly Leg[]): number[] {
  const total = legs.reduce((sum, leg) => sum + BigInt(leg.amount), 0n);
  if (total === 0n) return legs.map(() => 0);
  let prefix = 0n;
  let before = 0n;
  return legs.map((leg) => {
    prefix += BigInt(leg.amount);
    const until = (BigInt(refund) * prefix) / total;
    const part = until - before;
    before = until;
    return Number(part);
  });
}
