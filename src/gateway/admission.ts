import type { StopSignal } from "../core/engine.ts";
import type { Rate, Usage } from "../core/quote.ts";
import { ok, type Result } from "../core/result.ts";
import type { PressureView } from "../protocol/service.ts";
import type { ServedModel } from "./catalog.ts";
import { FairQueue } from "./fairQueue.ts";
import type { Chosen, Operator, OperatorTable, Outcome } from "./operators.ts";
import type { World } from "./ports.ts";
import { type Refused, refuseFor } from "./refused.ts";

export interface AdmissionOptions {
  readonly waitingMax: number;
  readonly waitingPerAccountMax: number;
  readonly queueTimeoutMs: number;
}

export interface Candidate {
  readonly account: string;
  readonly model: ServedModel;
  readonly rate: Rate;
  readonly worst: Usage;
  /** Operators that failed this request already. */
  readonly excluded: ReadonlySet<string>;
  readonly signal: StopSignal;
}

/** A place at an operator. Must be finished exactly once. */
export interface Slot {
  readonly operator: Operator;
  readonly why: string;
  readonly queuedMs: number;
  finish(outcome: Outcome, tokensOut: number): void;
}

/**
 * Who may run now. A request that finds room and nobody waiting goes straight through; else it waits its turn in the fair queue,
 * bounded in number and in time, and whoever is turned away is told why.
 */
export class Admission {
  readonly #queue: FairQueue<Waiting>;
  readonly #operators: OperatorTable;
  readonly #world: World;
  readonly #options: AdmissionOptions;
  readonly #waits: number[] = [];
  #inFlight = 0;

  constructor(operators: OperatorTable, world: World, options: AdmissionOptions) {
    this.#operators = operators;
    this.#world = world;
    this.#options = options;
    this.#queue = new FairQueue({ waitingMax: options.waitingMax, perAccountMax: options.waitingPerAccountMax });
  }

  admit(candidate: Candidate): Result<Slot, Refused> | Promise<Result<Slot, Refused>> {
    const nowMs = this.#world.nowMs();
    const possible = this.#operators.check(candidate.model, candidate.excluded, nowMs);
    if (!possible.ok) return possible;
    if (this.#queue.waiting === 0) {
      const chosen = this.#choose(candidate, nowMs);
      if (chosen !== undefined) return ok(this.#begin(candidate, chosen, 0));
    }
    return this.#wait(candidate);
  }

  /** Lets in whoever can go; called when a slot came free or an operator changed. */
  pump(): void {
    for (;;) {
      const nowMs = this.#world.nowMs();
      const fits = (ticket: Waiting) =>
        this.#operators.hasRoom(ticket.candidate.model, ticket.candidate.excluded, nowMs);
      const next = this.#queue.take(fits);
      if (next === undefined) return;
      const chosen = this.#choose(next.candidate, nowMs);
      if (chosen === undefined) return;
      next.settle(ok(this.#begin(next.candidate, chosen, this.#world.elapsedMs() - next.sinceMs)));
    }
  }

  /** Turns away everybody who waits: the server is going down. */
  turnAway(): void {
    for (const ticket of [...this.#queue.tickets()]) {
      this.#queue.withdraw(ticket);
      ticket.settle(refuseFor("shutting_down", "the server is going down", { retryAfterMs: 5_000 }));
    }
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get waiting(): number {
    return this.#queue.waiting;
  }

  pressure(): Pick<
    PressureView,
    "waiting" | "waitingMax" | "waitingPerAccountMax" | "queueTimeoutMs" | "inFlight" | "waitMs" | "accounts"
  > {
    const sorted = this.#waits.toSorted((a, b) => a - b);
    const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
    return {
      waiting: this.#queue.waiting,
      waitingMax: this.#options.waitingMax,
      waitingPerAccountMax: this.#options.waitingPerAccountMax,
      queueTimeoutMs: this.#options.queueTimeoutMs,
      inFlight: this.#inFlight,
      waitMs: { p50: at(0.5), p95: at(0.95), max: sorted.at(-1) ?? 0, samples: sorted.length },
      accounts: this.#queue.accounts(20),
    };
  }

  #choose({ model, rate, worst, excluded }: Candidate, nowMs: number): Chosen | undefined {
    return this.#operators.choose(model, rate, worst, excluded, nowMs);
  }

  #begin({ account, worst }: Candidate, { operator, why }: Chosen, queuedMs: number): Slot {
    this.#queue.begin(account, worst.tokensIn);
    this.#inFlight += 1;
    this.#waits.push(queuedMs);
    if (this.#waits.length > WAITS_KEPT * 2) this.#waits.splice(0, WAITS_KEPT);
    let isFinished = false;
    const finish = (outcome: Outcome, tokensOut: number) => {
      if (isFinished) return;
      isFinished = true;
      this.#inFlight -= 1;
      this.#queue.charge(account, tokensOut);
      this.#queue.end(account);
      this.#operators.finish(operator.name, outcome, this.#world.nowMs());
      if (this.#queue.waiting > 0) this.pump();
    };
    return { operator, why, queuedMs, finish };
  }

  #wait(candidate: Candidate): Promise<Result<Slot, Refused>> | Result<Slot, Refused> {
    const { signal, account } = candidate;
    if (signal.aborted) return refuseFor("cancelled", "the caller left");
    let resolve: (result: Result<Slot, Refused>) => void = () => {};
    const promise = new Promise<Result<Slot, Refused>>((settled) => {
      resolve = settled;
    });
    const leave = (result: Result<Slot, Refused>) => {
      if (this.#queue.withdraw(ticket)) ticket.settle(result);
    };
    const onAbort = () => leave(refuseFor("cancelled", "the caller left while waiting"));
    const timer = setTimeout(() => {
      const seconds = this.#options.queueTimeoutMs / 1_000;
      leave(refuseFor("queue_timeout", `no operator came free in ${seconds} s`, { retryAfterMs: 2_000 }));
    }, this.#options.queueTimeoutMs);
    const settle = (result: Result<Slot, Refused>) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      resolve(result);
    };
    const ticket: Waiting = { account, candidate, sinceMs: this.#world.elapsedMs(), settle };
    if (!this.#queue.push(ticket)) {
      clearTimeout(timer);
      return this.#full(account);
    }
    signal.addEventListener("abort", onAbort, { once: true });
    return promise;
  }

  #full(account: string): Result<Slot, Refused> {
    const own = this.#queue.waitingOf(account);
    const isOwn = own >= this.#options.waitingPerAccountMax;
    const message = isOwn
      ? `${own} requests of this account wait already, its limit is ${this.#options.waitingPerAccountMax}`
      : `${this.#queue.waiting} requests wait already, the limit is ${this.#options.waitingMax}`;
    return refuseFor("queue_full", message, { retryAfterMs: isOwn ? 1_000 : 2_000 });
  }
}

interface Waiting {
  readonly account: string;
  readonly candidate: Candidate;
  readonly sinceMs: number;
  settle(result: Result<Slot, Refused>): void;
}

const WAITS_KEPT = 500;
