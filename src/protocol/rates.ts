import { z } from "zod";
import { timeMs } from "./scalars.ts";

/** The dollar, as the node holds money at it. */
export const rateSchema = z.object({
  ...{ nanoPerUsd: z.number().int().meta({ description: "nano OPEN for one USD; 0 where none is known" }) },
  ...{ source: z.string(), atMs: timeMs.nullable(), isFresh: z.boolean() },
  pending: z.number().int().nullable().meta({ description: "what the source says, too far off to be believed" }),
  lastError: z.string(),
});
export const acceptRateBody = z.strictObject({ nanoPerUsd: z.number().int().min(1).max(Number.MAX_SAFE_INTEGER) });
