import { z } from "zod";
import { hex, hex32, timeMs, total } from "./scalars.ts";

/** A ledger's signed word on what it owed a datanet's people when the datanet left. It names them, so it goes to whoever takes over and to nobody else. */
export const departureStatementSchema = z.object({
  format: z.literal("openledger-departure-1"),
  /** The ledger that owed it, and the Ed25519 key of its journal. */
  ledger: hex32,
  logKey: hex32,
  datanet: z.object({ name: z.string().min(1).max(64), id: hex32 }),
  /** Who takes it over, as was said: a ledger's id, a name. */
  to: z.string().min(1).max(200),
  /** Of the ledger's payouts: what left under it is claimed there. */
  payout: z.number().int().min(1),
  /** The last epoch that is in it. */
  epoch: z.number().int().min(1),
  timeMs,
  /** By identity, each once. */
  lines: z
    .array(z.object({ identity: z.string().min(3).max(300), payee: hex32, nano: total }))
    .min(1)
    .max(1_000_000),
});

export const signedDepartureSchema = z.object({
  statement: departureStatementSchema,
  /** Ed25519 over the statement's one text: see the guide on leaving. */
  signature: z.base64().length(88),
});
export type SignedDeparture = z.infer<typeof signedDepartureSchema>;

export const leaveBody = z.object({ to: z.string().trim().min(1).max(200) });
export const departedSchema = z.object({
  datanet: z.string(),
  /** Absent where nothing was owed that could be taken along. */
  departure: signedDepartureSchema.optional(),
  people: z.number().int(),
  nano: total,
});
export type Departed = z.infer<typeof departedSchema>;

export const arriveBody = z.object({ departure: signedDepartureSchema, account: z.string().min(1).max(100) });
export const arrivedSchema = z.object({
  datanet: z.string(),
  /** sha256 of the statement: what the journal's transfers name. */
  source: hex,
  people: z.number().int(),
  nano: total,
  /** Entries of the journal that hold it, and how many of them were there before. */
  entries: z.number().int(),
  known: z.number().int(),
});
export type Arrived = z.infer<typeof arrivedSchema>;
