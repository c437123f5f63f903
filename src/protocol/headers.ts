import { z } from "zod";

/** What requests and answers say in their heads beside what HTTP itself says there. Fields are the headers' names, in lower case. */
const idempotencyKey = z
  .string()
  .regex(/^[\x21-\x7e]{1,200}$/, "is 1 to 200 printable characters without spaces")
  .meta({ description: "the same key with the same body is the same order, and is answered as the first was" });
const wish = z.literal("forbid", `is "forbid" or left out`);

export const onceHeaders = z.object({ "idempotency-key": idempotencyKey.optional() });

export const completionHeaders = onceHeaders.extend({
  prefer: z.string().optional().meta({
    description:
      "`wait=SECONDS`: how long the end of an answer may wait for its receipt, 60 at most (RFC 7240); what is not understood is ignored",
  }),
  "openledger-audit": wish.optional().meta({
    description:
      "nobody is shown prompt and answer, whatever is disputed: the receipt is marked as unaudited, and earns neither subsidy nor reputation",
  }),
  "openledger-lineage": wish
    .optional()
    .meta({ description: "the answer is not remembered, so what is derived from it is not found by its text" }),
});
export type CompletionHeaders = z.infer<typeof completionHeaders>;

export const reportHeaders = z.object({
  "content-encoding": z.string().optional().meta({ description: "`gzip`, or `identity`" }),
});

export type ReportHeaders = z.infer<typeof reportHeaders>;

const count = z.string().regex(/^\d+$/);
const bucket = (what: "requests" | "tokens") => ({
  [`x-ratelimit-limit-${what}`]: count.optional().meta({ description: `${what} that the key may make in a minute` }),
  [`x-ratelimit-remaining-${what}`]: count.optional().meta({ description: "how many of them are left" }),
  [`x-ratelimit-reset-${what}`]: z
    .string()
    .optional()
    .meta({ description: "when all of them are there again: 1s, 6m0s" }),
});

/** Of every answer. */
export const answerHeaders = z.object({
  "x-request-id": z.string().meta({ description: "under which the log has the request" }),
});

export const completionAnswerHeaders = z.object({
  "openledger-receipt": z.string().meta({ description: "the receipt's id" }),
  "idempotency-replayed": z
    .literal("true")
    .optional()
    .meta({ description: "the answer was given before, to the same key" }),
  ...bucket("requests"),
  ...bucket("tokens"),
});

/** Of what is refused. */
export const refusalHeaders = z.object({
  "x-should-retry": z.enum(["true", "false"]).meta({ description: "whether the same request may succeed later" }),
  "retry-after": count.optional().meta({ description: "seconds until it may" }),
  "retry-after-ms": count.optional().meta({ description: "the same in milliseconds" }),
});
