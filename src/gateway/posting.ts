import { type Fee, feeOf, type Prices, type Quote, type Usage } from "../core/quote.ts";
import { ok, type Result } from "../core/result.ts";
import type { ReceiptPromise } from "../ledger/ledger.ts";
import type { WireSettlement } from "../protocol/completions.ts";
import type { ServedModel } from "./catalog.ts";
import type { Produced } from "./dispatch.ts";
import { hexText } from "./hexText.ts";
import { SALT_BYTES, saltedHash, writeOpening } from "./opening.ts";
import type { Answered, Floor, Order, Placed } from "./order.ts";
import type { Attribution, Grounding } from "./ports.ts";
import type { Refused } from "./refused.ts";
import { pendingSettlement, type Settling, settlementOf } from "./settlementView.ts";

/** Attribution that breaks must not lose a receipt: all of the weight is then unattributed, and the log says why. */
export async function attribute(
  floor: Floor,
  { order, prompt, hold }: Placed,
  grounding: Grounding,
  { passages, text: answer }: Produced,
): Promise<Attribution> {
  try {
    return await grounding.attribute({ receipt: hold.id, prompt, answer, passages });
  } catch (error) {
    logError(floor, "attribution failed, all weight is unattributed", order, error);
    return { shares: [], unattributed: 1_000_000, evidenceRoot: none, evidence: [] };
  }
}

/** The receipt, durable; refuses where the ledger does. */
export async function post(
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
  const { failure, text: answer } = produced;
  const settled = settlementOf(settling(placed, produced, fee.value), attribution, floor.labels);
  const answered = (promise: ReceiptPromise | undefined): Answered =>
    answeredOf(placed, produced, usage, settled, promise);
  const salts = { prompt: floor.world.randomBytes(SALT_BYTES), answer: floor.world.randomBytes(SALT_BYTES) };
  const { grounding } = order.model;
  const posted = await floor.ledger.books.post({
    hold: placed.hold.id,
    flags: {
      reported: false,
      unaudited: order.isUnaudited,
      partial: failure !== undefined,
      undeclared: grounding === undefined,
    },
    operator: operator.payee,
    model: order.model.asset,
    quote,
    rate,
    usage,
    promptHash: saltedHash(salts.prompt, prompt),
    answerHash: saltedHash(salts.answer, answer),
    evidenceRoot: attribution?.evidenceRoot ?? none,
    indexId: grounding?.indexId ?? none,
    methodsHash: attribution?.methodsHash ?? grounding?.methodsHash ?? none,
    metered: placed.allowance.metered,
    contributors: attribution,
    opening: order.isUnaudited ? undefined : openingOf(placed, produced, salts, attribution),
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
  const { timeMs, promise } = posted.value;
  floor.rhythm.count(timeMs, promise.entry);
  if (!order.isUnaudited && !order.isForgotten) floor.answers?.remember({ receipt: promise.receipt, answer, timeMs });
  return ok(answered(promise));
}

function openingOf(
  { order, prompt }: Placed,
  { text: answer }: Produced,
  salts: { readonly prompt: Uint8Array; readonly answer: Uint8Array },
  attribution: Attribution | undefined,
): string {
  const grounds = attribution?.grounds ?? {};
  const more = order.isForgotten ? { ...grounds, isForgotten: true as const } : grounds;
  return writeOpening(salts, prompt, answer, attribution?.evidence ?? [], more);
}

export function quoteOf(model: ServedModel, cost: Prices): Quote {
  return { unit: model.unit, cost, royalty: model.royalty };
}

/** What may be said of an answer before it is attributed and posted; undefined where its fee cannot be said. */
export function pendingAnswer(placed: Placed, produced: Produced, usage: Usage): Answered | undefined {
  const { order, rate } = placed;
  const fee = feeOf(quoteOf(order.model, produced.slot.operator.cost), rate, usage);
  if (!fee.ok) return undefined;
  const settlement = pendingSettlement(settling(placed, produced, fee.value));
  return answeredOf(placed, produced, usage, settlement, undefined);
}

function answeredOf(
  { order, hold }: Placed,
  { text: answer, finish, failure }: Produced,
  usage: Usage,
  settlement: WireSettlement,
  promise: ReceiptPromise | undefined,
): Answered {
  const { createdMs } = order;
  return { receipt: hold.id, answer, finish, usage, createdMs, failure, settlement, promise };
}

function settling({ hold }: Placed, { slot, failure }: Produced, fee: Fee): Settling {
  const { operator, why, queuedMs } = slot;
  return { receipt: hold.id, operator: operator.name, why, isPartial: failure !== undefined, queuedMs, fee };
}

/** A replay looks the promise up. */
function stored({ receipt, promise: _, ...rest }: Answered): object {
  return { ...rest, receipt: hexText(receipt) };
}

export function logError(floor: Floor, message: string, order: Order, error: unknown): void {
  floor.world.log("error", message, {
    model: order.model.name,
    error: error instanceof Error ? error.message : String(error),
  });
}

const none = new Uint8Array(32);
