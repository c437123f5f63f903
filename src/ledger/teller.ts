import { toHex } from "../core/bytes.ts";
import type { Ledger } from "./ledger.ts";
import type { Payout } from "./payouts.ts";
import type { RefusalTally } from "./refusalTally.ts";
import type { WebhookStore, Webhooks } from "./webhooks.ts";

export interface TellerParts {
  readonly ledger: Pick<Ledger, "accounts" | "epochs">;
  readonly webhooks: Pick<Webhooks, "keep">;
  readonly store: Pick<WebhookStore, "keptOf">;
  /** Bank payouts, where the ledger has them. */
  readonly payouts: { list(): Promise<readonly Payout[]> } | undefined;
  readonly tally: RefusalTally;
}

/**
 * Keeps the events that the journal does not tell: epochs that were settled, payouts that were claimed, requests that were refused. What was told is read back
 * once, so an epoch or a payout is told of exactly once, also where the process ended between the fact and its event.
 */
export class Teller {
  readonly #parts: TellerParts;
  #told: Promise<{ readonly epochs: Set<unknown>; readonly payouts: Set<unknown> }> | undefined;

  constructor(parts: TellerParts) {
    this.#parts = parts;
  }

  async round(): Promise<void> {
    this.#told ??= this.#readBack();
    const told = await this.#told;
    await this.#settled(told.epochs);
    await this.#claimed(told.payouts);
    await this.#refused();
  }

  async #readBack(): Promise<{ readonly epochs: Set<unknown>; readonly payouts: Set<unknown> }> {
    const { store } = this.#parts;
    const [settled, claimed] = [await store.keptOf("settled"), await store.keptOf("claimed")];
    return {
      epochs: new Set(settled.map(({ data }) => data["epoch"])),
      payouts: new Set(claimed.map(({ data }) => data["payout"])),
    };
  }

  async #settled(told: Set<unknown>): Promise<void> {
    const { ledger, webhooks } = this.#parts;
    for (const { record, status, reference } of ledger.epochs.list()) {
      if (status !== "final" || told.has(record.epoch)) continue;
      const sums = { credits: String(record.credits), debits: String(record.debits) };
      const data = { epoch: record.epoch, ...sums, payoutRoot: toHex(record.payoutRoot), reference };
      await webhooks.keep("settled", "", data);
      told.add(record.epoch);
    }
  }

  async #claimed(told: Set<unknown>): Promise<void> {
    const { payouts, webhooks } = this.#parts;
    for (const payout of (await payouts?.list()) ?? []) {
      const { number, status, movedTo, currency, reference, lines } = payout;
      // Balances that another ledger took over were not claimed here.
      if (status !== "paid" || movedTo !== undefined || told.has(number)) continue;
      const paid = lines.map(({ payee, nano, net }) => ({ payee, nano: String(nano), net }));
      await webhooks.keep("claimed", "", { payout: number, currency, reference, lines: paid });
      told.add(number);
    }
  }

  async #refused(): Promise<void> {
    const { tally, webhooks, ledger } = this.#parts;
    const rows = tally.take();
    let told = 0;
    try {
      for (const { account, ...rest } of rows) {
        const found = ledger.accounts.get(account);
        if (found !== undefined) await webhooks.keep("refused", toHex(found.pseudonym), { ...rest });
        told += 1;
      }
    } finally {
      tally.putBack(rows.slice(told));
    }
  }
}
