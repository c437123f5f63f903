import { z } from "zod";
import { timeMs } from "./scalars.ts";

/** What tests may do to their own world: move its clock, and have things happen in it. */
export const testClockSchema = z.object({
  nowMs: timeMs,
  now: z.string().meta({ description: "the same as ISO 8601" }),
  aheadMs: z.number().int().meta({ description: "how far it is ahead of the real clock" }),
});
export const moveClockBody = z
  .strictObject({
    advanceMs: z
      .number()
      .int()
      .min(1)
      .max(400 * 86_400_000)
      .optional(),
    to: z.iso.datetime({ offset: true }).optional(),
  })
  .refine(({ advanceMs, to }) => (advanceMs === undefined) !== (to === undefined), "either advanceMs or to");
export const triggerBody = z.strictObject({
  type: z.enum(["executed", "compensated", "distributed", "settled", "claimed", "corrected", "refused"]),
});
export const triggeredSchema = z.object({
  ...{ type: z.string(), receipt: z.string().optional(), epoch: z.number().int().optional() },
  payout: z.number().int().optional(),
});
export type Triggered = z.infer<typeof triggeredSchema>;
