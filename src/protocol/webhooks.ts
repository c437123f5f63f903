import { z } from "zod";
import { timeMs } from "./scalars.ts";

/** Webhooks: CloudEvents 1.0 in their JSON form, signed as Standard Webhooks 1.0 says. */
const types = z.enum(["executed", "compensated", "distributed", "settled", "claimed", "corrected", "refused"]);
export const webhookBody = z.strictObject({
  url: z.string().trim().max(2_048),
  types: z.array(types).max(7).default([]),
  account: z
    .string()
    .regex(/^acct_[0-9a-f]{24}$/)
    .optional(),
});
export const webhookSchema = z.object({
  ...{ id: z.string(), url: z.string(), types: z.array(types), subject: z.string() },
  ...{ nextSeq: z.number().int(), nextKept: z.number().int(), state: z.enum(["active", "paused"]) },
  ...{ failures: z.number().int(), lastError: z.string(), retryAtMs: timeMs, createdMs: timeMs },
});
export type WebhookView = z.infer<typeof webhookSchema>;
export const newWebhookSchema = webhookSchema.extend({ secret: z.string().meta({ description: "shown this once" }) });
export const webhookListSchema = z.object({ data: z.array(webhookSchema) });
export const webhookParam = z.object({ id: z.string().regex(/^whk_[0-9a-f]{24}$/) });
export const webhookResumeBody = z.strictObject({
  fromSeq: z.number().int().min(0).optional(),
  fromKept: z.number().int().min(1).optional(),
});
