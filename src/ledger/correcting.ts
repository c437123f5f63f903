import type { Correction } from "../core/correction.ts";
import { ownOf, type Receipt } from "../core/receipt.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { type Leg, roleCode } from "../core/route.ts";
import type { BookState } from "./bookState.ts";

/**
 * The legs of a refund: each payee gives back in proportion to what it got, as far as it has unsettled credit. What settled money does not cover
 * is taken from the operator and then from the treasury: a contributor's finalised money is never clawed back.
 */
export function refundLegs(state: BookState, receipt: Receipt, refund: number): Result<Leg[]> {
  const own = ownOf(receipt);
  if (!Number.isSafeInteger(refund) || refund <= 0)
    return refuse("invalid_request", "a refund is whole nano above 0", { field: "refund" });
  const left = own - receipt.earned - state.refunded(receipt.id);
  if (refund > left && refund <= own)
    return refuse("invalid_request", `${left} nano of this receipt can still be refunded, not ${refund}`, {
      field: "refund",
      hint: "what was paid from unsettled earnings, and what was refunded before, is not refunded",
    });
  if (refund > own)
    return refuse("invalid_request", `the receipt's own fee is ${own} nano, ${refund} cannot be refunded`, {
      field: "refund",
    });
  const credit = new Map<number, number>();
  const take = (payee: number, wanted: number): number => {
    const available = credit.get(payee) ?? Math.max(0, state.accruals.open(payee));
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

export function correctionOf(
  id: Uint8Array,
  seq: number,
  receipt: Receipt,
  reason: Correction["reason"],
  refund: number,
  noteHash: Uint8Array,
  legs: readonly Leg[],
): Correction {
  const { id: receiptId, payer, account } = receipt;
  return { id, receipt: receiptId, receiptSeq: seq, payer, account, reason, refund, noteHash, legs };
}

/** `refund` in proportion to the legs' amounts: prefix sums rounded down, so that the parts sum to it. */
function proportional(refund: number, legs: readonly Leg[]): number[] {
  const total = legs.reduce((sum, leg) => sum + BigInt(leg.amount), 0n);
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
