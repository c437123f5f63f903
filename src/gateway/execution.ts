import { type Fee, feeOf, type Prices, type Quote, type Rate, type Usage } from "../core/quote.ts";
import { ok, type Refusal, type Result, refuse } from "../core/result.ts";
import type { ApiKey, Hold, Ledger, Posted } from "../ledger/ledger.ts";
import type { FinishReason, WireSettlement } from "../protocol/completions.ts";
import type { Admission } from "./admission.ts";
import { countTokens, type ModelCatalog, type ServedModel } from "./catalog.ts";
import type { Timeouts } from "./deadline.ts";
import { type Delivery, dispatch, isOperatorsFault, type Produced } from "./dispatch.ts";
import { hexText } from "./hexText.ts";
import type { Leases } from "./leases.ts";
import type { Allowance, KeyMeters } from "./limits.ts";
import type { GatewayMetrics } from "./metrics.ts";
import { SALT_BYTES, saltedHash, writeOpening } from "./opening.ts";
import type { OperatorTable } from "./operators.ts";
import type { Attribution, EngineMessage, EngineRequest, Passage, PayeeLabel, StopSignal, World } from "./ports.ts";
import type { Refused } from "./refused.ts";
import type { Rhythm } from "./rhythm.ts";
import { settlementOf } from "./settlementView.ts";

/** Everything that an execution touches. */
export interface Floor {
  readonly world: World;
  readonly ledger: Ledger;
  readonly catalog: ModelCatalog;
  readonly operators: OperatorTable;
  readonly admission: Admission;
  readonly meters: KeyMeters;
  readonly leases: Leases;
  readonly metrics: GatewayMetrics;
  readonly rhythm: Rhythm;
  readonly labels: PayeeLabel;
  readonly timeouts: Timeouts;
}

/** What a caller ordered, parsed and authenticated. */
export interface Order {
  readonly key: ApiKey;
  readonly model: ServedModel;
  readonly mode: "chat" | "text";
  readonly messages: readonly EngineMessage[];
  readonly maxTokens: number | undefined;
  readonly sampling: Pick<EngineRequest, "temperature" | "topP" | "seed" | "stop">;
  /** The payer forbids opening the receipt: nothing is kept of the texts. */
  readonly isUnaudited: boolean;
  readonly idempotency?: { readonly key: string; readonly bodyHash: Uint8Array };
  readonly createdMs: number;
}

/** A finished execution, as it is answered and as it is stored under its idempotency key. */
export interface Answered {
  readonly receipt: Uint8Array;
  readonly answer: string;
  readonly finish: FinishReason;
  readonly usage: Usage;
  readonly createdMs: number;
  readonly settlement: WireSettlement;
  /** Why the answer is cut short, where it is. */
  readonly failure: Refusal | undefined;
}

/** An order with its worst case priced and set aside. */
export interface Placed {
  readonly order: Order;
  readonly hold: Hold;
  readonly rate: Rate;
  readonly worst: Usage;
  readonly allowance: Allowance;
  readonly prompt: string;
}

export const MAX_TOKENS_DEFAULT = 1_024;
/** Chat templates wrap each message in a few tokens of their own. */
const TOKENS_PER_MESSAGE = 8;

/** Step 1: quote and hold the worst case, within the key's limits. No hold, no dispatch. */
export function place(floor: Floor, order: Order): Result<Placed, Refused> {
  const { model, key } = order;
  const prompt = promptText(order);
  const worst = worstUsage(order, prompt);
  if (!worst.ok) return worst;
  const { rate } = floor.catalog;
  const nowMs = floor.world.nowMs();
  const possible = floor.operators.check(model, new Set(), nowMs);
  if (!possible.ok) return possible;
  const amount = worstFee(floor, model, rate, worst.value);
  if (!amount.ok) return amount;
  const hold = floor.ledger.holds.place({ account: key.account, amount: amount.value, leaseMs: floor.leases.leaseMs });
  if (!hold.ok) return hold;
  const tokens = worst.value.tokensIn + worst.value.tokensOut;
  const allowance = floor.meters.enter(key, { tokens, nano: amount.value }, nowMs);
  if (!allowance.ok) {
    floor.ledger.holds.release(hold.value.id);
    return allowance;
  }
  floor.leases.keep(hold.value.id);
  return ok({ order, hold: hold.value, rate, worst: worst.value, allowance: allowance.value, prompt });
}

/**
 * Steps 2 to 7: admit, retrieve, dispatch and stream, then attribute, post and hand out the promise.
 * Ends either in a posted receipt or in a released hold. `docs/rules/delivery.md` says which.
 */
