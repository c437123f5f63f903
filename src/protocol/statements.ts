import { z } from "zod";
import { hex32, timeMs, total } from "./scalars.ts";

/** Issued statements. Amounts are nano OPEN, worth is millionths of a US dollar, both as decimal texts. */
const signed = z.string().regex(/^-?\d+$/);
export const issuedStatementSchema = z.object({
  ...{ number: z.number().int(), kind: z.enum(["statement", "credit_note"]), period: z.string(), issuedMs: timeMs },
  /** As the node was told before the day of issue; `due` is a day, where something was charged and is to be paid by then. */
  issuer: z.object({ name: z.string(), address: z.string(), taxId: z.string() }).optional(),
  due: z.string().optional(),
  party: z.object({ type: z.enum(["payee", "account"]), id: z.string(), name: z.string(), taxId: z.string() }),
  entries: z.object({ from: z.number().int(), until: z.number().int() }),
  ...{ nanoPerUsd: z.number().int(), nano: signed, microUsd: signed, hash: z.string() },
  lines: z.array(
    z.object({
      ...{
        kind: z.enum(["earned", "spent", "pool", "correction", "transfer", "paid"]),
        role: z.string(),
        of: z.string(),
        name: z.string().optional(),
      },
      ...{ nanoPerUsd: z.number().int(), count: z.number().int(), nano: signed, microUsd: signed },
    }),
  ),
  /** What was claimed, worth at the claim and, the oldest credits first, at accrual; the latter where earlier months' statements were issued. */
  claims: z.array(
    z.object({
      ...{ reference: z.string(), way: z.enum(["chain", "bank"]), timeMs, nano: total, feeNano: total },
      ...{ nanoPerUsd: z.number().int(), source: z.string(), microUsd: total, accrualMicroUsd: total.optional() },
    }),
  ),
});
const line = (most: number) =>
  z
    .string()
    .trim()
    .max(most)
    .regex(/^[^\p{Cc}\p{Zl}\p{Zp}]*$/u, "is one line");
/** Who issues this node's statements: their name, address and tax number, and in how many days what is charged is due. */
export const issuerBody = z.strictObject({
  name: line(200).min(1),
  address: line(500).default(""),
  taxId: line(64).default(""),
  dueDays: z.number().int().min(0).max(365).optional(),
});
export const issuerSchema = z.object({ issuer: z.object(issuerBody.shape).nullable() });
export type IssuedStatementView = z.infer<typeof issuedStatementSchema>;
export const issuedStatementListSchema = z.object({
  data: z.array(issuedStatementSchema.omit({ lines: true, claims: true })),
});
export const issueBody = z.strictObject({
  period: z.string().regex(/^20\d{2}-(0[1-9]|1[0-2])$/, "write it as 2027-01"),
});
export const issuedSchema = z.object({ issued: z.number().int(), known: z.number().int() });
export const statementNumberParam = z.object({ number: z.coerce.number().int().min(1).max(2_147_483_647) });
export const statementListQuery = z.object({
  period: issueBody.shape.period.optional(),
  party: hex32.optional(),
  limit: z.coerce.number().int().min(1).max(10_000).default(1_000),
});
export const statementFormatQuery = z.object({ format: z.enum(["json", "csv", "pdf"]).default("json") });
