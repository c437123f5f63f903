import type { StopSignal } from "../core/engine.ts";
import { ok, type Refusal, type Result, refuse } from "../core/result.ts";
import type { ApiKey } from "../ledger/ledger.ts";
import {
  type ChatRequest,
  type CompletionRequest,
  chatCompletionSchema,
  chatRequestSchema,
  completionRequestSchema,
  completionSchema,
  messageText,
  modelListSchema,
  modelSchema,
} from "../protocol/completions.ts";
import { type CompletionHeaders, completionAnswerHeaders, completionHeaders } from "../protocol/headers.ts";
import { modelParam } from "../protocol/service.ts";
import { answerId, answerText, ChunkWriter } from "./answerWire.ts";
import { wireModel } from "./catalog.ts";
import { callerSignal, StreamDelivery, wholeDelivery } from "./deliveries.ts";
import type { Exchange } from "./exchange.ts";
import { execute, place } from "./execution.ts";
import { hexText } from "./hexText.ts";
import { beginOnce } from "./idempotency.ts";
import { type Answered, type Floor, noSampling, type Order, type Placed } from "./order.ts";
import { isPlainChat, isPlainCompletion } from "./plainRequest.ts";
import { logError } from "./posting.ts";
import { type LastByte, receiptWaitMs, waited } from "./receiptWait.ts";
import type { Refused } from "./refused.ts";
import { type Call, json, jsonOf, plain, type Reply, type Route, route } from "./routes.ts";
import { StopSource } from "./stopSource.ts";

/** The live answers of a server, so that it can end them when it goes down. */
export type LiveAnswers = Set<{ abort(reason?: Refusal): void }>;

/** The OpenAI-compatible endpoints. */
export function completionRoutes(floor: Floor, live: LiveAnswers): Route[] {
  return [
    route({
      ...plain,
      ...{
        method: "GET",
        path: "/v1/models",
        tag: "openai",
        access: "key",
        needs: "models.read",
        response: modelListSchema,
      },
      summary: "The models that are served",
      handle: () => json({ object: "list", data: floor.catalog.list().map(wireModel) }),
    }),
    route({
      ...plain,
      ...{
        method: "GET",
        path: "/v1/models/{name}",
        tag: "openai",
        access: "key",
        needs: "models.read",
        response: modelSchema,
      },
      summary: "One model",
      params: modelParam,
      handle: ({ params }) => jsonOf(floor.catalog.find(params.name), wireModel),
    }),
    route({
      ...plain,
      ...{
        method: "POST",
        path: "/v1/chat/completions",
        tag: "openai",
        access: "key",
        needs: "models.execute",
        response: chatCompletionSchema,
        produces: ANSWERS,
        headers: completionHeaders,
        answerHeaders: completionAnswerHeaders,
      },
      summary: "Answer a conversation; streams with `stream: true`",
      body: chatRequestSchema,
      isPlain: isPlainChat,
      handle: (call) => told(floor, call.key, answer(floor, live, call, "chat", chatOrder(call.body))),
    }),
    route({
      ...plain,
      ...{
        method: "POST",
        path: "/v1/completions",
        tag: "openai",
        access: "key",
        needs: "models.execute",
        response: completionSchema,
        produces: ANSWERS,
        headers: completionHeaders,
        answerHeaders: completionAnswerHeaders,
      },
      summary: "Continue a text; streams with `stream: true`",
      body: completionRequestSchema,
      isPlain: isPlainCompletion,
      handle: (call) => told(floor, call.key, answer(floor, live, call, "text", textOrder(call.body))),
    }),
  ];
}

type CompletionCall = Call<unknown, unknown, ChatRequest | CompletionRequest, CompletionHeaders>;
type Wanted = Pick<Order, "messages" | "maxTokens" | "sampling">;

function chatOrder(body: ChatRequest): Wanted {
  const messages = body.messages.map((message) => ({
    role: message.role === "developer" ? ("system" as const) : message.role,
    content: messageText(message),
  }));
  return {
    messages,
    maxTokens: body.max_completion_tokens ?? body.max_tokens ?? undefined,
    sampling: samplingOf(body),
  };
}

function textOrder(body: CompletionRequest): Wanted {
  const content = typeof body.prompt === "string" ? body.prompt : body.prompt[0];
  return {
    messages: [{ role: "user", content }],
    maxTokens: body.max_tokens ?? undefined,
    sampling: samplingOf(body),
  };
}

function samplingOf(body: ChatRequest | CompletionRequest): Order["sampling"] {
  const { temperature, top_p: topP, seed, stop } = body;
  if ((temperature ?? topP ?? seed ?? stop ?? undefined) === undefined) return noSampling;
  return {
    ...(typeof temperature === "number" ? { temperature } : {}),
    ...(typeof topP === "number" ? { topP } : {}),
    ...(typeof seed === "number" ? { seed } : {}),
    ...(stop === null || stop === undefined ? {} : { stop: typeof stop === "string" ? [stop] : stop }),
  };
}

/** Whoever watches an account learns what it was refused; what the caller gave up was not. */
async function told(
  floor: Floor,
  key: ApiKey | undefined,
  answering: Promise<Result<Reply, Refused>>,
): Promise<Result<Reply, Refused>> {
  const answered = await answering;
  if (!answered.ok && key !== undefined && answered.error.code !== "cancelled")
    floor.onRefused(key.account, answered.error);
  return answered;
}

