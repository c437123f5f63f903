import type { Holds } from "../ledger/ledger.ts";
import { hexText } from "./hexText.ts";

/** Keeps the holds of live executions alive; one that is no longer kept is reaped by the ledger when its lease ends. */
export class Leases {
  readonly leaseMs: number;
  readonly #holds: Holds;
  readonly #live = new Map<string, Uint8Array>();

  constructor(holds: Holds, leaseMs: number) {
    this.#holds = holds;
    this.leaseMs = leaseMs;
  }

  get count(): number {
    return this.#live.size;
  }

  keep(id: Uint8Array): void {
    this.#live.set(hexText(id), id);
  }

  drop(id: Uint8Array): void {
    this.#live.delete(hexText(id));
  }

  isKept(id: Uint8Array): boolean {
    return this.#live.has(hexText(id));
  }

  /** To be called a few times a lease. */
  renewAll(): void {
    for (const id of this.#live.values()) this.#holds.renew(id);
  }
}
