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

/** A place at an operator, and of a grounded model one among the answers that have no receipt yet. Must be finished; more than once changes nothing. */
export interface Slot {
  readonly operator: Operator;
  readonly why: string;
  readonly queuedMs: number;
  /** The last byte has come: the operator may take another request. */
  free(outcome: Outcome, tokensOut: number): void;
  /** All that ran behind the answer is over; frees what is not free yet. */
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
  #unposted = 0;

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

  /** Answers whose last byte has come and whose receipt has not. */
  get unposted(): number {
    return this.#unposted;
  }

  get waiting(): number {
    return this.#queue.waiting;
  }

  pressure(): Pick<
    PressureView,
    | "waiting"
    | "waitingMax"
    | "waitingPerAccountMax"
    | "queueTimeoutMs"
    | "inFlight"
    | "unposted"
    | "waitMs"
    | "accounts"
  > {
    const sorted = this.#waits.toSorted((a, b) => a - b);
    const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
    return {
      waiting: this.#queue.waiting,
      waitingMax: this.#options.waitingMax,
      waitingPerAccountMax: this.#options.waitingPerAccountMax,
      queueTimeoutMs: this.#options.queueTimeoutMs,
      inFlight: this.#inFlight,
      unposted: this.#unposted,
      waitMs: { p50: at(0.5), p95: at(0.95), max: sorted.at(-1) ?? 0, samples: sorted.length },
      accounts: this.#queue.accounts(20),
    };
  }

  #choose({ model, rate, worst, excluded }: Candidate, nowMs: number): Chosen | undefined {
    return this.#operators.choose(model, rate, worst, excluded, nowMs);
  }

  #begin({ account, model, worst }: Candidate, { operator, why }: Chosen, queuedMs: number): Slot {
    this.#queue.begin(account, worst.tokensIn);
    this.#inFlight += 1;
    this.#waits.push(queuedMs);
    if (this.#waits.length > WAITS_KEPT * 2) this.#waits.splice(0, WAITS_KEPT);
    let state: "running" | "unposted" | "over" = "running";
    const end = (outcome: Outcome, tokensOut: number) => {
      this.#inFlight -= 1;
      this.#queue.charge(account, tokensOut);
      this.#queue.end(account);
      this.#operators.finish(operator.name, outcome, this.#world.nowMs());
    };
    const free = (outcome: Outcome, tokensOut: number) => {
      if (state !== "running") return;
      state = "unposted";
      this.#unposted += 1;
      end(outcome, tokensOut);
      if (this.#queue.waiting > 0) this.pump();
    };
    const finish = (outcome: Outcome, tokensOut: number) => {
      if (state === "over") return;
      if (state === "unposted") this.#unposted -= 1;
      else end(outcome, tokensOut);
      state = "over";
      if (model.grounding !== undefined) this.#operators.settle(operator.name, model);
      if (this.#queue.waiting > 0) this.pump();
    };
    return { operator, why, queuedMs, free, finish };
  }

  #wait(candidate: Candidate): Promise<Result<Slot, Refused>> | Result<Slot, Refused> {
    const { signal, account, model } = candidate;
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
      const why = this.#operators.isBehind(model)
        ? `the receipts of "${model.name}" did not come in ${seconds} s, and too many wait for theirs`
        : `no operator came free in ${seconds} s`;
      leave(refuseFor("queue_timeout", why, { retryAfterMs: 2_000 }));
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
    // Those who wait may all wait for something else.
    if (this.#operators.hasRoom(model, candidate.excluded, this.#world.nowMs())) this.pump();
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
