import { z } from "zod";
import { address, hex, limit, nano, signature, timeMs, total } from "./scalars.ts";

/** Accounts, keys and statements of the own API. */
export const balanceSchema = z.object({
  credited: total,
  spent: total,
  held: total,
  available: total,
  earnedAvailable: total,
});
export const accountSchema = z.object({
  id: z.string(),
  name: z.string(),
  payer: hex,
  pseudonym: hex,
  payee: hex.optional(),
  /** Whose earnings it may spend: the payee, and the identities that are bound to it. A receipt is paid from one of them. */
  earners: z
    .array(
      z.object({
        ...{ payee: hex, label: z.string().optional() },
        lifetime: total.meta({ description: "all that it was ever credited" }),
        available: total.meta({ description: "earned in the open epoch, and not set aside" }),
      }),
    )
    .optional(),
  createdMs: timeMs,
  balance: balanceSchema,
});
export const limitsSchema = z.object({
  requestsPerMinute: z.number().int().min(1).max(1_000_000).optional(),
  tokensPerMinute: z.number().int().min(1).max(1_000_000_000).optional(),
  nanoPerDay: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
  inFlight: z.number().int().min(1).max(10_000).optional(),
});
export const keySchema = z.object({
  id: z.string(),
  account: z.string(),
  name: z.string(),
  hint: z.string(),
  limits: limitsSchema,
  admin: z.boolean(),
  scope: z.object({ organisation: z.string(), member: z.string(), project: z.string().optional() }).optional(),
  createdMs: timeMs,
  revokedMs: timeMs.optional(),
});
export const keyListSchema = z.object({ data: z.array(keySchema) });
export const newKeySchema = z.object({ key: keySchema, secret: z.string() });

export const openAccountSchema = z.object({ name: z.string().min(1).max(120) });
export const creditSchema = z.object({
  amount: z.number().int().min(1).max(Number.MAX_SAFE_INTEGER),
  key: z.string().min(1).max(200),
  note: z.string().max(500).default(""),
});
export const createKeySchema = z.object({
  account: z.string().regex(/^acct_[0-9a-f]{24}$/, "an account id, acct_ and 24 hex digits"),
  name: z.string().min(1).max(120),
  limits: limitsSchema.optional(),
  admin: z.boolean().optional(),
});
export const accountParam = z.object({
  id: z.string().regex(/^(?:me|acct_[0-9a-f]{24})$/, "an account id, acct_ and 24 hex digits, or me"),
});
export const keyParam = z.object({ id: z.string().regex(/^key_[0-9a-f]{24}$/, "a key id, key_ and 24 hex digits") });

/** What somebody who is paid signs: EIP-712 `Earnings(bytes32 ledger,address payee,string account,uint64 deadline)`. */
const proof = { deadlineMs: timeMs, signature };
export const linkPayeeSchema = z.strictObject({ payee: address, ...proof });
export const ownAccountSchema = z.strictObject(proof);
export const addressParam = z.object({ payee: address });
export const ownedAccountSchema = z.object({ account: accountSchema, key: keySchema, secret: z.string() });

export const statementQuery = z.object({
  fromMs: z.coerce.number().int().min(0).optional(),
  untilMs: z.coerce.number().int().min(0).optional(),
  limit,
});
export const statementSchema = z.object({
  lines: z.array(
    z.object({
      seq: z.number(),
      timeMs,
      kind: z.enum(["earned", "spent", "pool", "correction", "transfer", "paid"]),
      receipt: z.string(),
      role: z.string(),
      weight: z.number(),
      amount: nano,
    }),
  ),
  total,
  truncated: z.boolean(),
  /** Of a payee: all that it was ever credited, by how far it got. */
  stages: z.object({ accrued: total, funded: total, settled: total, claimed: total }).optional(),
});
