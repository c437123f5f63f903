import type { Fee } from "../core/quote.ts";
import type { ReceiptPromise } from "../ledger/ledger.ts";
import type { WirePromise, WireSettlement } from "../protocol/completions.ts";
import { hexText } from "./hexText.ts";
import type { Attribution, PayeeLabel } from "./ports.ts";

/** At most so many credited payees are named in an answer; the receipt has all of them. */
const CREDITED_SHOWN = 16;

/** The `openledger` object of an answer. Without a promise while it is not posted yet: that is the form that is stored for replays. */
export function settlementOf(from: {
  readonly receipt: Uint8Array;
  readonly operator: string;
  readonly why: string;
  readonly isPartial: boolean;
  readonly queuedMs: number;
  readonly fee: Fee;
  readonly attribution: Attribution | undefined;
  readonly labels: PayeeLabel;
  readonly promise: ReceiptPromise | undefined;
}): WireSettlement {
  const { fee, attribution, promise } = from;
  const shares = (attribution?.shares ?? []).toSorted((a, b) => b.weight - a.weight).slice(0, CREDITED_SHOWN);
  return {
    receipt: hexText(from.receipt),
    operator: from.operator,
    why: from.why,
    partial: from.isPartial,
    queuedMs: Math.round(from.queuedMs),
    fee: { cost: fee.cost, royalty: fee.royalty, amount: fee.cost + fee.royalty },
    unattributed: attribution?.unattributed ?? 0,
    credited: shares.map(({ payee, weight }) => {
      const label = from.labels(payee);
      return { payee: hexText(payee), weight, ...(label === undefined ? {} : { label }) };
    }),
    ...(promise === undefined ? {} : { promise: wirePromise(promise) }),
  };
}

export function wirePromise(promise: ReceiptPromise): WirePromise {
  return {
    receipt: hexText(promise.receipt),
    amount: promise.amount,
    seq: promise.seq,
    entry: hexText(promise.entry),
    first: promise.first,
    count: promise.count,
    root: hexText(promise.root),
    path: promise.path.map(hexText),
    deadlineMs: promise.deadlineMs,
    signature: hexText(promise.signature),
  };
}
