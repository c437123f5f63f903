import { z } from "zod";
import { hex, hex16, storable, timeMs } from "./scalars.ts";

/** Corrections of receipts. Amounts are nano OPEN; what a payee gives back is negative. */
export const correctionBody = z.strictObject({
  reason: z.enum(["refund", "chargeback", "lateMeter", "dispute"]),
  /** What the payer is given back; the rest of the receipt's own fee where it is left out. */
  refund: z.number().int().min(1).max(Number.MAX_SAFE_INTEGER).optional(),
  note: z.string().max(2_000).default(""),
  /** The same key again is the same correction. */
  key: storable.trim().min(1).max(200),
});
export const correctionSchema = z.object({
  ...{ seq: z.number().int(), timeMs, id: hex, receipt: hex, receiptSeq: z.number().int() },
  ...{ reason: correctionBody.shape.reason, refund: z.number().int(), earned: z.number().int() },
  legs: z.array(z.object({ role: z.string(), payee: hex, label: z.string().optional(), amount: z.number().int() })),
});
export type CorrectionView = z.infer<typeof correctionSchema>;
export const correctionParam = z.object({ id: hex16 });