export async function execute(
  floor: Floor,
  placed: Placed,
  delivery: Delivery,
  onLastByte: (finish: FinishReason) => void = () => {},
): Promise<Result<Answered, Refused>> {
  const { order, hold, allowance } = placed;
  let used = { tokens: 0, nano: 0 };
  let isPosted = false;
  let produced: Result<Produced, Refused> | undefined;
  try {
    produced = await produce(floor, placed, delivery);
    if (!produced.ok) return produced;
    const lastByteMs = floor.world.elapsedMs();
    const usage = usageOf(placed, produced.value);
    finishSlot(produced.value, usage.tokensOut);
    if (produced.value.failure === undefined) onLastByte(produced.value.finish);
    if (!delivery.isStream && delivery.signal.aborted) return refuse("cancelled", "the caller left before the answer");
    const attribution = await attribute(floor, placed, produced.value);
    const answered = await post(floor, placed, produced.value, usage, attribution);
    if (!answered.ok) return answered;
    isPosted = true;
    used = { tokens: usage.tokensIn + usage.tokensOut, nano: answered.value.settlement.fee.amount };
    floor.metrics.executed(order.model.name, produced.value, usage, floor.world.elapsedMs() - lastByteMs);
    return answered;
  } finally {
    if (produced?.ok) produced.value.slot.finish("abandoned", 0);
    floor.leases.drop(hold.id);
    if (!isPosted) floor.ledger.holds.release(hold.id);
    allowance.settle(used);
  }
}

/** What the receipt's prompt hash is over: the messages as JSON, or the bare text of a completion. */
export function promptText(order: Pick<Order, "mode" | "messages">): string {
  if (order.mode === "text") return order.messages[0]?.content ?? "";
  return JSON.stringify(order.messages.map(({ role, content }) => ({ role, content })));
}

function worstUsage(order: Order, prompt: string): Result<Usage> {
  const { model, messages } = order;
  const contextMost = model.grounding?.contextTokensMax ?? 0;
  const template = messages.length * TOKENS_PER_MESSAGE;
  const likely = messages.reduce((sum, message) => sum + countTokens(model, message.content), template);
  const room = model.contextTokens - likely - contextMost;
  if (room < 1) {
    const message = `the prompt has about ${likely} tokens, "${model.name}" has room for ${model.contextTokens - contextMost}`;
    return refuse("context_too_long", message, { field: order.mode === "chat" ? "messages" : "prompt" });
  }
  const tokensOut = Math.min(order.maxTokens ?? MAX_TOKENS_DEFAULT, room);
  return ok({ tokensIn: Buffer.byteLength(prompt) + template + contextMost, tokensOut, calls: 1 });
}

/** The dearest quote among the operators that might run it. */
function worstFee(floor: Floor, model: ServedModel, rate: Rate, worst: Usage): Result<number> {
  let most = 0;
  for (const operator of floor.operators.quoting(model)) {
    const fee = feeOf(quoteOf(model, operator.cost), rate, worst);
    if (!fee.ok) return fee;
    most = Math.max(most, fee.value.cost + fee.value.royalty);
  }
  return ok(most);
}

function quoteOf(model: ServedModel, cost: Prices): Quote {
  return { unit: model.unit, cost, royalty: model.royalty };
}

async function retrieve(floor: Floor, order: Order, signal: StopSignal): Promise<readonly Passage[]> {
  if (order.model.grounding === undefined) return [];
  const question = order.messages.findLast((message) => message.role === "user") ?? order.messages.at(-1);
  try {
    return await order.model.grounding.retrieve(question?.content ?? "", signal);
  } catch (error) {
    logError(floor, "retrieval failed, going on without context", order, error);
    return [];
  }
}

function produce(floor: Floor, { order, rate, worst }: Placed, delivery: Delivery): Promise<Result<Produced, Refused>> {
  const { key, model, mode, messages, sampling } = order;
  return dispatch(
    floor.admission,
    floor.world,
    floor.timeouts,
    { account: key.account, model, rate, worst, signal: delivery.signal },
    async () => {
      const passages = await retrieve(floor, order, delivery.signal);
      return { mode, messages, passages, maxTokens: worst.tokensOut, isStreamed: delivery.isStream, ...sampling };
    },
    delivery,
  );
}

