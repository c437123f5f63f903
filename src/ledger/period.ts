import { toHex } from "../core/bytes.ts";
import { decodeEntry, type Entry } from "../core/entry.ts";
import { splitPool } from "../core/pool.ts";
import { ownOf, type Receipt } from "../core/receipt.ts";
import { assert } from "../core/result.ts";
import type { Share } from "../core/route.ts";
import { type Transfer, transferAmount } from "../core/transfer.ts";

/** Equal lines of a period as one: so many credits or debits, of one kind, by one model, at one rate. */
export interface PeriodLine {
  readonly kind: "earned" | "spent" | "pool" | "correction" | "transfer";
  /** The leg's role, or `payer`. */
  readonly role: string;
  /** Hex of the model's asset id; of the pool's payee id for its parts; empty for corrections; of its source for transfers. */
  readonly of: string;
  /** Nano for one USD when it was accrued; 0 where an entry carries no rate of its own. */
  readonly nanoPerUsd: number;
  readonly count: number;
  readonly nano: bigint;
}

/** What one party was credited and charged in a period. */
export interface PeriodParty {
  /** `payee` with the hex of its id, or `account` with the hex of its pseudonym. */
  readonly type: "payee" | "account";
  readonly id: string;
  readonly lines: readonly PeriodLine[];
  readonly nano: bigint;
}

export interface PeriodBook {
  /** Entries [from, until) of the journal: the period's, and no others. */
  readonly from: number;
  readonly until: number;
  readonly parties: readonly PeriodParty[];
}

/** What a fold over entries needs to know of the books: how payees are named, and who is in a pool. */
export interface PeriodNames {
  readonly ledger: Uint8Array;
  payeeId(number: number): Uint8Array | undefined;
  pool(number: number): readonly Share[] | undefined;
}

/** Sums a period's entries for everybody in one pass. Memory grows with parties × models × roles, not with entries. */
export class PeriodFold {
  readonly #names: PeriodNames;
  readonly #parties = new Map<string, Map<string, { line: PeriodLine; count: number; nano: bigint }>>();

  constructor(names: PeriodNames) {
    this.#names = names;
  }

  add(bytes: Uint8Array): void {
    const decoded = decodeEntry(bytes);
    assert(decoded.ok, "an entry of our own journal decodes");
    const entry = decoded.value;
    if (entry.kind === "receipt") this.#receipt(entry.receipt);
    else if (entry.kind === "correction") this.#correction(entry.correction);
    else if (entry.kind === "poolSplit") this.#poolSplit(entry.split);
    else if (entry.kind === "transfer") this.#transfer(entry.transfer);
  }

  parties(): PeriodParty[] {
    const found = [...this.#parties].map(([key, sums]): PeriodParty => {
      const [type, id = ""] = key.split(" ");
      const lines = [...sums.values()].map(({ line, count, nano }) => ({ ...line, count, nano }));
      lines.sort(
        (a, b) =>
          compare(a.kind, b.kind) || compare(a.of, b.of) || compare(a.role, b.role) || a.nanoPerUsd - b.nanoPerUsd,
      );
      const nano = lines.reduce((sum, line) => sum + line.nano, 0n);
      return { type: type === "account" ? "account" : "payee", id, lines, nano };
    });
    return found.sort((a, b) => compare(a.type, b.type) || compare(a.id, b.id));
  }

  #receipt(receipt: Receipt): void {
    const of = toHex(receipt.model);
    const { nanoPerUsd } = receipt.rate;
    for (const { payee, role, amount } of receipt.legs)
      this.#credit(payee, { kind: "earned", role, of, nanoPerUsd }, amount);
    const spent = { kind: "spent", of, nanoPerUsd } as const;
    if (receipt.earned > 0) this.#credit(receipt.payerPayee, { ...spent, role: "earnings" }, -receipt.earned);
    this.#sum(`account ${toHex(receipt.account)}`, { ...spent, role: "payer" }, receipt.earned - ownOf(receipt));
  }

  #transfer(transfer: Transfer): void {
    const line = { kind: "transfer", of: toHex(transfer.source), nanoPerUsd: 0 } as const;
    for (const { payee, amount } of transfer.lines) this.#credit(payee, { ...line, role: "balance" }, amount);
    this.#sum(`account ${toHex(transfer.account)}`, { ...line, role: "payer" }, -transferAmount(transfer));
  }

  #correction(correction: Extract<Entry, { kind: "correction" }>["correction"]): void {
    const line = { kind: "correction", of: "", nanoPerUsd: 0 } as const;
    for (const { payee, role, amount } of correction.legs) this.#credit(payee, { ...line, role }, amount);
    if (correction.earned > 0) this.#credit(correction.payerPayee, { ...line, role: "earnings" }, correction.earned);
    this.#sum(`account ${toHex(correction.account)}`, { ...line, role: "payer" }, correction.refund);
  }

  #poolSplit({ pool, epoch, amount }: Extract<Entry, { kind: "poolSplit" }>["split"]): void {
    const id = this.#names.payeeId(pool);
    const members = this.#names.pool(pool);
    assert(id !== undefined && members !== undefined, "a pool is published before it is split");
    const of = toHex(id);
    // What leaves the pool enters its members: the period of all parties sums to nothing.
    this.#credit(pool, { kind: "pool", role: "pool", of, nanoPerUsd: 0 }, -amount);
    const parts = splitPool(this.#names.ledger, epoch, id, { payee: pool, members }, amount);
    members.forEach(({ payee }, i) => {
      const part = parts[i]!;
      if (part > 0) this.#credit(payee, { kind: "pool", role: "pool", of, nanoPerUsd: 0 }, part);
    });
  }

  #credit(payee: number, line: Omit<PeriodLine, "count" | "nano">, amount: number): void {
    const id = this.#names.payeeId(payee);
    assert(id !== undefined, `payee ${payee} is known before it is credited`);
    this.#sum(`payee ${toHex(id)}`, line, amount);
  }

  #sum(party: string, line: Omit<PeriodLine, "count" | "nano">, amount: number): void {
    if (amount === 0) return;
    let sums = this.#parties.get(party);
    if (sums === undefined) {
      sums = new Map();
      this.#parties.set(party, sums);
    }
    const key = `${line.kind} ${line.of} ${line.role} ${line.nanoPerUsd}`;
    const known = sums.get(key);
    if (known === undefined) sums.set(key, { line: { ...line, count: 0, nano: 0n }, count: 1, nano: BigInt(amount) });
    else {
      known.count += 1;
      known.nano += BigInt(amount);
    }
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
