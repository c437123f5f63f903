import { z } from "zod";
import { hex, hex32, timeMs, total, wholeNumber } from "./scalars.ts";

/** Epochs, proofs and claims of the own API. */
export const epochSchema = z.object({
  epoch: z.number().int(),
  first: z.number().int(),
  end: z.number().int(),
  status: z.enum(["closed", "proposed", "final", "voided"]),
  /** The same in the words of money: its credits are accrued, then funded, then settled; what is claimed leaves them. */
  stage: z.enum(["accrued", "funded", "settled", "voided"]),
  /** Closed on credit, before the ledger moved to a chain: this is how far it got there, and what was still owed of it is in the epoch of the move. */
  isPast: z.boolean(),
  reference: z.string(),
  seq: z.number().int(),
  timeMs,
  postings: z.object({ root: hex, count: z.number().int() }),
  payouts: z.object({ root: hex, count: z.number().int() }),
  debitors: z.object({ root: hex, count: z.number().int() }),
  credits: total,
  debits: total,
  registryBlock: z.number().int(),
  policyHash: hex,
});
export type EpochView = z.infer<typeof epochSchema>;

export const epochListSchema = z.object({
  data: z.array(epochSchema),
  open: z.object({ epoch: z.number().int(), first: z.number().int(), sinceMs: timeMs }),
});
export const epochParam = z.object({ epoch: wholeNumber });
export const closedEpochSchema = z.object({ epoch: z.number().int(), journalSize: z.number().int() });

/** How far an epoch on credit got, and by which reference. */
export const epochStepBody = z.strictObject({ reference: z.string().trim().min(1).max(140) });

/** RFC 6962 audit path of an entry in the journal of `size` entries. */
export const inclusionSchema = z.object({
  seq: z.number().int(),
  size: z.number().int(),
  leaf: hex,
  root: hex,
  path: z.array(hex),
});
export type InclusionView = z.infer<typeof inclusionSchema>;
export const seqParam = z.object({ seq: wholeNumber });
export const inclusionQuery = z.object({ size: z.coerce.number().int().min(1).optional() });

export const payoutSchema = z.object({
  epoch: z.number().int(),
  index: z.number().int(),
  payee: hex,
  cumulative: total,
  proof: z.array(hex),
});
export const payoutParam = z.object({ epoch: wholeNumber, payee: hex32 });
export const postingSchema = z.object({
  epoch: z.number().int(),
  index: z.number().int(),
  leaf: hex,
  proof: z.array(hex),
});
export const postingParam = z.object({ epoch: wholeNumber, index: wholeNumber });

export const payeeParam = z.object({ payee: hex32 });
/** What a payee is owed, and how far along it is. */
export const claimSchema = z.object({
  payee: hex,
  label: z.string().optional(),
  lifetime: total,
  openEpoch: total,
  /** The parts of `lifetime`: not yet backed by money, backed, payable, and paid. */
  stages: z.object({ accrued: total, funded: total, settled: total, claimed: total }),
  latestEpoch: z.number().int().optional(),
  final: total.optional(),
  claimed: total.optional(),
  claimable: total.optional(),
  settlement: z.string().optional(),
  chainId: z.number().int().optional(),
});
