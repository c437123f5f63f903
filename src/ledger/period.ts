import { toHex } from "../core/bytes.ts";
import type { Correction } from "../core/correction.ts";
import { decodeEntry } from "../core/entry.ts";
import { type Move, paidOutside } from "../core/move.ts";
import { type PoolSplit, splitPool } from "../core/pool.ts";
import { isReceipt, ReceiptView } from "../core/receiptView.ts";
import { assert } from "../core/result.ts";
import { legRoles, type Share } from "../core/route.ts";
import { type Transfer, transferAmount } from "../core/transfer.ts";
import { keyOf } from "./keyOf.ts";

/** Equal lines of a period as one: so many credits or debits, of one kind, by one model, at one rate. */
export interface PeriodLine {
  readonly kind: "earned" | "spent" | "pool" | "correction" | "transfer" | "paid";
  /** The leg's role, or `payer`. */
  readonly role: string;
  /** Hex of the model's asset id; of the pool's payee id for its parts; empty for corrections; of its source for transfers; the contract that the ledger moved to for what was paid outside. */
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
  /** By payee number. */
  readonly #payees = new Map<number, Sums>();
  /** By pseudonym. */
  readonly #accounts = new Map<string, { readonly id: string; readonly sums: Sums }>();
  /** What lines are about, each by a number of its own: a model or a pool at a rate. */
  readonly #subjects = new Map<string, number>();
  readonly #subjectList: { readonly of: string; readonly nanoPerUsd: number }[] = [];

  constructor(names: PeriodNames) {
    this.#names = names;
  }

  add(bytes: Uint8Array): void {
    if (isReceipt(bytes)) return this.#receipt(new ReceiptView(bytes));
    const decoded = decodeEntry(bytes);
    assert(decoded.ok, "an entry of our own journal decodes");
    const entry = decoded.value;
    if (entry.kind === "transfer") this.#transfer(entry.transfer);
    else if (entry.kind === "move") this.#move(entry.move);
    else if (entry.kind === "correction") this.#correction(entry.correction);
    else if (entry.kind === "poolSplit") this.#poolSplit(entry.split);
  }

