import { expect, test } from "vitest";
import { toHex } from "../core/bytes.ts";
import { unwrap } from "../core/result.ts";
import { account, assets, draft, parties, smallLedger } from "./testing/smallLedger.ts";
import { type IncomeStore, type IncomeUntil, TreasuryIncome } from "./treasuryIncome.ts";

test("it is what the treasury's legs come to, over restarts and corrections, each entry counted once", async () => {
  const small = await smallLedger();
  const payer = await account(small, 1_000_000);
  const receipts: Uint8Array[] = [];
  const spend = async (royalty: number): Promise<void> => {
    const hold = unwrap(small.ledger.holds.place({ account: payer.id, amount: royalty + 40 }));
    // The treasury's own payee operates here, and earns by that as well.
    const order = draft(hold.id, 40, royalty, { operator: parties.treasury, model: assets.model });
    receipts.push(unwrap(await small.ledger.books.post(order)).receipt.id);
  };
  const due = async (): Promise<bigint> => {
    const { parties: all } = await small.ledger.accounts.period(0, Number.MAX_SAFE_INTEGER);
    const lines = all.find(({ type, id }) => type === "payee" && id === toHex(parties.treasury))?.lines ?? [];
    return lines.filter(({ role }) => role === "treasury").reduce((sum, { nano }) => sum + nano, 0n);
  };
  let kept: IncomeUntil | undefined;
  const store: IncomeStore = {
    income: async () => kept,
    saveIncome: async (income) => {
      kept = income;
    },
  };
  const income = () => new TreasuryIncome(small.ledger.books, store);
  expect(await income().total()).toBe(0n);
  const same = income();
  for (const royalty of [1_000, 777, 31]) {
    await spend(royalty);
    const both = await Promise.all([same.total(), same.total(), income().total()]);
    expect(both).toEqual([await due(), await due(), await due()]);
  }
  unwrap(
    await small.ledger.books.correct({ receipt: receipts[0]!, reason: "refund", refund: 900, note: "", key: "k" }),
  );
  expect(await same.total()).toBe(await due());
  expect(await income().total()).toBe(await due());
  expect(kept?.seq).toBe(small.ledger.books.size());
  expect((await due()) < small.ledger.books.accrued(parties.treasury).lifetime).toBe(true);
});
