import type { Holds } from "../ledger/ledger.ts";

/** Keeps the holds of live executions alive; one that is no longer kept is reaped by the ledger when its lease ends. */
export class Leases {
  readonly leaseMs: number;
  readonly #holds: Holds;
  /** Ids as they were kept: the same array is dropped. */
  readonly #live = new Set<Uint8Array>();

  constructor(holds: Holds, leaseMs: number) {
    this.#holds = holds;
    this.leaseMs = leaseMs;
  }

  get count(): number {
    return this.#live.size;
  }

  keep(id: Uint8Array): void {
    this.#live.add(id);
  }

  drop(id: Uint8Array): void {
    this.#live.delete(id);
  }

  /** To be called a few times a lease. */
  renewAll(): void {
    for (const id of this.#live) this.#holds.renew(id);
  }
}
