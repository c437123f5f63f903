import type { EngineRequest, Passage, StopSignal } from "../core/engine.ts";
import { feeOf, type Rate, type Usage } from "../core/quote.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { countTokens, type ServedModel } from "./catalog.ts";
import { type Delivery, dispatch, isOperatorsFault, type Produced } from "./dispatch.ts";
import type { Outcome } from "./operators.ts";
import { type Answered, type Floor, noSampling, type Order, type Placed } from "./order.ts";
import type { Grounding } from "./ports.ts";
import { attribute, logError, pendingAnswer, post, quoteOf } from "./posting.ts";
import type { Refused } from "./refused.ts";

export const MAX_TOKENS_DEFAULT = 1_024;
/** Chat templates wrap each message in a few tokens of their own. */
const TOKENS_PER_MESSAGE = 8;

const noOperators: ReadonlySet<string> = new Set();

/** Step 1: quote and hold the worst case, within the key's limits. No hold, no dispatch. */
export function place(floor: Floor, order: Order): Result<Placed, Refused> {
  const { model, key } = order;
  const prompt = promptText(order);
  const worst = worstUsage(order, prompt);
  if (!worst.ok) return worst;
  const nowMs = floor.world.nowMs();
  const possible = floor.operators.check(model, noOperators, nowMs);
  if (!possible.ok) return possible;
  const frozen = floor.catalog.rateFor(model.unit);
  if (!frozen.ok) return frozen;
  const rate = frozen.value;
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
 * Steps 2 to 7: admit, retrieve, dispatch and stream, then attribute, post and hand out the promise. At the last byte of what is delivered `onLastByte` is told so, and can ask what is known of it by then.
 * Ends either in a posted receipt or in a released hold. `docs/rules/delivery.md` says which.
 */
export async function execute(
  floor: Floor,
  placed: Placed,
  delivery: Delivery,
  onLastByte: (produced: Produced, pending: () => Answered | undefined) => void,
): Promise<Result<Answered, Refused>> {
  const { order, hold, allowance } = placed;
  let used = { tokens: 0, nano: 0 };
  let isPosted = false;
  let tokensOut = 0;
  let produced: Result<Produced, Refused> | undefined;
  try {
    produced = await produce(floor, placed, delivery);
    if (!produced.ok) return produced;
    const lastByteMs = floor.world.elapsedMs();
    const usage = usageOf(placed, produced.value);
    tokensOut = usage.tokensOut;
    // Attribution may take seconds, which are the operator's no more; what runs behind is bounded by model, so that none takes the others' slots.
    if (order.model.grounding !== undefined) produced.value.slot.free(outcomeOf(produced.value), tokensOut);
    if (!delivery.isStream && delivery.signal.aborted) return refuse("cancelled", "the caller left before the answer");
    const { value } = produced;
    onLastByte(value, () => pendingAnswer(placed, value, usage));
    const attribution =
      order.model.grounding && (await attribute(floor, placed, order.model.grounding, produced.value));
    const answered = await post(floor, placed, produced.value, usage, attribution);
    if (!answered.ok) return answered;
    isPosted = true;
    used = { tokens: usage.tokensIn + usage.tokensOut, nano: answered.value.settlement.fee.amount };
    floor.metrics.executed(order.model.name, produced.value, usage, floor.world.elapsedMs() - lastByteMs);
    return answered;
  } finally {
    // Held until the receipt is durable: under overload the rest waits fairly in the queue.
    if (produced?.ok) produced.value.slot.finish(outcomeOf(produced.value), tokensOut);
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

async function retrieve(
  floor: Floor,
  order: Order,
  grounding: Grounding,
  signal: StopSignal,
): Promise<readonly Passage[]> {
  const question = order.messages.findLast((message) => message.role === "user") ?? order.messages.at(-1);
  try {
    return await grounding.retrieve(question?.content ?? "", signal);
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
    (name) => {
      const made = (passages: readonly Passage[]): EngineRequest => {
        const { isStream: isStreamed } = delivery;
        const request = { model: name, mode, messages, passages, maxTokens: worst.tokensOut, isStreamed };
        return sampling === noSampling ? request : { ...request, ...sampling };
      };
      const { grounding } = model;
      return grounding === undefined ? made([]) : retrieve(floor, order, grounding, delivery.signal).then(made);
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

function outcomeOf({ failure }: Produced): Outcome {
  return failure === undefined ? "served" : isOperatorsFault(failure) ? "failed" : "abandoned";
}
