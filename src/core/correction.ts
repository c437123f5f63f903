import type { PackedReader, PackedWriter } from "./packed.ts";
import { LEG_BYTES, readLegs, writeLegs } from "./receipt.ts";
import type { Leg } from "./route.ts";

/**
 * A correction names a receipt and amends it with signed legs. Σ legs = −(`refund` + `earned`): what leaves the payees returns to where
 * the receipt took it from, the payer's debit and the earnings that were spent.
 */
export interface Correction {
  /** 16 bytes. */
  readonly id: Uint8Array;
  readonly receipt: Uint8Array;
  readonly receiptSeq: number;
  /** The receipt's payer (32 bytes) and account pseudonym (16 bytes): whom the refund reaches. */
  readonly payer: Uint8Array;
  readonly account: Uint8Array;
  readonly reason: CorrectionReason;
  /** Given back to the payer's debit; negative where a late meter charges more. */
  readonly refund: number;
  /** Given back to the earnings that paid a part of the receipt, and whose they are; 0 and 0 where nothing is. */
  readonly payerPayee: number;
  readonly earned: number;
  /** 32-byte hash of the note kept by the node. */
  readonly noteHash: Uint8Array;
  readonly legs: readonly Leg[];
}

export const correctionReasons = ["refund", "chargeback", "lateMeter", "dispute"] as const;
export type CorrectionReason = (typeof correctionReasons)[number];

/** A proven fault voided an epoch's roots and those of its successors; the next epoch starts from the last final one. */
export interface Reversal {
  readonly firstVoidEpoch: number;
  readonly lastVoidEpoch: number;
  /** The entry that the proof named. */
  readonly faultySeq: number;
  readonly lastFinalPayoutRoot: Uint8Array;
}

export const REVERSAL_BYTES = 3 * 8 + 32;

export function correctionBytes(correction: Correction): number {
  return 16 + 16 + 8 + 32 + 16 + 1 + 8 + 4 + 8 + 32 + 1 + correction.legs.length * LEG_BYTES;
}

export function writeCorrection(to: PackedWriter, correction: Correction): void {
  to.raw(correction.id, 16)
    .raw(correction.receipt, 16)
    .u64(correction.receiptSeq)
    .raw(correction.payer, 32)
    .raw(correction.account, 16)
    .u8(correctionReasons.indexOf(correction.reason))
    .i64(correction.refund)
    .u32(correction.payerPayee)
    .u64(correction.earned)
    .raw(correction.noteHash, 32);
  writeLegs(to, correction.legs);
}

export function readCorrection(from: PackedReader): Correction {
  const [id, receipt, receiptSeq, payer, account] = [
    from.raw(16),
    from.raw(16),
    from.u64(),
    from.raw(32),
    from.raw(16),
  ];
  const reason = correctionReasons[from.u8()];
  if (reason === undefined) from.fail();
  return {
    ...{ id, receipt, receiptSeq, payer, account, reason: reason ?? "refund" },
    refund: from.i64(),
    payerPayee: from.u32(),
    earned: from.u64(),
    noteHash: from.raw(32),
    legs: readLegs(from),
  };
}

export function writeReversal(to: PackedWriter, reversal: Reversal): void {
  to.u64(reversal.firstVoidEpoch)
    .u64(reversal.lastVoidEpoch)
    .u64(reversal.faultySeq)
    .raw(reversal.lastFinalPayoutRoot, 32);
}

export function readReversal(from: PackedReader): Reversal {
  return {
    firstVoidEpoch: from.u64(),
    lastVoidEpoch: from.u64(),
    faultySeq: from.u64(),
    lastFinalPayoutRoot: from.raw(32),
  };
}
