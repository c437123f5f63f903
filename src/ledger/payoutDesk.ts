import { fromHex, toHex } from "../core/bytes.ts";
import type { Rate } from "../core/quote.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { type Debtor, pain001, payoutCsv } from "./bankFile.ts";
import type { Ledger } from "./ledger.ts";
import {
  checkDetails,
  type Due,
  type MovedTo,
  NO_CURRENCY,
  type PayeeDetails,
  type Payout,
  type PayoutPlan,
  type PayoutStore,
  paidOut,
  planPayout,
} from "./payouts.ts";

export interface PayoutOrder {
  /** ISO 4217. */
  readonly currency: string;
  readonly nanoPerUnit: number;
  /** Minor units. */
  readonly minimum: number;
}

export interface PayoutDeskParts {
  readonly ledger: Pick<Ledger, "books" | "epochs">;
  readonly store: PayoutStore;
  readonly nowMs: () => number;
  readonly rate?: () => Rate;
  /** The ledger has moved to a chain and pays by claims there: here is only what was paid before. */
  readonly isOver?: boolean;
}

/** Pays settled balances of a ledger on credit by bank: plans, makes, sends and ends payouts, each over what no other payout has. */
export class PayoutDesk {
  readonly #ledger: Pick<Ledger, "books" | "epochs">;
  readonly #store: PayoutStore;
  readonly #nowMs: () => number;
  readonly #rate: () => Rate;
  readonly #isOver: boolean;

  constructor(parts: PayoutDeskParts) {
    this.#ledger = parts.ledger;
    this.#store = parts.store;
    this.#nowMs = parts.nowMs;
    this.#rate = parts.rate ?? (() => ({ nanoPerUsd: 0, source: "none" }));
    this.#isOver = parts.isOver === true;
  }

