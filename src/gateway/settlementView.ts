import type { Fee } from "../core/quote.ts";
import type { ReceiptPromise } from "../ledger/ledger.ts";
import type { WirePromise, WireSettlement } from "../protocol/completions.ts";
import { hexText, hexTexts } from "./hexText.ts";
import type { Attribution, PayeeLabel } from "./ports.ts";

/** At most so many credited payees are named in an answer; the receipt has all of them. */
const CREDITED_SHOWN = 16;

/** What is known of a receipt at an answer's last byte. */
export interface Settling {
  readonly receipt: Uint8Array;
  readonly operator: string;
  readonly why: string;
  readonly isPartial: boolean;
  readonly queuedMs: number;
  readonly fee: Fee;
}

/** The `openledger` object of an answer without its promise: that is the form that is stored for replays. */
export function settlementOf(
  settling: Settling,
  attribution: Attribution | undefined,
  labels: PayeeLabel,
): WireSettlement {
  return {
    ...settlingOf(settling),
    unattributed: attribution?.unattributed ?? 0,
    credited: attribution === undefined ? [] : creditedOf(attribution, labels),
  };
}

/** The `openledger` object of an answer whose receipt is not written yet. */
export function pendingSettlement(settling: Settling): WireSettlement {
  return { ...settlingOf(settling), pending: true };
}

function settlingOf({ fee, ...from }: Settling) {
  return {
    receipt: hexText(from.receipt),
    operator: from.operator,
    why: from.why,
    partial: from.isPartial,
    queuedMs: Math.round(from.queuedMs),
    fee: { cost: fee.cost, royalty: fee.royalty, amount: fee.cost + fee.royalty },
  };
}

function creditedOf({ shares }: Attribution, labels: PayeeLabel): NonNullable<WireSettlement["credited"]> {
  const largest = shares.toSorted((a, b) => b.weight - a.weight).slice(0, CREDITED_SHOWN);
  return largest.map(({ payee, weight }) => {
    const label = labels(payee);
    return { payee: hexText(payee), weight, ...(label === undefined ? {} : { label }) };
  });
}

/** The `openledger` object as JSON. The promise is most of it, and is written by hand: its kilobyte of hex needs no escapes. */
export function settlementText(settlement: WireSettlement, promise: ReceiptPromise | undefined): string {
  const text = JSON.stringify(settlement);
  return promise === undefined ? text : `${text.slice(0, -1)},"promise":${promiseText(promise)}}`;
}

/** What `JSON.stringify` makes of {@link wirePromise}. */
export function promiseText(promise: ReceiptPromise): string {
  const { amount, seq, first, count, deadlineMs } = promise;
  const [receipt, entry, root, signature, ...path] = hexTexts([
    ...[promise.receipt, promise.entry, promise.root, promise.signature],
    ...promise.path,
  ]);
  const steps = path.length === 0 ? "" : `"0x${path.join('","0x')}"`;
  return `{"receipt":"0x${receipt}","amount":${amount},"seq":${seq},"entry":"0x${entry}","first":${first},"count":${count},"root":"0x${root}","path":[${steps}],"deadlineMs":${deadlineMs},"signature":"0x${signature}"}`;
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