async function answer(
  floor: Floor,
  live: LiveAnswers,
  call: CompletionCall,
  mode: Order["mode"],
  wanted: Wanted,
): Promise<Result<Reply, Refused>> {
  const { body, key, exchange, headers } = call;
  if (key === undefined) return refuse("unauthenticated", "no API key was given");
  const model = floor.catalog.find(body.model);
  if (!model.ok) return model;
  const begun = beginOnce(floor.ledger.books, key.account, headers["idempotency-key"], exchange.path, call.rawBody);
  const once = begun instanceof Promise ? await begun : begun;
  if (!once.ok) return once;
  const { end } = once.value;
  let done: Promise<unknown> = Promise.resolve();
  try {
    if (once.value.state === "done") return replay(call, mode, once.value.answered);
    const order: Order = {
      key,
      mode,
      model: model.value,
      messages: wanted.messages,
      maxTokens: wanted.maxTokens,
      sampling: wanted.sampling,
      isUnaudited: headers["openledger-audit"] !== undefined,
      isForgotten: headers["openledger-lineage"] !== undefined,
      idempotency: once.value.idempotency,
      createdMs: floor.world.nowMs(),
    };
    const placed = place(floor, order);
    if (!placed.ok) return placed;
    const delivered = deliver(floor, live, call, placed.value);
    let isAnswered = false;
    done = delivered.done.catch((error: unknown) => {
      if (isAnswered) logError(floor, "the receipt of a delivered answer failed", order, error);
    });
    const reply = await delivered.reply;
    isAnswered = true;
    return reply;
  } finally {
    // A receipt may come after its answer: until then its key is in use.
    void done.then(end);
  }
}

interface Delivered {
  readonly reply: Promise<Result<Reply, Refused>>;
  /** When the execution behind it has ended, which may be later. */
  readonly done: Promise<unknown>;
}

function deliver(
  floor: Floor,
  live: LiveAnswers,
  { body, exchange, headers: said }: CompletionCall,
  placed: Placed,
): Delivered {
  const { order, hold } = placed;
  const startedMs = floor.world.elapsedMs();
  const caller = callerSignal(exchange);
  live.add(caller);
  const headers: Record<string, string> = {
    "content-type": body.stream === true ? EVENT_STREAM : "application/json",
    "openledger-receipt": hexText(hold.id),
  };
  floor.meters.addHeaders(order.key, floor.world.nowMs(), headers);
  const waitMs = receiptWaitMs(said.prefer, floor.timeouts.receiptMs);
  const { reply, done } =
    body.stream === true
      ? stream(floor, exchange, placed, { signal: caller, headers, withUsage: wantsUsage(body), waitMs })
      : whole(floor, placed, { signal: caller, headers, waitMs });
  const answered = reply.finally(() => {
    placed.allowance.answered();
    floor.metrics.took(order.model.name, floor.world.elapsedMs() - startedMs);
  });
  return { reply: answered, done: done.finally(() => live.delete(caller)) };
}

interface Wishes {
  readonly signal: StopSignal;
  readonly headers: Record<string, string>;
  readonly waitMs: number;
}

function whole(floor: Floor, placed: Placed, { signal, headers, waitMs }: Wishes): Delivered {
  const { order } = placed;
  const run = (tell: LastByte) => execute(floor, placed, wholeDelivery(signal), (_produced, pending) => tell(pending));
  const { answered, done } = waited(run, waitMs);
  const reply = answered.then((ended): Result<Reply, Refused> => {
    if (!ended.ok) return ended;
    return ok({ kind: "bytes", body: answerText(order.mode, order.model.name, ended.value), headers });
  });
  return { reply, done };
}

function stream(
  floor: Floor,
  exchange: Exchange,
  placed: Placed,
  { signal, headers, withUsage, waitMs }: Wishes & { readonly withUsage: boolean },
): Delivered {
  const { order } = placed;
  const id = answerId(order.mode, hexText(placed.hold.id));
  const chunks = new ChunkWriter(order.mode, id, order.createdMs, order.model.name, withUsage);
  const delivery = new StreamDelivery(exchange, chunks, signal, headers);
  const run = (tell: LastByte) =>
    execute(floor, placed, delivery, ({ failure, finish }, pending) => {
      if (failure === undefined) delivery.push(chunks.finish(finish));
      tell(pending);
    });
  const { answered, done } = waited(run, waitMs);
  const reply = answered.then((ended): Result<Reply, Refused> => {
    if (!ended.ok) {
      if (!delivery.hasBegun) return ended;
      floor.metrics.refused(ended.error.code);
      delivery.end(chunks.failure(ended.error));
    } else if (ended.value.failure !== undefined) delivery.end(chunks.failure(ended.value.failure, ended.value));
    else delivery.end(chunks.last(ended.value));
    return ok({ kind: "sent" });
  });
  return { reply, done };
}

/** The stored answer again, marked as such, in the form that was asked for. */
function replay({ body, exchange }: CompletionCall, mode: Order["mode"], answered: Answered): Result<Reply> {
  const headers = {
    "content-type": body.stream === true ? EVENT_STREAM : "application/json",
    "openledger-receipt": hexText(answered.receipt),
    "idempotency-replayed": "true",
  };
  if (body.stream !== true) return ok({ kind: "bytes", body: answerText(mode, body.model, answered), headers });
  const id = answerId(mode, headers["openledger-receipt"]);
  const chunks = new ChunkWriter(mode, id, answered.createdMs, body.model, wantsUsage(body));
  const delivery = new StreamDelivery(exchange, chunks, new StopSource(), headers);
  delivery.text(answered.answer);
  if (answered.failure !== undefined) delivery.end(chunks.failure(answered.failure, answered));
  else delivery.end(chunks.finish(answered.finish) + chunks.last(answered));
  return ok({ kind: "sent" });
}

const ANSWERS = ["application/json", "text/event-stream"];
const EVENT_STREAM = "text/event-stream; charset=utf-8";

function wantsUsage(body: ChatRequest | CompletionRequest): boolean {
  return body.stream_options?.include_usage === true;
}
