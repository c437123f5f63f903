import { z } from "zod";
import { ok, type Result, refuse } from "../../core/result.ts";
import { chatCompletionSchema, promiseSchema, settlementSchema } from "../../protocol/completions.ts";
import { receiptDetailSchema } from "../../protocol/receipts.ts";
import type { Client } from "../client.ts";
import { percent } from "../output.ts";
import { command, type Shell } from "./command.ts";
import { flag, wholeNumber, wholeText } from "./inputs.ts";
import { showEvidence, showReceipt, showRoute } from "./receipt.ts";

type Settlement = z.infer<typeof settlementSchema>;

export interface Answered {
  readonly answer: string;
  readonly settlement: Settlement;
}

const TOKENS_MAX = 1_000_000;

export const askCommand = command({
  path: "ask",
  summary: "Ask a model, and see who is credited for the answer",
  arguments: [
    ["<model>", "a served model"],
    ["<question...>", "the question"],
  ],
  options: [
    ["--stream", "print the answer as it comes"],
    ["--max-tokens <count>", "tokens of the answer at most"],
  ],
  examples: [
    'openledger ask npm-docs "How do I create an object schema with zod?"',
    "openledger ask npm-docs what is zod --stream",
  ],
  input: z.object({
    ...{ model: wholeText, question: z.array(z.string()).min(1), stream: flag },
    maxTokens: wholeNumber(1, TOKENS_MAX).optional(),
  }),
  run: async ({ model, question, stream, maxTokens }, shell) => {
    const { output } = shell;
    const text = question.join(" ").trim();
    if (text === "") return refuse("invalid_request", "the question is empty", { field: "question" });
    const client = await shell.client();
    if (!client.ok) return client;
    const order = {
      ...{ model, messages: [{ role: "user", content: text }] },
      ...(maxTokens === undefined ? {} : { max_tokens: maxTokens }),
    };
    const answered = stream ? await askStreaming(client.value, order, shell) : await askWhole(client.value, order);
    if (!answered.ok) return answered;
    if (!stream) output.line(answered.value.answer);
    const settlement = await settled(client.value, answered.value.settlement, shell.world);
    const receipt = await client.value.get(
      `/api/receipts/${settlement.receipt.replace(/^0x/, "")}`,
      receiptDetailSchema,
    );
    if (!receipt.ok) return receipt;
    showEvidence(receipt.value, output);
    if (receipt.value.opening === undefined && !receipt.value.flags.undeclared) showCredited(settlement, shell);
    showReceipt(receipt.value, output);
    showRoute(receipt.value, output);
    return ok({ ...answered.value, receipt: receipt.value });
  },
});

/** A receipt may come after its answer: waits for the promise of it, for so long as that may take. */
export async function settled(
  client: Client,
  settlement: Settlement,
  clock: { nowMs(): number; sleep(ms: number): Promise<void> },
): Promise<Settlement> {
  const until = clock.nowMs() + RECEIPT_MS_MAX;
  while (settlement.pending === true && clock.nowMs() < until) {
    const promise = await client.get(`/api/receipts/${settlement.receipt.replace(/^0x/, "")}/promise`, promiseSchema);
    if (promise.ok) return { ...settlement, promise: promise.value };
    await clock.sleep(POLL_MS);
  }
  return settlement;
}

const RECEIPT_MS_MAX = 60_000;
const POLL_MS = 250;

export async function askWhole(client: Client, order: object): Promise<Result<Answered>> {
  const answered = await client.post("/v1/chat/completions", order, chatCompletionSchema);
  if (!answered.ok) return answered;
  const { choices, openledger } = answered.value;
  return ok({ answer: choices[0]?.message.content ?? "", settlement: openledger });
}

const chunkSchema = z.looseObject({
  choices: z.array(z.looseObject({ delta: z.looseObject({ content: z.string().nullish() }) })),
  openledger: settlementSchema.optional(),
});

async function askStreaming(client: Client, order: object, { output, world }: Shell): Promise<Result<Answered>> {
  let [answer, settlement]: [string, Settlement | undefined] = ["", undefined];
  const streamed = { ...order, stream: true, stream_options: { include_usage: true } };
  for await (const event of client.events("/v1/chat/completions", streamed)) {
    if (!event.ok) return event;
    const chunk = chunkSchema.safeParse(event.value);
    if (!chunk.success) return refuse("upstream_failed", "the node streamed what this program does not understand");
    const text = chunk.data.choices[0]?.delta.content ?? "";
    answer += text;
    settlement = chunk.data.openledger ?? settlement;
    if (!output.json) world.terminal.write(text);
  }
  output.line();
  if (settlement === undefined) return refuse("upstream_failed", "the answer came without its receipt");
  return ok({ answer, settlement });
}

function showCredited({ credited, unattributed }: Settlement, { output }: Shell): void {
  // Of an answer that did not wait for it, the route says who is credited.
  if (credited === undefined || unattributed === undefined) return;
  output.heading("Credited");
  output.table([
    ...credited.map(({ label, payee, weight }) => ({ who: label ?? payee, weight: percent(weight, 1_000_000) })),
    { who: "nobody: no evidence", weight: percent(unattributed, 1_000_000) },
  ]);
}
