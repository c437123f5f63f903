import { z } from "zod";
import { parseOpen } from "../../core/money.ts";
import { accountParam } from "../../protocol/accounts.ts";

/** How texts on a command line are read. */
export const wholeText = z
  .string({ error: ({ input }) => (input === undefined ? "is missing" : "must be one text") })
  .trim()
  .min(1, "is empty");
/** A whole number in [min, max]. */
export const wholeNumber = (min: number, max: number) => {
  const error = `must be a whole number from ${min} to ${max}`;
  return z
    .string({ error })
    .regex(/^\d{1,15}$/, error)
    .transform(Number)
    .refine((value) => value >= min && value <= max, { error });
};
export const count = wholeNumber(1, 1_000);
export const port = wholeNumber(0, 65_535);
/** A name as `Host` carries it, without its port: DNS labels, or an IPv6 address in brackets. */
export const hostName = z
  .string()
  .regex(
    /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])$/,
    "must be a host name without a port",
  )
  .transform((text) => text.toLowerCase());
export const flag = z.boolean().default(false);

/** An amount of OPEN as text; nano. */
export const openAmount = z.string().transform((text, context) => {
  const nano = parseOpen(text);
  if (nano.ok) return nano.value;
  context.addIssue({ code: "custom", message: nano.error.message });
  return z.NEVER;
});

export const accountId = accountParam.shape.id;

/** Bare or with 0x, in the one spelling that the API takes in its paths. */
export const receiptId = z
  .string()
  .regex(/^(?:(?:0x)?[0-9a-fA-F]{32}|(?:chat)?cmpl-[0-9a-f]{32})$/, "must be a receipt id, 32 hex digits")
  .transform((text) => text.replace(/^(?:0x|chatcmpl-|cmpl-)/, "").toLowerCase());
/** A payee id, or an address, which is a payee id with zeros before it. */
export const payeeId = z
  .string()
  .regex(/^(?:0x)?(?:[0-9a-fA-F]{64}|[0-9a-fA-F]{40})$/, "must be a payee id, 64 hex digits, or an address, 40")
  .transform((text) => text.replace(/^0x/, "").toLowerCase().padStart(64, "0"));
