import { z } from "zod";

/** The small fields that the own API is made of. Totals above 2^53 travel as decimal text. */
export const nano = z.number().int().meta({ description: "nano OPEN: 10^-9 OPEN" });
export const total = z
  .string()
  .regex(/^-?\d+$/)
  .meta({ description: "nano OPEN as decimal text" });
export const hex = z
  .string()
  .regex(/^0x[0-9a-f]*$/)
  .meta({ description: "hex bytes" });
export const hex16 = z
  .string()
  .regex(/^(?:0x)?[0-9a-fA-F]{32}$/, "16 bytes of hex")
  .meta({ description: "a receipt id: 16 bytes of hex" });
export const hex32 = z
  .string()
  .regex(/^(?:0x)?[0-9a-fA-F]{64}$/, "32 bytes of hex")
  .meta({ description: "32 bytes of hex" });
export const address = z.string().regex(/^0x[0-9a-fA-F]{40}$/, "an address: 20 bytes of hex");
export const signature = z.string().regex(/^0x[0-9a-fA-F]{130}$/, "a signature: 65 bytes of hex");
export const timeMs = z.number().int().min(0).meta({ description: "milliseconds since 1970" });
export const name = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._:@/-]*$/, "letters, digits and . _ : @ / -");
/** Unicode that every store and URL can hold: no character 0, and no half of one (a lone surrogate). */
export const storable = z.string().refine((text) => !/[\0\p{Cs}]/u.test(text), "has a character 0, or half of one");
/** In a query string numbers are text. */
export const limit = z.coerce.number().int().min(1).max(1_000).default(50);
export const wholeNumber = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
export const empty = z.object({});
