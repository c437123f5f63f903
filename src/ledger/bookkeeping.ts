import { toHex, utf8 } from "../core/bytes.ts";
import { decodeEntry, type Entry, type PayeeType } from "../core/entry.ts";
import { sha256 } from "../core/hash.ts";
import { hashReader, inclusionProof, leafHash } from "../core/merkle.ts";
import { checkPolicy, type FeePolicy, policyHash } from "../core/policy.ts";
import { amountOf, type Receipt } from "../core/receipt.ts";
import { assert, ok, type Refusal, type Result, refuse } from "../core/result.ts";
import { asCorrected, correctionsOf, givenBack, refundLegs } from "./correcting.ts";
import type { ReportedName } from "./execution.ts";
import type { HoldTable } from "./holds.ts";
import type { Books, IdempotencyState, Posted, ReceiptDraft, ReceiptPromise, Spending, Totals } from "./ledger.ts";
import { numberOf } from "./payees.ts";
import type { LedgerStore } from "./ports.ts";
import { Posting } from "./posting.ts";
import type { Purses } from "./purses.ts";
import { findReported, reportedOf } from "./reportedRows.ts";
import { Reporting } from "./reporting.ts";
import { Routing } from "./routing.ts";
import { transferBalances } from "./transferring.ts";
import type { Writer } from "./writer.ts";

type CorrectionInput = Parameters<Books["correct"]>[0];

/** Receipts and everything else that is read from or written to the journal by itself. */
export class BookKeeping implements Books {
  readonly #writer: Writer;
  readonly #holds: HoldTable;
  readonly #purses: Purses;
  readonly #store: LedgerStore;
  readonly #posting: Posting;
  readonly #reporting: Reporting;
  readonly #running = new Set<string>();
  readonly #correcting = new Map<string, Promise<unknown>>();

  /** `secret`: 32 bytes that never leave the node. */
  constructor(writer: Writer, holds: HoldTable, purses: Purses, store: LedgerStore, secret: Uint8Array) {
    this.#writer = writer;
    this.#holds = holds;
    this.#purses = purses;
    this.#store = store;
    const routing = new Routing(writer.state);
    this.#posting = new Posting(writer.state, holds, purses, routing);
    this.#reporting = new Reporting({ writer, purses, store, routing, secret });
  }

