import { fromHex, type Hex, toHex } from "../core/bytes.ts";
import { ed25519PublicKey } from "../core/note.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { identityPayeeId, isAddressIdentity } from "../datanets/identity.ts";
import type { DatanetStore } from "../datanets/store.ts";
import type { Departures } from "../gateway/departureRoutes.ts";
import { checkDeparture, type Departure, departureHash, signDeparture } from "../ledger/departure.ts";
import type { PayoutDesk } from "../ledger/payoutDesk.ts";
import type { Payout } from "../ledger/payouts.ts";
import type { Arrived, Departed, SignedDeparture } from "../protocol/departures.ts";
import { unknown } from "./datanetDesk.ts";
import { scopeOf } from "./modelShelf.ts";
import type { Provenance } from "./provenance.ts";

export interface DepartureParts {
  readonly store: DatanetStore;
  readonly provenance: Provenance;
  /** Of a ledger on credit. On a chain what is final stays claimable there, whoever keeps the datanet. */
  readonly payouts: PayoutDesk | undefined;
  /** Ed25519 secret of the journal. */
  readonly log: Uint8Array;
}

/** Balances that leave with a datanet, and those that come with one. */
export class DepartureDesk implements Departures {
  readonly #parts: DepartureParts;

  constructor(parts: DepartureParts) {
    this.#parts = parts;
  }

  async leave(name: string, to: string): Promise<Result<Departed>> {
    const { store, provenance, payouts } = this.#parts;
    const datanet = await store.datanet(name);
    if (datanet === undefined) return unknown(name);
    const people = await this.#people(name);
    if (payouts === undefined) return ok({ datanet: name, people: 0, nano: "0" });
    const { epochs, books } = provenance.ledger;
    const unsettled = epochs.list().find(({ status }) => status !== "final");
    if (unsettled !== undefined)
      return refuse("conflict", `epoch ${unsettled.record.epoch} is not settled yet`, {
        hint: "openledger epoch fund and epoch settle, then leave",
      });
    if ([...people.keys()].some((payee) => books.accrued(fromHex(payee)).open > 0n))
      return refuse("conflict", "something is accrued in the open epoch", {
        hint: "openledger epoch close, epoch fund and epoch settle, then leave",
      });
    const moved = await payouts.moveOut(new Set(people.keys()), { datanet: name, to });
    if (!moved.ok) return moved;
    if (moved.value === undefined) return ok({ datanet: name, people: 0, nano: "0" });
    const statement = this.#statement(moved.value, datanet.id, people);
    const departure = signDeparture(statement, this.#parts.log);
    const nano = moved.value.lines.reduce((sum, line) => sum + line.nano, 0n);
    const lines = statement.lines.map((line) => ({ ...line, payee: toHex(fromHex(line.payee)) }));
    const { ledger, logKey } = statement;
    const view = { ...statement, lines, ledger: toHex(fromHex(ledger)), logKey: toHex(fromHex(logKey)) };
    const whole = { ...view, datanet: { name, id: datanet.id } };
    return ok({
      ...{ datanet: name, people: lines.length, nano: String(nano) },
      departure: { statement: whole, signature: departure.signature },
    });
  }

  async arrive(name: string, departure: SignedDeparture, account: string): Promise<Result<Arrived>> {
    const { store, provenance } = this.#parts;
    const datanet = await store.datanet(name);
    if (datanet === undefined) return unknown(name);
    const checked = checkDeparture(departure);
    if (!checked.ok) return checked;
    const statement = checked.value;
    if (statement.datanet.id.toLowerCase() !== datanet.id.toLowerCase())
      return refuse("conflict", `the statement is of another datanet than ${name}`, { field: "departure" });
    if (statement.ledger.toLowerCase() === toHex(provenance.ledger.id))
      return refuse("conflict", "the statement is of this very ledger, which owes it already", { field: "departure" });
    const scope = await scopeOf(store, provenance, name);
    const lines = statement.lines.map(({ identity, nano }) => ({
      payee: identityPayeeId(scope, identity),
      type: isAddressIdentity(identity) ? ("party" as const) : ("identity" as const),
      amount: Number(nano),
    }));
    const source = departureHash(statement);
    const booked = await provenance.ledger.books.transfer({ account, source, lines });
    if (!booked.ok) return booked;
    const { entries, known, nano } = booked.value;
    return ok({ datanet: name, source: toHex(source), people: lines.length, nano: String(nano), entries, known });
  }

  /** Payee ids of everybody who ever contributed, with their identities. */
  async #people(name: string): Promise<ReadonlyMap<string, string>> {
    const { store, provenance } = this.#parts;
    const scope = await scopeOf(store, provenance, name);
    const people = new Map<string, string>();
    for (const { id } of await store.contributions(name))
      for (const { authors } of await store.contributionRecords(name, id))
        for (const { identity } of authors) people.set(toHex(identityPayeeId(scope, identity)), identity);
    return people;
  }

  #statement(payout: Payout, id: Hex, people: ReadonlyMap<string, string>): Departure {
    const { number, epoch, createdMs, movedTo } = payout;
    const lines = payout.lines.map(({ payee, nano }) => ({
      ...{ identity: people.get(payee) ?? "", payee, nano: String(nano) },
    }));
    return {
      ...{ format: "openledger-departure-1", ledger: toHex(this.#parts.provenance.ledger.id) },
      ...{
        logKey: toHex(ed25519PublicKey(this.#parts.log)),
        datanet: { name: movedTo?.datanet ?? "", id },
        to: movedTo?.to ?? "",
      },
      ...{ payout: number, epoch, timeMs: createdMs, lines },
    };
  }
}
