import { assert } from "../core/result.ts";

/** Output tokens cost an operator about twice what input tokens do (Sheng et al. 2024, section 4.1). */
export const OUTPUT_WEIGHT = 2;

export interface Ticket {
  readonly account: string;
}

/**
 * A bounded fair queue by virtual token counters (Sheng et al. 2024, "Fairness in Serving Large Language Models", algorithm 2):
 * next is whoever has been served the fewest weighted tokens. Somebody who comes back after a pause is lifted to the least counter
 * among those who wait, so that nobody saves up a burst.
 */
export class FairQueue<T extends Ticket> {
  readonly waitingMax: number;
  readonly perAccountMax: number;
  readonly #accounts = new Map<string, AccountState<T>>();
  #waiting = 0;
  /** Counter of the account that last emptied its queue: the lift when nobody waits. */
  #floor = 0;

  constructor(bounds: { readonly waitingMax: number; readonly perAccountMax: number }) {
    this.waitingMax = bounds.waitingMax;
    this.perAccountMax = bounds.perAccountMax;
  }

  get waiting(): number {
    return this.#waiting;
  }

  waitingOf(account: string): number {
    return this.#accounts.get(account)?.queue.length ?? 0;
  }

  /** False when the queue, or the account's part of it, is full. */
  push(ticket: T): boolean {
    if (this.#waiting >= this.waitingMax || this.waitingOf(ticket.account) >= this.perAccountMax) return false;
    const state = this.#lifted(ticket.account);
    state.queue.push(ticket);
    this.#waiting += 1;
    return true;
  }

  /** Takes the next ticket that `fits`, accounts in the order of their counters, each account's tickets in the order they came. */
  take(fits: (ticket: T) => boolean): T | undefined {
    if (this.#waiting === 0) return undefined;
    const waiting = [...this.#accounts.values()].filter((state) => state.queue.length > 0);
    waiting.sort((a, b) => a.counter - b.counter || (a.queue.length < b.queue.length ? -1 : 1));
    for (const state of waiting) {
      const at = state.queue.findIndex(fits);
      if (at >= 0) return this.#remove(state, at);
    }
    return undefined;
  }

  /** Withdraws a ticket that waits no longer; false when it was not waiting. */
  withdraw(ticket: T): boolean {
    const state = this.#accounts.get(ticket.account);
    const at = state?.queue.indexOf(ticket) ?? -1;
    if (state === undefined || at < 0) return false;
    this.#remove(state, at);
    return true;
  }

  /** An account enters service: without waiting, or as its ticket is taken. */
  begin(account: string, tokensIn: number): void {
    const state = this.#lifted(account);
    state.inFlight += 1;
    state.counter += tokensIn;
    state.served += 1;
  }

  charge(account: string, tokensOut: number): void {
    const state = this.#accounts.get(account);
    if (state !== undefined) state.counter += tokensOut * OUTPUT_WEIGHT;
  }

  end(account: string): void {
    const state = this.#accounts.get(account);
    assert(state !== undefined && state.inFlight > 0, "what ends in the fair queue has begun there");
    state.inFlight -= 1;
    if (this.#accounts.size > FORGET_ABOVE) this.#forgetIdle();
  }

  /** The busiest accounts first. */
  accounts(limit: number): { account: string; waiting: number; inFlight: number; served: number }[] {
    return [...this.#accounts]
      .map(([account, { queue, inFlight, served }]) => ({ account, waiting: queue.length, inFlight, served }))
      .sort((a, b) => b.waiting - a.waiting || b.inFlight - a.inFlight || b.served - a.served)
      .slice(0, limit);
  }

  *tickets(): Iterable<T> {
    for (const state of this.#accounts.values()) yield* state.queue;
  }

  #lifted(account: string): AccountState<T> {
    let state = this.#accounts.get(account);
    if (state === undefined) {
      state = { counter: 0, queue: [], inFlight: 0, served: 0 };
      this.#accounts.set(account, state);
    }
    if (state.queue.length === 0 && state.inFlight === 0) state.counter = Math.max(state.counter, this.#leastWaiting());
    return state;
  }

  #leastWaiting(): number {
    if (this.#waiting === 0) return this.#floor;
    let least = Infinity;
    for (const state of this.#accounts.values()) if (state.queue.length > 0) least = Math.min(least, state.counter);
    return least;
  }

  #remove(state: AccountState<T>, at: number): T {
    const [ticket] = state.queue.splice(at, 1);
    this.#waiting -= 1;
    if (state.queue.length === 0) this.#floor = state.counter;
    return ticket!;
  }

  /** An idle account at or below the floor would be lifted there anyway: nothing is lost by forgetting it. */
  #forgetIdle(): void {
    for (const [account, state] of this.#accounts) {
      if (state.queue.length === 0 && state.inFlight === 0 && state.counter <= this.#floor)
        this.#accounts.delete(account);
    }
  }
}

interface AccountState<T> {
  counter: number;
  readonly queue: T[];
  inFlight: number;
  served: number;
}

const FORGET_ABOVE = 10_000;
