import { expect } from "vitest";
import { toHex } from "../../src/core/bytes.ts";
import { Replay } from "../../src/core/replay.ts";
import { assert, unwrap } from "../../src/core/result.ts";
import type { LedgerStore } from "../../src/ledger/ports.ts";
import { checkBatch } from "../../src/ledger/verify.ts";
import { crashTrust, GRANT, openCrashLedger } from "./crashLedger.ts";

/** What is known of a ledger's posts from outside: keys that were tried, and receipts that were acknowledged. */
export class Witness {
  /** Keys of this run, and, of every run, those that are journalled. */
  readonly #tried = new Set<string>();
  #journalled = 0;
  readonly #acknowledged = new Map<string, string>();
  readonly #name: string;
  readonly #replay: Replay;

  constructor(name: string) {
    this.#name = name;
    const trust = crashTrust(name);
    this.#replay = new Replay({ ledger: trust.ledger, batch: (batch, entries) => checkBatch(trust, batch, entries) });
  }

  get acknowledgedCount(): number {
    return this.#acknowledged.size;
  }

  get epochCount(): number {
    return this.#replay.epochs.length;
  }

  try(key: string): void {
    this.#tried.add(key);
  }

  acknowledge(key: string, receipt: string): void {
    expect(this.#acknowledged.has(key), `key ${key} is acknowledged once`).toBe(false);
    this.#acknowledged.set(key, receipt);
  }

  /**
   * Opens the ledger as the next node would, and expects: every acknowledged receipt once, every other tried key wholly there or wholly absent,
   * no hold, equal totals, and a journal that the strict replay agrees with entry by entry and signature by signature.
   */
  async check(store: LedgerStore): Promise<void> {
    const ledger = unwrap(await openCrashLedger(this.#name, store));
    const { held, credited, debited, receipts } = ledger.books.totals();
    expect(held).toBe(0n);
    expect(ledger.holds.count()).toBe(0);
    expect(credited).toBe(debited);
    for await (const bytes of ledger.books.entries(this.#replay.size, ledger.books.size())) {
      const taken = this.#replay.take(bytes);
      assert(taken.ok, `entry ${this.#replay.size}: ${taken.ok ? "" : taken.error.message}`);
    }
    expect(this.#replay.size).toBe(ledger.books.size());
    expect(this.#replay.unsignedCount).toBe(0);
    expect(this.#replay.receiptCount).toBe(receipts);
    const [account] = ledger.accounts.list();
    for (const key of this.#tried) if (await this.#isJournalled(store, account?.id ?? "", key)) this.#journalled += 1;
    this.#tried.clear();
    expect(this.#journalled).toBe(receipts);
    if (account === undefined) expect(receipts).toBe(0);
    else {
      const { spent, credited: granted } = ledger.accounts.balance(account.id)!;
      expect(spent).toBe(debited);
      expect([0n, BigInt(GRANT)]).toContain(granted);
      if (receipts > 0) expect(granted).toBe(BigInt(GRANT));
    }
    await ledger.close();
  }

  /** A tried key is there with its receipt, its opening and its response, or not at all; an acknowledged one is there. */
  async #isJournalled(store: LedgerStore, account: string, key: string): Promise<boolean> {
    const { ledger } = crashTrust(this.#name);
    const row = await store.idempotency(ledger, account, key);
    const acknowledged = this.#acknowledged.get(key);
    if (row === undefined) {
      expect(acknowledged, `key ${key} was acknowledged, and it is lost`).toBeUndefined();
      return false;
    }
    const receipt = await store.receipt(ledger, row.receipt);
    expect(receipt?.opening).toBe(JSON.stringify({ key }));
    expect(this.#replay.receipt(row.receipt)?.seq).toBe(receipt?.seq);
    expect(row.response).toBe(key);
    if (acknowledged !== undefined) expect(toHex(row.receipt)).toBe(`0x${acknowledged}`);
    return true;
  }
}
