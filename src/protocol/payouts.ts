import { z } from "zod";
import { hex, timeMs, total } from "./scalars.ts";

/** Bank payouts of a ledger on credit. Money is in whole minor units of the currency. */
const iban = z.string().trim().min(15).max(42);
const bic = z.string().trim().toUpperCase();
export const payeeDetailsBody = z.strictObject({
  legalName: z.string().trim().min(1).max(140),
  country: z.string().trim().toUpperCase().length(2),
  taxId: z.string().trim().max(64).optional(),
  ...{ iban, bic: bic.optional(), withholdingBps: z.number().int().min(0).max(5_000).default(0) },
});
export const payeeDetailsSchema = z.object({ payee: hex, ...payeeDetailsBody.shape, withholdingBps: z.number().int() });

export const payoutBody = z.strictObject({
  currency: z
    .string()
    .regex(/^[A-Z]{3}$/)
    .default("USD"),
  nanoPerUnit: z.number().int().min(1).optional(),
  minimum: z.number().int().min(0).default(100),
});
const lineSchema = z.object({
  ...{ payee: hex, legalName: z.string(), nano: total },
  ...{ gross: z.number().int(), withheld: z.number().int(), net: z.number().int() },
});
export const bankPayoutSchema = z.object({
  ...{ number: z.number().int(), createdMs: timeMs, currency: z.string(), nanoPerUnit: z.number().int() },
  ...{ epoch: z.number().int(), status: z.enum(["open", "paid", "cancelled"]), reference: z.string() },
  sums: z.object({ gross: z.number().int(), withheld: z.number().int(), net: z.number().int(), nano: total }),
  lines: z.array(lineSchema),
});
export type BankPayoutView = z.infer<typeof bankPayoutSchema>;
export const bankPayoutListSchema = z.object({ data: z.array(bankPayoutSchema) });
export const payoutPlanSchema = z.object({
  ...{ epoch: z.number().int(), lines: z.array(lineSchema) },
  waiting: z.array(
    z.object({ payee: hex, label: z.string().optional(), nano: total, why: z.enum(["minimum", "details"]) }),
  ),
});
export const bankPayoutParam = z.object({ number: z.coerce.number().int().min(1).max(2_147_483_647) });
export const payoutEndBody = z.strictObject({
  status: z.enum(["paid", "cancelled"]),
  reference: z.string().trim().min(1).max(140),
});
export const bankFileQuery = z.object({
  format: z.enum(["csv", "pain.001"]).default("csv"),
  debtorName: z.string().trim().min(1).max(70).optional(),
  ...{ debtorIban: iban.optional(), debtorBic: bic.optional() },
  on: z.iso.date().optional(),
});
