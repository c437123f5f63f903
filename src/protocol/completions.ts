import { z } from "zod";

/**
 * The OpenAI-compatible wire: what `/v1/chat/completions` and `/v1/completions` take. Unknown fields are tolerated, known ones validated,
 * and what we cannot do (tools, several choices, log probabilities, images) is refused rather than ignored.
 */
const textPart = z.object({ type: z.literal("text"), text: z.string() });
const content = z.union([z.string(), z.array(textPart).min(1)], {
  error: "content is a string or a list of text parts",
});

export const messageSchema = z.object({
  role: z.enum(["system", "developer", "user", "assistant"], {
    error: "role is one of system, developer, user, assistant",
  }),
  content,
  name: z.string().max(64).optional(),
});
export type WireMessage = z.infer<typeof messageSchema>;

const isEmpty = (value: unknown) =>
  value === null || value === "" || (typeof value === "object" && Object.keys(value).length === 0);
const absent = (what: string) =>
  z
    .unknown()
    .refine(isEmpty, { error: `${what} is not supported here` })
    .optional();
/** Sent by clients as it is by default; anything else would change the answer, and is not supported. */
const only = <T extends string | number | boolean>(what: string, ...values: readonly T[]) =>
  z.literal(values, { error: `${what} is not supported here, other than ${values.join(" or ")}` }).nullish();
const tokens = z.number().int().min(1).max(1_000_000);

const sampling = {
  model: z.string().min(1).max(256),
  max_tokens: tokens.nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  n: z.literal(1, { error: "n is 1: one answer a request" }).nullish(),
  stop: z
    .union([z.string().max(256), z.array(z.string().min(1).max(256)).max(4)], {
      error: "stop is a text or up to four of them, of at most 256 characters each",
    })
    .nullish(),
  seed: z.number().int().nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().optional() }).nullish(),
  presence_penalty: only("presence_penalty", 0),
  frequency_penalty: only("frequency_penalty", 0),
  logit_bias: absent("logit_bias"),
  user: z.string().max(256).nullish(),
};

export const chatRequestSchema = z.looseObject({
  ...sampling,
  messages: z.array(messageSchema).min(1).max(4_096),
  max_completion_tokens: tokens.nullish(),
  logprobs: z.literal(false, { error: "logprobs is not supported here" }).nullish(),
  top_logprobs: only("top_logprobs", 0),
  tools: absent("tools"),
  tool_choice: only("tool_choice", "none", "auto"),
  functions: absent("functions"),
  function_call: only("function_call", "none", "auto"),
  web_search_options: z.null({ error: "web_search_options is not supported here" }).optional(),
  modalities: z.array(z.literal("text")).nullish(),
  response_format: z
    .looseObject({ type: z.literal("text", { error: "only the text response format is supported here" }) })
    .nullish(),
});
export type ChatRequest = z.infer<typeof chatRequestSchema>;

export const completionRequestSchema = z.looseObject({
  ...sampling,
  prompt: z.union([z.string(), z.tuple([z.string()])], { error: "prompt is one string" }),
  logprobs: z.literal(0, { error: "logprobs is not supported here" }).nullish(),
  echo: z.literal(false, { error: "echo is not supported here" }).nullish(),
  suffix: absent("suffix"),
  best_of: z.literal(1, { error: "best_of is 1: one answer a request" }).nullish(),
});
export type CompletionRequest = z.infer<typeof completionRequestSchema>;

export const finishReasons = ["stop", "length"] as const;
export type FinishReason = (typeof finishReasons)[number];

export const usageSchema = z.object({
  prompt_tokens: z.number().int(),
  completion_tokens: z.number().int(),
  total_tokens: z.number().int(),
});

/** What anyone can hold the node to: the receipt's entry, its path in the signed batch, the signature. */
export const promiseSchema = z.object({
  receipt: z.string(),
  amount: z.number(),
  seq: z.number(),
  entry: z.string(),
  first: z.number(),
  count: z.number(),
  root: z.string(),
  path: z.array(z.string()),
  deadlineMs: z.number(),
  signature: z.string(),
});
export type WirePromise = z.infer<typeof promiseSchema>;

/** The `openledger` object in the last chunk and in the body of an answer. */
export const settlementSchema = z.object({
  receipt: z.string(),
  operator: z.string(),
  why: z.string(),
  partial: z.boolean(),
  queuedMs: z.number(),
  fee: z.object({ cost: z.number(), royalty: z.number(), amount: z.number() }),
  /** The receipt took longer than the answer waited for it: it comes, with its promise, at `/api/receipts/{receipt}`. Whom it credits is not known yet, and left out. */
  pending: z.literal(true).optional(),
  unattributed: z.number().optional(),
  credited: z.array(z.object({ payee: z.string(), label: z.string().optional(), weight: z.number() })).optional(),
  /** Absent while it is pending, and in what is kept for replays: a replay looks the promise up. */
  promise: promiseSchema.optional(),
});
export type WireSettlement = z.infer<typeof settlementSchema>;

const choice = { index: z.literal(0), finish_reason: z.enum(finishReasons).nullable() };
const answer = {
  id: z.string(),
  created: z.number().int(),
  model: z.string(),
  usage: usageSchema,
  openledger: settlementSchema,
};

export const chatCompletionSchema = z.object({
  ...answer,
  object: z.literal("chat.completion"),
  choices: z.array(
    z.object({
      ...choice,
      message: z.object({ role: z.literal("assistant"), content: z.string(), refusal: z.null() }),
      logprobs: z.null(),
    }),
  ),
});

export const completionSchema = z.object({
  ...answer,
  object: z.literal("text_completion"),
  choices: z.array(z.object({ ...choice, text: z.string(), logprobs: z.null() })),
});

export const modelSchema = z.object({
  id: z.string(),
  object: z.literal("model"),
  created: z.number().int(),
  owned_by: z.string(),
});
export type WireModel = z.infer<typeof modelSchema>;

export const modelListSchema = z.object({ object: z.literal("list"), data: z.array(modelSchema) });

/** A message's text; parts are joined by a line break. */
export function messageText(message: Pick<WireMessage, "content">): string {
  if (typeof message.content === "string") return message.content;
  return message.content.map((part) => part.text).join("\n");
}
