import { z } from "zod";
import { parseOpen } from "../../core/money.ts";

/** How texts on a command line are read. */
export const wholeText = z
  .string({ error: ({ input }) => (input === undefined ? "is missing" : "is one text") })
  .trim()
  .min(1, "is empty");
export const count = z.coerce.number({ error: "a whole number" }).int().min(1).max(1_000);
export const port = z.coerce.number({ error: "a port, 0 to 65535" }).int().min(0).max(65_535);
export const flag = z.boolean().default(false);

/** An amount of OPEN as text; nano. */
export const openAmount = z.string().transform((text, context) => {
  const nano = parseOpen(text);
  if (nano.ok) return nano.value;
  context.addIssue({ code: "custom", message: nano.error.message });
  return z.NEVER;
});

/** Bare or with 0x, in the one spelling that the API takes in its paths. */
export const receiptId = z
  .string()
  .regex(/^(?:(?:0x)?[0-9a-fA-F]{32}|(?:chat)?cmpl-[0-9a-f]{32})$/, "a receipt id, 32 hex digits")
  .transform((text) => text.replace(/^(?:0x|chatcmpl-|cmpl-)/, "").toLowerCase());
export const payeeId = z
  .string()
  .regex(/^(?:0x)?[0-9a-fA-F]{64}$/, "a payee id, 64 hex digits")
  .transform((text) => text.replace(/^0x/, "").toLowerCase());