/** What the engine reported, else what we count; never more than was held for. */
function usageOf({ order, worst }: Placed, { reported, text, passages }: Produced): Usage {
  const { model, messages } = order;
  const counted = () =>
    [...messages.map((message) => message.content), ...passages.map((passage) => passage.text)].reduce(
      (sum, part) => sum + countTokens(model, part),
      0,
    );
  return {
    tokensIn: Math.min(reported?.tokensIn ?? counted(), worst.tokensIn),
    tokensOut: Math.min(reported?.tokensOut ?? countTokens(model, text), worst.tokensOut),
    calls: 1,
  };
}

function finishSlot({ slot, failure }: Produced, tokensOut: number): void {
  const outcome = failure === undefined ? "served" : isOperatorsFault(failure) ? "failed" : "abandoned";
  slot.finish(outcome, tokensOut);
}

/** Attribution that breaks must not lose a receipt: all of the weight is then unattributed, and the log says why. */
async function attribute(
  floor: Floor,
  { order, prompt, hold }: Placed,
  { passages, text: answer }: Produced,
): Promise<Attribution | undefined> {
  const { grounding } = order.model;
  if (grounding === undefined) return undefined;
  try {
    return await grounding.attribute({ receipt: hold.id, prompt, answer, passages });
  } catch (error) {
    logError(floor, "attribution failed, all weight is unattributed", order, error);
    return { shares: [], unattributed: 1_000_000, evidenceRoot: none, evidence: [] };
  }
}

async function post(
  floor: Floor,
  placed: Placed,
  produced: Produced,
  usage: Usage,
  attribution: Attribution | undefined,
): Promise<Result<Answered, Refused>> {
  const { order, rate, prompt } = placed;
  const { operator } = produced.slot;
  const quote = quoteOf(order.model, operator.cost);
  const fee = feeOf(quote, rate, usage);
  if (!fee.ok) return fee;
  const answered = (posted: Posted | undefined): Answered => ({
    receipt: placed.hold.id,
    answer: produced.text,
    finish: produced.finish,
    usage,
    createdMs: order.createdMs,
    failure: produced.failure,
    settlement: settlement(floor, placed, produced, fee.value, attribution, posted),
  });
  const salt = floor.world.randomBytes(2 * SALT_BYTES);
  const salts = { prompt: salt.subarray(0, SALT_BYTES), answer: salt.subarray(SALT_BYTES) };
  const posted = await floor.ledger.books.post({
    hold: placed.hold.id,
    flags: {
      reported: false,
      unaudited: order.isUnaudited,
      partial: produced.failure !== undefined,
      undeclared: order.model.grounding === undefined,
    },
    operator: operator.payee,
    model: order.model.asset,
    ...{ quote, rate, usage },
    promptHash: saltedHash(salts.prompt, prompt),
    answerHash: saltedHash(salts.answer, produced.text),
    evidenceRoot: attribution?.evidenceRoot ?? none,
    indexId: order.model.grounding?.indexId ?? none,
    methodsHash: order.model.grounding?.methodsHash ?? none,
    ...(attribution === undefined
      ? {}
      : { contributors: { shares: attribution.shares, unattributed: attribution.unattributed } }),
    ...(order.isUnaudited ? {} : { opening: writeOpening(salts, prompt, produced.text, attribution?.evidence ?? []) }),
    ...(order.idempotency === undefined
      ? {}
      : { idempotency: { ...order.idempotency, response: JSON.stringify(stored(answered(undefined))) } }),
  });
  if (!posted.ok) {
    floor.world.log("error", "a delivered answer could not be posted", {
      receipt: hexText(placed.hold.id),
      code: posted.error.code,
    });
    return posted;
  }
  floor.rhythm.count(posted.value.timeMs, posted.value.receipt);
  return ok(answered(posted.value));
}

function settlement(
  floor: Floor,
  placed: Placed,
  produced: Produced,
  fee: Fee,
  attribution: Attribution | undefined,
  posted: Posted | undefined,
): WireSettlement {
  return settlementOf({
    receipt: placed.hold.id,
    operator: produced.slot.operator.name,
    why: produced.slot.why,
    isPartial: produced.failure !== undefined,
    queuedMs: produced.slot.queuedMs,
    fee,
    attribution,
    labels: floor.labels,
    promise: posted?.promise,
  });
}

function stored({ receipt, ...rest }: Answered): object {
  return { ...rest, receipt: hexText(receipt) };
}

function logError(floor: Floor, message: string, order: Order, error: unknown): void {
  floor.world.log("error", message, {
    model: order.model.name,
    error: error instanceof Error ? error.message : String(error),
  });
}

const none = new Uint8Array(32);