  /** What a payout would hold now; makes nothing. */
  async plan(order: PayoutOrder): Promise<Result<PayoutPlan & { readonly epoch: number }>> {
    if (this.#isOver)
      return refuse("conflict", "the ledger moved to a chain: what it owes is claimed there", {
        hint: "openledger claim PAYEE",
      });
    const epoch = this.#settled();
    if (epoch === undefined)
      return refuse("nothing_to_claim", "no epoch is settled yet", {
        hint: "openledger epoch close, then epoch fund and epoch settle",
      });
    const known = new Map((await this.#store.allDetails()).map((details) => [details.payee, details]));
    const due = await this.#due(epoch);
    return ok({ epoch, ...planPayout(due, (payee) => known.get(payee), order) });
  }

  /** Refuses `nothing_to_claim` where nobody can be paid, and `conflict` where somebody else makes a payout at the same time. */
  async create(order: PayoutOrder): Promise<Result<Payout>> {
    const payouts = await this.#store.payouts();
    const plan = await this.plan(order);
    if (!plan.ok) return plan;
    const { lines, waiting, epoch } = plan.value;
    if (lines.length === 0) {
      const without = waiting.filter(({ why }) => why === "details").length;
      const small = waiting.length - without;
      const why = [
        ...(small === 0 ? [] : [`${small} of those who are owed have not reached the least that is paid`]),
        ...(without === 0 ? [] : [`of ${without} no bank account is kept`]),
      ];
      return refuse("nothing_to_claim", `nobody can be paid: ${why.join(", ") || "nothing settled is due"}`, {
        hint: without === 0 ? "what is due adds up until it is enough" : "openledger payee set PAYEE --name … --iban …",
      });
    }
    const { currency, nanoPerUnit } = order;
    return this.#store.addPayout({
      ...{ number: payouts.length + 1, createdMs: this.#nowMs(), currency, nanoPerUnit, epoch },
      ...{ status: "open", reference: "", lines },
    });
  }

  /**
   * Marks what these payees have settled and unclaimed as taken over by another ledger. Said again while nothing new is settled, the last one of the same datanet to the same
   * taker is the answer, so that a statement that was lost can be had again; undefined where there never was anything.
   */
  async moveOut(payees: ReadonlySet<string>, movedTo: MovedTo): Promise<Result<Payout | undefined>> {
    const payouts = await this.#store.payouts();
    const epoch = this.#settled();
    const due = epoch === undefined ? [] : (await this.#due(epoch)).filter(({ payee }) => payees.has(payee));
    if (epoch === undefined || due.length === 0)
      return ok(payouts.findLast((one) => one.movedTo?.datanet === movedTo.datanet && one.movedTo.to === movedTo.to));
    return this.#store.addPayout({
      ...{ number: payouts.length + 1, createdMs: this.#nowMs(), currency: NO_CURRENCY, nanoPerUnit: 1, epoch },
      ...{ status: "paid", reference: `${movedTo.datanet} left for ${movedTo.to}`, movedTo },
      lines: due.map(({ payee, nano }) => ({ payee, nano, gross: 0, withheld: 0, net: 0 })),
    });
  }

  list(): Promise<readonly Payout[]> {
    return this.#store.payouts();
  }

  async get(number: number): Promise<Result<Payout>> {
    const found = await this.#store.payout(number);
    return found === undefined ? refuse("not_found", `there is no payout ${number}`) : ok(found);
  }

  /** What the bank is given. A cancelled payout has no file: it must not be sent. */
  async file(
    number: number,
    format: "csv" | { readonly debtor: Debtor; readonly executionMs: number },
  ): Promise<Result<string>> {
    const found = await this.get(number);
    if (!found.ok) return found;
    if (found.value.movedTo !== undefined)
      return refuse("conflict", `payout ${number} moved balances to another ledger: there is nothing for a bank`);
    if (format === "csv") return ok(payoutCsv(found.value));
    if (found.value.status !== "open")
      return refuse("conflict", `payout ${number} is ${found.value.status}: its bank file must not be sent again`);
    return ok(pain001(found.value, format.debtor, format.executionMs));
  }

  end(number: number, status: "paid" | "cancelled", reference: string): Promise<Result<Payout>> {
    const paid = { ...this.#rate(), atMs: this.#nowMs() };
    return this.#store.endPayout(number, status === "paid" ? { status, reference, paid } : { status, reference });
  }

  async setDetails(details: PayeeDetails): Promise<Result<PayeeDetails>> {
    if (this.#ledger.books.payeeNumber(fromHex(details.payee)) === undefined)
      return refuse("not_found", `the journal knows no payee ${details.payee}`);
    const checked = checkDetails(details);
    if (checked.ok) await this.#store.putDetails(checked.value);
    return checked;
  }

  async details(payee: string): Promise<Result<PayeeDetails>> {
    const found = await this.#store.details(payee);
    return found === undefined ? refuse("not_found", `nothing is kept of ${payee}`) : ok(found);
  }

  async forgetDetails(payee: string): Promise<Result<void>> {
    const wasThere = await this.#store.removeDetails(payee);
    return wasThere ? ok(undefined) : refuse("not_found", `nothing is kept of ${payee}`);
  }

  /** Lifetime nano that was paid to anybody. */
  async claimedTotal(): Promise<Result<bigint>> {
    const paid = (await this.#store.payouts()).filter(({ status }) => status === "paid");
    return ok(paid.flatMap(({ lines }) => lines).reduce((sum, { nano }) => sum + nano, 0n));
  }

  /** Lifetime nano that was paid to a payee. */
  async claimed(payee: Uint8Array): Promise<Result<bigint>> {
    return ok(paidOut(await this.#store.payouts(), toHex(payee)).paid);
  }

  #settled(): number | undefined {
    return this.#ledger.epochs.list().findLast(({ status }) => status === "final")?.record.epoch;
  }

  async #due(epoch: number): Promise<Due[]> {
    const { books, epochs } = this.#ledger;
    const payouts = await this.#store.payouts();
    const due: Due[] = [];
    for (const { id, type } of books.payees()) {
      if (type === "pool") continue;
      const settled = await epochs.payout(epoch, id);
      if (!settled.ok) continue;
      const payee = toHex(id);
      const { paid, open } = paidOut(payouts, payee);
      const nano = settled.value.cumulative - paid - open;
      if (nano > 0n) due.push({ payee, nano });
    }
    return due;
  }
}
