import { freeTerms } from "../core/asset.ts";
import { toHex, utf8 } from "../core/bytes.ts";
import type { Engine } from "../core/engine.ts";
import { sha256 } from "../core/hash.ts";
import { assert, ok, type Result, refuse } from "../core/result.ts";
import type { Gateway } from "../gateway/gateway.ts";
import type { EventType } from "../ledger/events.ts";
import type { ReceiptDraft } from "../ledger/ledger.ts";
import type { OpenLedger } from "../ledger/openLedger.ts";
import type { Triggered } from "../protocol/testWorld.ts";
import { countWords } from "../upstream/testEngine.ts";
import type { Business } from "./businessPart.ts";
import type { CreditSettlement } from "./creditSettlement.ts";

export const TEST_MODEL = "test-model";

const idOf = (name: string): Uint8Array => sha256(utf8(`openledger test world: ${name}`));
const people = { owner: idOf("owner"), operator: idOf("operator"), ann: idOf("ann"), ben: idOf("ben") };
const names = new Map<string, string>(Object.entries(people).map(([name, payee]) => [toHex(payee), `test ${name}`]));
const assets = { datanet: idOf("datanet"), model: idOf("model") };
const none = new Uint8Array(32);

/** A word in costs 1,000 nano and one out 2,000; the royalty is 2,000 nano a word out and 100,000 a call. */
const prices = {
  unit: "nano",
  cost: { inPerMillion: 1_000_000_000, outPerMillion: 2_000_000_000, perCall: 0 },
  royalty: { inPerMillion: 0, outPerMillion: 2_000_000_000, perCall: 100_000 },
} as const;
/** Of each answer, whatever it says. */
const contributors: NonNullable<ReceiptDraft["contributors"]> = {
  shares: [
    { payee: people.ann, type: "party", weight: 600_000 },
    { payee: people.ben, type: "party", weight: 300_000 },
  ],
  unattributed: 100_000,
};

export function nameOfTestPayee(payee: string): string | undefined {
  return names.get(payee);
}

/** A datanet and a model that is made of it, as assets. */
export async function furnishTestWorld(ledger: OpenLedger): Promise<Result<void>> {
  const datanet = { id: assets.datanet, kind: "datanet", owner: people.owner, contentRoot: assets.datanet } as const;
  const first = await ledger.assets.register({ ...datanet, terms: freeTerms, parents: [] });
  if (!first.ok) return first;
  const model = { id: assets.model, kind: "model", owner: people.operator, contentRoot: assets.model } as const;
  const terms = { ...freeTerms, parentsBps: 3_000 };
  const second = await ledger.assets.register({ ...model, terms, parents: [{ id: assets.datanet, weight: 1 }] });
  return second.ok ? ok(undefined) : second;
}

export interface HappeningParts {
  readonly ledger: OpenLedger;
  readonly settlement: CreditSettlement;
  readonly business: Business;
  randomBytes(size: number): Uint8Array;
}

/** Lets things happen in a test world, by the same steps by which they happen in a live one. */
export class TestHappenings {
  readonly #parts: HappeningParts;

  constructor(parts: HappeningParts) {
    this.#parts = parts;
  }

  /** Puts the test model up. */
  serve({ catalog, operators }: Gateway, engine: Engine): void {
    catalog.put({
      ...{ name: TEST_MODEL, asset: assets.model, ownedBy: "test", createdMs: 0, contextTokens: 100_000 },
      ...{ unit: prices.unit, royalty: prices.royalty, countTokens: countWords },
      grounding: {
        ...{ datanets: ["test"], indexId: idOf("index"), methodsHash: idOf("methods"), contextTokensMax: 0 },
        retrieve: async () => [],
        attribute: async () => ({ ...contributors, evidenceRoot: idOf("evidence"), evidence: [] }),
      },
    });
    operators.put({
      ...{ name: "test", payee: people.operator, engine, models: { [TEST_MODEL]: TEST_MODEL } },
      ...{ unit: prices.unit, cost: prices.cost, concurrency: 64 },
    });
  }

  async trigger(type: EventType, account: string): Promise<Result<Triggered>> {
    if (type === "refused") {
      const refusal = { code: "insufficient_funds", message: "refused as the test asked" } as const;
      this.#parts.business.gateway.onRefused(account, refusal);
      return ok({ type });
    }
    const executed = await this.#execute(account);
    if (!executed.ok) return executed;
    const receipt = toHex(executed.value);
    if (type === "executed" || type === "compensated") return ok({ type, receipt });
    if (type === "corrected") return this.#correct(executed.value, receipt);
    const closed = await this.#parts.settlement.close();
    if (!closed.ok) return closed;
    const { epoch } = closed.value.record;
    if (type === "distributed") return ok({ type, receipt, epoch });
    const settled = await this.#settleAll();
    if (!settled.ok || type === "settled") return settled.ok ? ok({ type, receipt, epoch }) : settled;
    const paid = await this.#pay();
    return paid.ok ? ok({ type, receipt, epoch, payout: paid.value }) : paid;
  }

  async #execute(account: string): Promise<Result<Uint8Array>> {
    const { holds, books } = this.#parts.ledger;
    const hold = holds.place({ account, amount: 1_000_000 });
    if (!hold.ok) return hold;
    const posted = await books.post({
      ...{ hold: hold.value.id, operator: people.operator, model: assets.model, quote: prices, contributors },
      flags: { reported: false, unaudited: false, partial: false, undeclared: false },
      rate: { nanoPerUsd: 1_000_000_000, source: "test" },
      usage: { tokensIn: 9, tokensOut: 5, calls: 1 },
      ...{ promptHash: none, answerHash: none, evidenceRoot: idOf("evidence") },
      ...{ indexId: idOf("index"), methodsHash: idOf("methods") },
    });
    if (posted.ok) return ok(posted.value.receipt.id);
    holds.release(hold.value.id);
    return posted;
  }

  async #correct(id: Uint8Array, receipt: string): Promise<Result<Triggered>> {
    const key = toHex(this.#parts.randomBytes(8));
    const order = { receipt: id, reason: "refund", refund: 1_000, note: "as the test asked", key } as const;
    const corrected = await this.#parts.ledger.books.correct(order);
    return corrected.ok ? ok({ type: "corrected", receipt }) : corrected;
  }

  async #settleAll(): Promise<Result<void>> {
    const { ledger, settlement } = this.#parts;
    for (const { record, status } of ledger.epochs.list().toSorted((a, b) => a.record.epoch - b.record.epoch)) {
      const reference = `test ${record.epoch}`;
      const funded = status === "closed" ? await settlement.fund(record.epoch, reference) : ok(undefined);
      if (!funded.ok) return funded;
      const settled = status === "final" ? ok(undefined) : await settlement.settle(record.epoch, reference);
      if (!settled.ok) return settled;
    }
    return ok(undefined);
  }

  /** Pays Ann, by her play account at a bank, in cents of which a word earns several. */
  async #pay(): Promise<Result<number>> {
    const { payouts } = this.#parts.business;
    assert(payouts !== undefined, "a ledger on credit pays by bank");
    const bank = { legalName: "Ann Test", country: "DE", iban: "DE89370400440532013000", withholdingBps: 0 };
    const known = await payouts.setDetails({ payee: toHex(people.ann), ...bank });
    if (!known.ok) return known;
    const made = await payouts.create({ currency: "EUR", nanoPerUnit: 100_000, minimum: 1 });
    if (!made.ok) return made;
    const paid = await payouts.end(made.value.number, "paid", "as the test asked");
    return paid.ok ? ok(made.value.number) : refuse(paid.error.code, paid.error.message);
  }
}
