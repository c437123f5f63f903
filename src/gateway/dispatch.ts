import type { EngineEvent, EngineRequest, Passage, StopSignal } from "../core/engine.ts";
import { ok, type Refusal, type Result } from "../core/result.ts";
import type { FinishReason } from "../protocol/completions.ts";
import type { Admission, Candidate, Slot } from "./admission.ts";
import { type Timeouts, Watch } from "./deadline.ts";
import type { World } from "./ports.ts";
import type { Refused } from "./refused.ts";

/** Where an answer goes as it comes. */
export interface Delivery {
  /** False for one that is sent whole at the end: then nothing is delivered while the engine runs, and another operator may start over. */
  readonly isStream: boolean;
  /** Aborted when the caller left, or, with a refusal as reason, when the server goes down. */
  readonly signal: StopSignal;
  /** Hands over a part. A promise while the reader is slow; false when the reader is gone. */
  text(part: string): boolean | Promise<boolean>;
}

/** What an operator produced. `failure` says why it stopped early; what `text` holds was delivered all the same. */
export interface Produced {
  readonly slot: Slot;
  readonly passages: readonly Passage[];
  readonly text: string;
  readonly finish: FinishReason;
  readonly reported: { readonly tokensIn: number; readonly tokensOut: number } | undefined;
  readonly failure: Refusal | undefined;
  readonly firstByteMs: number;
}

/** An answer of more bytes than this for each token asked for comes from an engine that ignores its limit. */
const BYTES_PER_TOKEN_MAX = 64;

/**
 * Sends a request to an operator and streams the answer through. An operator that fails before the first byte of the answer reached the caller
 * gives way to the next one; afterwards the answer stands as far as it came. Refuses when nothing was delivered.
 * `prepare` retrieves the context, once, when the request has its place; it does not throw.
 */
export async function dispatch(
  admission: Admission,
  world: World,
  timeouts: Timeouts,
  candidate: Omit<Candidate, "excluded">,
  prepare: (model: string) => EngineRequest | Promise<EngineRequest>,
  delivery: Delivery,
): Promise<Result<Produced, Refused>> {
  const excluded = new Set<string>();
  let request: EngineRequest | undefined;
  let lastFailure: Refusal | undefined;
  for (;;) {
    const { account, model: wanted, rate, worst, signal } = candidate;
    const admitted = admission.admit({ account, model: wanted, rate, worst, signal, excluded });
    const slot = admitted instanceof Promise ? await admitted : admitted;
    if (!slot.ok)
      return lastFailure === undefined || slot.error.code === "cancelled" ? slot : { ok: false, error: lastFailure };
    const { operator } = slot.value;
    const model = operator.models[candidate.model.name] ?? candidate.model.name;
    if (request === undefined) {
      const prepared = prepare(model);
      request = prepared instanceof Promise ? await prepared : prepared;
    }
    if (request.model !== model) request = { ...request, model };
    const produced = await runAt(slot.value, request, delivery, timeouts, world);
    const { failure, text } = produced;
    if (failure === undefined || (delivery.isStream && text !== "")) return ok(produced);
    slot.value.finish(isOperatorsFault(failure) ? "failed" : "abandoned", 0);
    if (!isOperatorsFault(failure) || !mayTryAnother(failure)) return { ok: false, error: failure };
    world.log("warn", "operator failed before the first byte", { operator: operator.name, code: failure.code });
    excluded.add(operator.name);
    lastFailure = failure;
  }
}

export function isOperatorsFault(refusal: Refusal): boolean {
  return refusal.code === "upstream_failed" || refusal.code === "upstream_timeout" || refusal.code === "rate_limited";
}

/** A request that one operator finds invalid is invalid at the next one too; engines say so with `invalid_request`. */
function mayTryAnother(refusal: Refusal): boolean {
  return refusal.code !== "invalid_request" && refusal.code !== "context_too_long";
}

async function runAt(
  slot: Slot,
  request: EngineRequest,
  delivery: Delivery,
  timeouts: Timeouts,
  world: World,
): Promise<Produced> {
  // An answer that is not streamed may come whole: its first byte is then its last.
  const watch = new Watch(delivery.signal, timeouts, delivery.isStream ? timeouts.firstByteMs : timeouts.totalMs);
  const startedMs = world.elapsedMs();
  const run: Run = {
    text: "",
    fresh: "",
    parts: 0,
    finish: "stop",
    reported: undefined,
    failure: undefined,
    firstByteMs: 0,
    isOver: false,
  };
  const events = slot.operator.engine.complete(request, watch.signal)[Symbol.asyncIterator]();
  try {
    let more = true;
    while (more) {
      const batch = await watch.next(events);
      if (batch === undefined) break;
      if (run.parts === 0) run.firstByteMs = world.elapsedMs() - startedMs;
      for (const event of batch) {
        more = take(run, event, request.maxTokens);
        if (!more) break;
      }
      // What came together goes out together.
      const taken = run.fresh === "" || deliver(run, delivery);
      if (!(taken instanceof Promise ? await taken : taken)) break;
    }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    world.log("error", "an engine threw", { operator: slot.operator.name, message });
    run.failure = { code: "upstream_failed", message: `operator ${slot.operator.name} broke down` };
  }
  const failure = run.failure ?? watch.cause ?? (run.isOver ? undefined : endedEarly(slot));
  watch.stop(run.isOver && run.finish !== "length");
  events.return?.()?.catch(() => {});
  return {
    slot,
    passages: request.passages,
    text: run.text,
    finish: run.finish,
    reported: run.reported,
    failure,
    firstByteMs: run.firstByteMs,
  };
}

interface Run {
  /** Delivered. */
  text: string;
  /** Arrived and not delivered yet. */
  fresh: string;
  parts: number;
  finish: FinishReason;
  reported: { readonly tokensIn: number; readonly tokensOut: number } | undefined;
  failure: Refusal | undefined;
  firstByteMs: number;
  isOver: boolean;
}

/** True to go on. Every part holds at least one token, so more parts than tokens asked for means that the stream is to be cut. */
function take(run: Run, event: EngineEvent, maxTokens: number): boolean {
  switch (event.type) {
    case "text": {
      if (event.text === "") return true;
      if (run.parts >= maxTokens || run.text.length + run.fresh.length > maxTokens * BYTES_PER_TOKEN_MAX) {
        run.finish = "length";
        run.isOver = true;
        return false;
      }
      run.parts += 1;
      run.fresh += event.text;
      return true;
    }
    case "usage":
      run.reported = { tokensIn: event.tokensIn, tokensOut: event.tokensOut };
      return true;
    case "end":
      run.finish = event.reason;
      run.isOver = true;
      return false;
    case "failed":
      run.failure = event.refusal;
      return false;
  }
}

function deliver(run: Run, delivery: Delivery): boolean | Promise<boolean> {
  const part = run.fresh;
  run.fresh = "";
  const taken = delivery.text(part);
  return taken instanceof Promise ? taken.then((isTaken) => keep(run, part, isTaken)) : keep(run, part, taken);
}

function keep(run: Run, text: string, isTaken: boolean): boolean {
  if (isTaken) run.text += text;
  else run.failure ??= { code: "cancelled", message: "the caller left" };
  return isTaken;
}

function endedEarly(slot: Slot): Refusal {
  return { code: "upstream_failed", message: `operator ${slot.operator.name} stopped without an end` };
}
