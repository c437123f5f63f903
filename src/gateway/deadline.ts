import type { EngineEvent, StopSignal } from "../core/engine.ts";
import type { Refusal } from "../core/result.ts";
import { StopSource } from "./stopSource.ts";

export interface Timeouts {
  /** From dispatch to the first byte of the answer. */
  readonly firstByteMs: number;
  /** Between two parts of an answer. */
  readonly idleMs: number;
  /** From dispatch to the last byte. */
  readonly totalMs: number;
  /** From the last byte to the end of the response: so long it waits for its receipt, where its caller says nothing else. */
  readonly receiptMs: number;
}

/**
 * Watches one dispatch: it ends when the caller leaves, when a timeout passes or when the server goes down; whichever came first is `cause`.
 */
export class Watch {
  readonly #source = new StopSource();
  readonly #timeouts: Timeouts;
  readonly #total: NodeJS.Timeout;
  readonly #outer: StopSignal;
  #pace: NodeJS.Timeout | undefined;
  #wake: (step: undefined) => void = () => {};
  #hasBegun = false;
  #isRunning = false;
  #isWaiting = false;
  #cause: Refusal | undefined;

  /** `outer` aborts with a refusal as its reason, or without one when the caller left. */
  constructor(outer: StopSignal, timeouts: Timeouts, firstByteMs = timeouts.firstByteMs) {
    this.#timeouts = timeouts;
    this.#outer = outer;
    // Whoever may take the whole time until the first byte needs no second clock for it.
    if (firstByteMs < timeouts.totalMs)
      this.#pace = setTimeout(() => this.#paceUp("first byte", firstByteMs), firstByteMs);
    this.#total = setTimeout(() => this.#timeUp("whole answer", timeouts.totalMs), timeouts.totalMs);
    if (outer.aborted) this.#outerAborted();
    else outer.addEventListener("abort", this.#outerAborted, { once: true });
  }

  get signal(): StopSignal {
    return this.#source;
  }

  /** Why it was stopped; undefined while it was not. */
  get cause(): Refusal | undefined {
    return this.#cause;
  }

  /** The next events, or undefined when the iteration is over or was stopped. Never hangs on an engine that ignores its signal. */
  next(events: AsyncIterator<readonly EngineEvent[]>): Promise<readonly EngineEvent[] | undefined> {
    if (this.signal.aborted) return Promise.resolve(undefined);
    this.#isWaiting = true;
    if (this.#hasBegun && !this.#isRunning) this.#run();
    else this.#pace?.refresh();
    return new Promise((resolve, reject) => {
      this.#wake = resolve;
      events.next().then((step) => resolve(this.#arrived(step)), reject);
    });
  }

  #arrived(step: IteratorResult<readonly EngineEvent[]>): readonly EngineEvent[] | undefined {
    this.#isWaiting = false;
    if (step.done === true) return undefined;
    this.#hasBegun = true;
    return step.value;
  }

  /** `isOver`: the engine has ended by itself; there is nothing to abort then, and an abort is not free. */
  stop(isOver: boolean): void {
    clearTimeout(this.#pace);
    clearTimeout(this.#total);
    this.#outer.removeEventListener("abort", this.#outerAborted);
    if (!isOver && !this.signal.aborted) this.#source.abort(stopped);
  }

  /** From the first byte on the shorter patience holds, where anything follows it. */
  #run(): void {
    this.#isRunning = true;
    clearTimeout(this.#pace);
    const { idleMs } = this.#timeouts;
    this.#pace = setTimeout(() => this.#paceUp("next part", idleMs), idleMs);
  }

  /** Time that passes while a slow reader holds us up is not the engine's. */
  #paceUp(what: string, ms: number): void {
    if (this.#isWaiting) this.#timeUp(what, ms);
  }

  #timeUp(what: string, ms: number): void {
    this.#abort({ code: "upstream_timeout", message: `the ${what} took longer than ${ms / 1_000} s` });
  }

  readonly #outerAborted = () => {
    this.#abort(isRefusal(this.#outer.reason) ? this.#outer.reason : { code: "cancelled", message: "the caller left" });
  };

  #abort(cause: Refusal): void {
    if (this.#cause !== undefined || this.signal.aborted) return;
    this.#cause = cause;
    this.#isWaiting = false;
    this.#source.abort(cause);
    this.#wake(undefined);
  }
}

const stopped: Refusal = { code: "cancelled", message: "no longer wanted" };

function isRefusal(reason: unknown): reason is Refusal {
  return (
    typeof reason === "object" &&
    reason !== null &&
    "code" in reason &&
    "message" in reason &&
    !(reason instanceof Error)
  );
}
