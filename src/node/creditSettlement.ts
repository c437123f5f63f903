import { ok, type Result, refuse } from "../core/result.ts";
import type { ClosedEpoch, Ledger } from "../ledger/ledger.ts";
import type { Publisher } from "../ledger/publish.ts";
import type { EpochCloser } from "./settlement.ts";

/**
 * Epochs of a ledger on credit. Closing one publishes the journal that commits to it; money that arrives for it makes it funded, by the reference of the bank or
 * whoever holds it; releasing it for payment makes it settled. Every step can be repeated, and epochs go in their order: an earlier debt is older.
 */
export class CreditSettlement implements EpochCloser {
  readonly #ledger: Pick<Ledger, "epochs" | "books">;
  readonly #publisher: Pick<Publisher, "publish">;

  constructor(ledger: Pick<Ledger, "epochs" | "books">, publisher: Pick<Publisher, "publish">) {
    this.#ledger = ledger;
    this.#publisher = publisher;
  }

  async close(): Promise<Result<ClosedEpoch>> {
    const closed = await this.#ledger.epochs.closeEpoch({ registryBlock: 0 });
    if (!closed.ok) return closed;
    const { size } = await this.#publisher.publish(this.#ledger.books.size());
    return ok({ ...closed.value, journalSize: size });
  }

  /** `reference` says where the money is: a bank transfer's id, an invoice's number. */
  fund(epoch: number, reference: string): Promise<Result<void>> {
    return this.#step(epoch, "closed", "proposed", reference, "fund");
  }

  settle(epoch: number, reference: string): Promise<Result<void>> {
    return this.#step(epoch, "proposed", "final", reference, "settle");
  }

  finalise(epoch: number): Promise<Result<string>> {
    return Promise.resolve(
      refuse("epoch_not_final", `epoch ${epoch} is on credit: it is final once it is settled`, {
        hint: `openledger epoch settle ${epoch} --reference TEXT`,
      }),
    );
  }

  advance(): Promise<Result<void>> {
    return Promise.resolve(ok(undefined));
  }

  watchDeposits(): Promise<Result<void>> {
    return Promise.resolve(ok(undefined));
  }

  /** Without a chain there is nothing that two would share. */
  forked(): undefined {
    return undefined;
  }

  resume(): Promise<Result<void>> {
    return Promise.resolve(ok(undefined));
  }

  async #step(
    epoch: number,
    from: "closed" | "proposed",
    to: "proposed" | "final",
    reference: string,
    verb: string,
  ): Promise<Result<void>> {
    const epochs = this.#ledger.epochs.list();
    const found = epochs.find(({ record }) => record.epoch === epoch);
    if (found === undefined) return refuse("not_found", `epoch ${epoch} is not closed`);
    if (found.status === to && found.reference === reference) return ok(undefined);
    if (found.status !== from)
      return refuse(
        "conflict",
        `epoch ${epoch} is ${stageOf(found.status)}, under ${found.reference || "no reference"}`,
      );
    const earlier = epochs.find(({ record, status }) => record.epoch < epoch && status === from);
    if (earlier !== undefined)
      return refuse("conflict", `epoch ${earlier.record.epoch} is ${stageOf(earlier.status)} only`, {
        hint: `${verb} it first: openledger epoch ${verb} ${earlier.record.epoch}`,
      });
    await this.#ledger.epochs.mark(epoch, to, reference);
    return ok(undefined);
  }
}

/** The stages of a balance, in the words of a ledger on credit. */
function stageOf(status: string): string {
  return status === "closed" ? "accrued" : status === "proposed" ? "funded" : status === "final" ? "settled" : status;
}
