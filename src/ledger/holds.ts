import { equalBytes } from "../core/bytes.ts";
import type { Nano } from "../core/money.ts";
import { isNano } from "../core/money.ts";
import { assert, ok, type Refusal, type Result, refuse } from "../core/result.ts";
import { keyOf } from "./keyOf.ts";
import type { Hold, Holds } from "./ledger.ts";
import type { Purses } from "./purses.ts";

/**
 * Holds, in the writer's memory. A root hold sets money of an account aside; a child's hold is carved from its parent's.
 * A hold ends by being posted or released; what is left of a child's returns to its parent.
 */
export interface LiveHold extends Hold {
  /** The map key of its id. */
  readonly key: string;
  /** What is left of it, after its children's were carved out and posted. */
  amount: Nano;
  /** The part of `amount` that is reserved from earnings, and whose they are. */
  earnings: Nano;
  readonly payee: number;
  readonly root: Uint8Array;
  readonly depth: number;
  leaseUntilMs: number;
  /** Live holds that were carved from it. */
  children: number;
}

export class HoldTable implements Holds {
  readonly #holds = new Map<string, LiveHold>();
  readonly #purses: Purses;
  readonly #nowMs: () => number;
  readonly #newId: () => Uint8Array;
  readonly #unwritable: () => Refusal | undefined;
  #total = 0n;
  #reapFromMs = 0;

  /** `unwritable`: why a receipt could not be posted at this moment, if so; then nothing is held either. */
  constructor(purses: Purses, nowMs: () => number, newId: () => Uint8Array, unwritable: () => Refusal | undefined) {
    this.#purses = purses;
    this.#nowMs = nowMs;
    this.#newId = newId;
    this.#unwritable = unwritable;
  }

  place(input: {
    readonly account: string;
    readonly amount: Nano;
    readonly parent?: Uint8Array;
    readonly leaseMs?: number;
  }): Result<Hold> {
    if (!isNano(input.amount))
      return refuse("amount_out_of_range", "a hold is whole nano below 2^53", { field: "amount" });
    const unwritable = this.#unwritable();
    if (unwritable !== undefined) return { ok: false, error: unwritable };
    const nowMs = this.#nowMs();
    this.reap(nowMs);
    const leaseUntilMs = nowMs + (input.leaseMs ?? LEASE_MS);
    const id = this.#newId();
    if (input.parent !== undefined) return this.#carve(id, input.parent, input.amount, leaseUntilMs);
    const reserved = this.#purses.reserve(input.account, input.amount);
    if (!reserved.ok) return reserved;
    const { earnings, payee } = reserved.value;
    const { account, amount } = input;
    this.#keep({ key: keyOf(id), id, account, amount, earnings, payee, root: id, depth: 0, leaseUntilMs, children: 0 });
    this.#total += BigInt(amount);
    return ok({ id, account, amount });
  }

  renew(id: Uint8Array, leaseMs = LEASE_MS): boolean {
    const hold = this.get(id);
    if (hold === undefined) return false;
    hold.leaseUntilMs = this.#nowMs() + leaseMs;
    return true;
  }

  release(id: Uint8Array): void {
    const hold = this.get(id);
    if (hold !== undefined) this.#end(hold, 0);
  }

  /** Whether executions that this one caused are still under way. Those whose holders are gone are not. */
  hasChildren(hold: LiveHold): boolean {
    if (hold.children > 0) this.#reapWhere((other) => other.depth > hold.depth && equalBytes(other.root, hold.root));
    return hold.children > 0;
  }

  /** How much of `own` would be paid from earnings: the deposit's part of the hold goes first. */
  earnedOf(hold: LiveHold, own: Nano): Nano {
    return Math.max(0, own - (hold.amount - hold.earnings));
  }

  /** The receipt is journalled: `spent` of the hold is gone, the rest is free again. */
  settle(hold: LiveHold, spent: Nano): void {
    assert(spent <= hold.amount, "a receipt costs no more than its hold");
    this.#end(hold, spent);
  }

  get(id: Uint8Array): LiveHold | undefined {
    return this.#holds.get(keyOf(id));
  }

  count(): number {
    return this.#holds.size;
  }

  totalHeld(): bigint {
    return this.#total;
  }

  /** Releases the holds whose holders stopped renewing them, youngest generation first. */
  reap(nowMs = this.#nowMs()): void {
    if (nowMs < this.#reapFromMs) return;
    this.#reapFromMs = nowMs + REAP_EVERY_MS;
    this.#reapWhere(() => true);
  }

  #reapWhere(among: (hold: LiveHold) => boolean): void {
    const now = this.#nowMs();
    const expired = [...this.#holds.values()].filter((hold) => hold.leaseUntilMs < now && among(hold));
    for (const hold of expired.sort((a, b) => b.depth - a.depth)) this.#end(hold, 0);
  }

  #carve(id: Uint8Array, parentId: Uint8Array, amount: Nano, leaseUntilMs: number): Result<Hold> {
    const parent = this.get(parentId);
    if (parent === undefined) return refuse("not_found", "the parent's hold is not live", { field: "parent" });
    if (amount > parent.amount) {
      return refuse("insufficient_funds", `the parent's hold has ${parent.amount} nano left, ${amount} are asked for`, {
        hint: "give the parent a larger budget, or the child a smaller one",
      });
    }
    // The deposit's part goes first, as it does when a receipt is paid.
    const earnings = Math.max(0, amount - (parent.amount - parent.earnings));
    parent.amount -= amount;
    parent.children += 1;
    parent.earnings -= earnings;
    const { account, root, depth, payee } = parent;
    this.#keep({
      ...{ key: keyOf(id), id, account, amount, earnings, payee, parent: parentId, root },
      ...{ depth: depth + 1, leaseUntilMs, children: 0 },
    });
    return ok({ id, account, amount, parent: parentId });
  }

  #keep(hold: LiveHold): void {
    this.#holds.set(hold.key, hold);
  }

  #end(hold: LiveHold, spent: Nano): void {
    this.#holds.delete(hold.key);
    const earned = this.earnedOf(hold, spent);
    const parent = hold.parent === undefined ? undefined : this.get(hold.parent);
    if (parent === undefined) {
      this.#purses.release(hold.account, {
        deposit: hold.amount - hold.earnings,
        earnings: hold.earnings,
        payee: hold.payee,
      });
      this.#total -= BigInt(hold.amount);
      return;
    }
    this.#purses.release(hold.account, { deposit: spent - earned, earnings: earned, payee: hold.payee });
    this.#total -= BigInt(spent);
    parent.children -= 1;
    parent.amount += hold.amount - spent;
    parent.earnings += hold.earnings - earned;
  }
}

const LEASE_MS = 60_000;
/** Looking through all holds costs time, and leases are much longer. */
const REAP_EVERY_MS = 1_000;