  get #state() {
    return this.#writer.state;
  }

  post(draft: ReceiptDraft): Promise<Result<Posted>> {
    // What has been answered is not lost because the store is away for a while: its hold stays, and the receipt waits.
    return this.#writer.run(this.#posting.post(draft), { isPatient: true });
  }

  report(...[drafts, credit]: Parameters<Books["report"]>): ReturnType<Books["report"]> {
    return this.#reporting.report(drafts, credit);
  }

  transfer(draft: Parameters<Books["transfer"]>[0]): ReturnType<Books["transfer"]> {
    const [writer, purses, store] = [this.#writer, this.#purses, this.#store];
    return transferBalances({ writer, purses, store }, draft);
  }

  reportedId(source: string, id: string): Uint8Array {
    return this.#reporting.receiptOf(source, id);
  }

  findReported(name: ReportedName): ReturnType<Books["findReported"]> {
    return findReported(this.#store, this.#state.ledger, name);
  }

  reportedAs(receipt: Uint8Array): ReturnType<Books["reportedAs"]> {
    return reportedOf(this.#store, this.#state.ledger, receipt);
  }

  /** One correction of a key at a time: whoever comes second is answered with what the first has journalled. */
  async correct(input: CorrectionInput): Promise<Result<Entry>> {
    const found = await this.receipt(input.receipt);
    if (found === undefined) return refuse("not_found", "there is no such receipt", { field: "receipt" });
    const account = toHex(found.receipt.account);
    const place = `${account}\n${input.key}`;
    while (this.#correcting.has(place)) await this.#correcting.get(place);
    const correcting = this.#correct(input, found, account);
    this.#correcting.set(place, correcting);
    try {
      return await correcting;
    } finally {
      this.#correcting.delete(place);
    }
  }

  async #correct(
    input: CorrectionInput,
    { seq: receiptSeq, receipt }: { readonly seq: number; readonly receipt: Receipt },
    account: string,
  ): Promise<Result<Entry>> {
    const key = `correction:${input.key}`;
    const noteHash = sha256(utf8(input.note));
    const { reason, refund: amount } = input;
    const bodyHash = sha256(receipt.id, utf8(`\n${reason}\n${amount}\n`), noteHash);
    const known = await this.idempotency(account, key, bodyHash);
    if (!known.ok) return known;
    if (known.value.state === "done") return ok(await this.#entry(Number(known.value.response)));
    const standing = asCorrected(receipt, await correctionsOf(this.#store, this.#state.ledger, receipt.id));
    return this.#writer.run((batch) => {
      const given = givenBack(this.#state, receipt, amount);
      if (!given.ok) return given;
      const unsettled = (payee: number): number =>
        this.#state.accruals.open(payee) - this.#purses.reservedEarnings(payee);
      const legs = refundLegs(standing, amount, unsettled);
      if (!legs.ok) return legs;
      const { seq, bytes } = batch.add({
        kind: "correction",
        correction: {
          // The same key is the same correction: its id follows from both.
          ...{
            id: sha256(receipt.id, utf8(input.key)).slice(0, 16),
            receipt: receipt.id,
            receiptSeq,
            reason,
            noteHash,
          },
          ...{ payer: receipt.payer, account: receipt.account, ...given.value, legs: legs.value },
          payerPayee: given.value.earned > 0 ? receipt.payerPayee : 0,
        },
      });
      batch.idempotency.push({ account, key, bodyHash, receipt: receipt.id, response: String(seq) });
      return ok(() => decoded(bytes));
    });
  }

  async #entry(seq: number): Promise<Entry> {
    for await (const { bytes } of this.#store.entries(this.#state.ledger, seq, seq + 1)) return decoded(bytes);
    throw new Error(`entry ${seq} of our own journal is there`);
  }

  async idempotency(account: string, key: string, bodyHash: Uint8Array): Promise<Result<IdempotencyState>> {
    const row = await this.#store.idempotency(this.#state.ledger, account, key);
    if (row === undefined) return ok({ state: "new" });
    if (toHex(row.bodyHash) !== toHex(bodyHash)) {
      return refuse("idempotency_mismatch", "this Idempotency-Key was used with another body", {
        hint: "use a new key for a new request",
      });
    }
    return ok({
      state: "done",
      receipt: row.receipt,
      ...(row.response === undefined ? {} : { response: row.response }),
    });
  }

  begin(account: string, key: string): boolean {
    const running = `${account}\n${key}`;
    if (this.#running.has(running)) return false;
    this.#running.add(running);
    return true;
  }

  abandon(account: string, key: string): void {
    this.#running.delete(`${account}\n${key}`);
  }

  async receipt(id: Uint8Array): ReturnType<Books["receipt"]> {
    const stored = await this.#store.receipt(this.#state.ledger, id);
    if (stored === undefined) return undefined;
    const { seq, timeMs, receipt } = receiptOf(stored.bytes);
    return {
      seq,
      timeMs,
      receipt,
      entry: stored.bytes,
      ...(stored.opening === undefined ? {} : { opening: stored.opening }),
    };
  }

  /** Its batch is the entries before the `batch` entry that follows it. */
  async promise(id: Uint8Array): Promise<ReceiptPromise | undefined> {
    const stored = await this.#store.receipt(this.#state.ledger, id);
    if (stored === undefined) return undefined;
    for await (const { bytes } of this.#store.entries(this.#state.ledger, stored.seq + 1, this.size())) {
      const entry = decoded(bytes);
      if (entry.kind !== "batch") continue;
      const { first, count, root, deadlineMs, signature } = entry.batch;
      const hashes: Uint8Array[] = [];
      for await (const each of this.#store.entries(this.#state.ledger, first, first + count))
        hashes.push(leafHash(each.bytes));
      const path = inclusionProof(hashReader(hashes), stored.seq - first, count);
      const amount = amountOf(receiptOf(stored.bytes).receipt);
      return {
        receipt: id,
        amount,
        seq: stored.seq,
        entry: stored.bytes,
        first,
        count,
        root,
        path,
        deadlineMs,
        signature,
      };
    }
    return undefined;
  }

  async recent(query: Parameters<Books["recent"]>[0]): ReturnType<Books["recent"]> {
    const account = query.account === undefined ? undefined : this.#purses.account(query.account);
    if (query.account !== undefined && account === undefined) return [];
    const stored = await this.#store.receipts(this.#state.ledger, {
      ...{ beforeSeq: query.beforeSeq ?? this.size(), limit: query.limit },
      ...(account === undefined ? {} : { pseudonym: account.pseudonym }),
    });
    return stored.map(({ bytes }) => receiptOf(bytes));
  }

  spending(from: number, until: number): Promise<readonly Spending[]> {
    return this.#store.spending(this.#state.ledger, from, until);
  }

  async *entries(from: number, until: number): AsyncIterable<Uint8Array> {
    for await (const { bytes } of this.#store.entries(this.#state.ledger, from, until)) yield bytes;
  }

  size(): number {
    return this.#writer.durableSize;
  }

  stopped(): Refusal | undefined {
    return this.#writer.stopped;
  }

  waiting(): Refusal | undefined {
    return this.#writer.waiting;
  }

  payeeNumber(id: Uint8Array): number | undefined {
    return this.#state.number(id);
  }

  payee(number: number): { readonly id: Uint8Array; readonly type: PayeeType } | undefined {
    return this.#state.payee(number);
  }

  accrued(payee: Uint8Array): { readonly lifetime: bigint; readonly open: bigint } {
    const number = this.#state.number(payee);
    if (number === undefined) return { lifetime: 0n, open: 0n };
    return { lifetime: this.#state.accruals.lifetime(number), open: BigInt(this.#state.accruals.open(number)) };
  }

  *payees(): ReturnType<Books["payees"]> {
    for (let number = 1; number <= this.#state.payeeCount; number++) {
      const { id, type } = this.#state.payee(number)!;
      yield {
        number,
        id,
        type,
        lifetime: this.#state.accruals.lifetime(number),
        open: BigInt(this.#state.accruals.open(number)),
      };
    }
  }

  policy(): FeePolicy {
    assert(this.#state.policy !== undefined, "an opened ledger has a policy");
    return this.#state.policy.policy;
  }

  setPolicy(policy: FeePolicy): Promise<Result<Entry>> {
    return this.#writer.run((batch) => {
      const checked = checkPolicy(policy);
      if (!checked.ok) return checked;
      for (const id of [policy.reservePayee, policy.datanetReservePayee]) numberOf(this.#state, batch, id, "purse");
      numberOf(this.#state, batch, policy.treasuryPayee, "party");
      const { bytes } = batch.add({ kind: "policy", policy });
      return ok(() => decoded(bytes));
    });
  }

  hasPolicy(policy: FeePolicy): boolean {
    const current = this.#state.policy;
    return current !== undefined && toHex(current.hash) === toHex(policyHash(policy));
  }

  bind(input: Parameters<Books["bind"]>[0]): Promise<Result<Entry>> {
    return this.#writer.run((batch) => {
      const before = this.#state.bindings().get(this.#state.number(input.identity) ?? 0);
      if (before?.state === "bound")
        return refuse("binding_refused", "this identity is bound already, and that happens once");
      const identity = numberOf(this.#state, batch, input.identity, "identity");
      const names = input.state === "bound" || input.state === "redirected" || input.state === "noticed";
      const to = names ? numberOf(this.#state, batch, input.to, "party") : 0;
      const { epoch } = this.#state.openEpoch();
      const { bytes } = batch.add({
        kind: "binding",
        binding: { identity, to, state: input.state, epoch, proofHash: input.proofHash },
      });
      return ok(() => decoded(bytes));
    });
  }

  totals(): Totals {
    const { deposited, granted } = this.#purses.totals();
    const [debited, credited] = [this.#state.debited.total(), this.#state.accruals.totalCredited()];
    return { deposited, granted, debited, credited, held: this.#holds.totalHeld(), receipts: this.#state.receiptCount };
  }
}

function decoded(bytes: Uint8Array): Entry {
  const entry = decodeEntry(bytes);
  assert(entry.ok, "an entry of our own journal decodes");
  return entry.value;
}

function receiptOf(bytes: Uint8Array): { readonly seq: number; readonly timeMs: number; readonly receipt: Receipt } {
  const entry = decoded(bytes);
  assert(entry.kind === "receipt", "a row of kind receipt holds one");
  return { seq: entry.seq, timeMs: entry.timeMs, receipt: entry.receipt };
}