  parties(): PeriodParty[] {
    const found: PeriodParty[] = [];
    for (const { id, sums } of this.#accounts.values()) found.push(this.#party("account", id, sums));
    for (const [payee, sums] of this.#payees) found.push(this.#party("payee", this.#hexOf(payee), sums));
    return found.filter(({ lines }) => lines.length > 0).sort((a, b) => compare(a.type, b.type) || compare(a.id, b.id));
  }

  #party(type: PeriodParty["type"], id: string, sums: Sums): PeriodParty {
    const lines = [...sums].map(([key, { count, nano, whole }]): PeriodLine => {
      const { of, nanoPerUsd } = this.#subjectList[Math.floor(key / LINES_A_SUBJECT)]!;
      const [kind, role] = lineNames[key % LINES_A_SUBJECT]!;
      return { kind, role, of, nanoPerUsd, count, nano: whole + BigInt(nano) };
    });
    lines.sort(
      (a, b) =>
        compare(a.kind, b.kind) || compare(a.of, b.of) || compare(a.role, b.role) || a.nanoPerUsd - b.nanoPerUsd,
    );
    return { type, id, lines, nano: lines.reduce((sum, line) => sum + line.nano, 0n) };
  }

  #receipt(receipt: ReceiptView): void {
    const { earned } = receipt;
    const subject = this.#subject(receipt.model, receipt.nanoPerUsd);
    receipt.eachLeg((payee, amount, _index, role) =>
      addTo(this.#sumsOf(payee), lineOf(subject, "earned", legRoles[role]!), amount),
    );
    if (earned > 0) addTo(this.#sumsOf(receipt.payerPayee), lineOf(subject, "spent", "earnings"), -earned);
    addTo(this.#accountSums(receipt.account), lineOf(subject, "spent", "payer"), earned - receipt.own);
  }

  #transfer(transfer: Transfer): void {
    const subject = this.#subject(transfer.source, 0);
    for (const { payee, amount } of transfer.lines)
      addTo(this.#sumsOf(payee), lineOf(subject, "transfer", "balance"), amount);
    addTo(this.#accountSums(transfer.account), lineOf(subject, "transfer", "payer"), -transferAmount(transfer));
  }

  #move(move: Move): void {
    const subject = this.#subject(move.place.settlement, 0);
    for (const line of move.lines)
      for (const nano of paidOutside(line)) addTo(this.#sumsOf(line.payee), lineOf(subject, "paid", "outside"), -nano);
  }

  #correction({ legs, earned, payerPayee, account, refund }: Correction): void {
    const subject = this.#subject(undefined, 0);
    for (const { payee, role, amount } of legs) addTo(this.#sumsOf(payee), lineOf(subject, "correction", role), amount);
    if (earned > 0) addTo(this.#sumsOf(payerPayee), lineOf(subject, "correction", "earnings"), earned);
    addTo(this.#accountSums(account), lineOf(subject, "correction", "payer"), refund);
  }

  #poolSplit({ pool, epoch, amount }: PoolSplit): void {
    const id = this.#names.payeeId(pool);
    const members = this.#names.pool(pool);
    assert(id !== undefined && members !== undefined, "a pool is published before it is split");
    const line = lineOf(this.#subject(id, 0), "pool", "pool");
    // What leaves the pool enters its members: the period of all parties sums to nothing.
    addTo(this.#sumsOf(pool), line, -amount);
    const parts = splitPool(this.#names.ledger, epoch, id, { payee: pool, members }, amount);
    members.forEach(({ payee }, i) => {
      if (parts[i]! > 0) addTo(this.#sumsOf(payee), line, parts[i]!);
    });
  }

  #sumsOf(payee: number): Sums {
    let sums = this.#payees.get(payee);
    if (sums === undefined) {
      sums = new Map();
      this.#payees.set(payee, sums);
    }
    return sums;
  }

  #accountSums(pseudonym: Uint8Array): Sums {
    const key = keyOf(pseudonym);
    let account = this.#accounts.get(key);
    if (account === undefined) {
      account = { id: toHex(pseudonym), sums: new Map() };
      this.#accounts.set(key, account);
    }
    return account.sums;
  }

  /** The number of what lines are about; `undefined` for corrections, which are about nothing of their own. */
  #subject(id: Uint8Array | undefined, nanoPerUsd: number): number {
    const key = id === undefined ? "" : `${keyOf(id)} ${nanoPerUsd}`;
    let subject = this.#subjects.get(key);
    if (subject === undefined) {
      subject = this.#subjectList.length;
      this.#subjectList.push({ of: id === undefined ? "" : toHex(id), nanoPerUsd });
      this.#subjects.set(key, subject);
    }
    return subject;
  }

  #hexOf(payee: number): string {
    const id = this.#names.payeeId(payee);
    assert(id !== undefined, `payee ${payee} is known before it is credited`);
    return toHex(id);
  }
}

/** A party's sums by line: the subject's number and that of kind and role in one. */
type Sums = Map<number, { count: number; nano: number; whole: bigint }>;

const lineNames: readonly (readonly [PeriodLine["kind"], string])[] = (
  ["earned", "spent", "pool", "correction", "transfer", "paid"] as const
).flatMap((kind) =>
  [...legRoles, "earnings", "payer", "pool", "balance", "outside"].map((role) => [kind, role] as const),
);
const LINES_A_SUBJECT = lineNames.length;
const lineNumbers = new Map(lineNames.map(([kind, role], i) => [`${kind} ${role}`, i]));

function lineOf(subject: number, kind: PeriodLine["kind"], role: string): number {
  return subject * LINES_A_SUBJECT + lineNumbers.get(`${kind} ${role}`)!;
}

/** Numbers are added as long as that is exact, which is nearly always. */
function addTo(sums: Sums, line: number, amount: number): void {
  if (amount === 0) return;
  const sum = sums.get(line);
  if (sum === undefined) {
    sums.set(line, { count: 1, nano: amount, whole: 0n });
    return;
  }
  sum.count += 1;
  const next = sum.nano + amount;
  if (Number.isSafeInteger(next)) sum.nano = next;
  else {
    sum.whole += BigInt(sum.nano);
    sum.nano = amount;
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
