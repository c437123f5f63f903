import { expect, onTestFinished, test } from "vitest";
import { testDatabase } from "../../test/support/testDatabase.ts";
import { unwrap } from "../core/result.ts";
import type { PayeeDetails, Payout } from "../ledger/payouts.ts";
import { type OpenPayoutStore, openPayoutStore } from "./payoutStore.ts";

const details: PayeeDetails = {
  ...{ payee: "0xaa", legalName: "Ann", country: "DE", iban: "DE89370400440532013000", withholdingBps: 100 },
  bic: "COBADEFFXXX",
};
const payout = (number: number): Payout => ({
  ...{ number, createdMs: 5, currency: "EUR", nanoPerUnit: 7, epoch: 2, status: "open", reference: "" },
  lines: [{ payee: "0xaa", nano: 2n ** 70n, gross: 100, withheld: 1, net: 99, details }],
});

async function stores(count: number): Promise<readonly OpenPayoutStore[]> {
  const database = await testDatabase();
  const opened = await Promise.all(Array.from({ length: count }, async () => unwrap(await openPayoutStore(database))));
  onTestFinished(async () => {
    for (const store of opened) await store.close();
    await database.drop();
  });
  return opened;
}

test("payouts and details come back as they were put, in another process too", async () => {
  const [one, two] = await stores(2);
  await one!.putDetails(details);
  unwrap(await one!.addPayout(payout(1)));
  expect(await two!.details("0xaa")).toEqual(details);
  expect(await two!.payouts()).toEqual([payout(1)]);
  expect(await two!.payout(1)).toEqual(payout(1));
  expect(await two!.payout(2)).toBeUndefined();
  expect(await two!.removeDetails("0xaa")).toBe(true);
  expect(await one!.allDetails()).toEqual([]);
  expect((await one!.payout(1))?.lines[0]?.details).toEqual(details);
});

test("of payouts that are made at the same time one is made", async () => {
  const opened = await stores(4);
  const made = await Promise.all(opened.map((store) => store.addPayout(payout(1))));
  expect(made.filter(({ ok }) => ok)).toHaveLength(1);
  expect(made.flatMap((one) => (one.ok ? [] : [one.error.code]))).toEqual(["conflict", "conflict", "conflict"]);
});

test("an open payout ends once; the same end again is the same, another is refused", async () => {
  const [store] = await stores(1);
  unwrap(await store!.addPayout(payout(1)));
  const paid = { atMs: 9, nanoPerUsd: 4, source: "test" };
  const end = (status: "paid" | "cancelled", reference: string) =>
    store!.endPayout(1, status === "paid" ? { status, reference, paid } : { status, reference });
  expect(unwrap(await end("paid", "bank 1"))).toMatchObject({ status: "paid", reference: "bank 1" });
  expect(await store!.payout(1)).toEqual({ ...payout(1), status: "paid", reference: "bank 1", paid });
  expect((await end("paid", "bank 1")).ok).toBe(true);
  expect(await end("paid", "bank 2")).toMatchObject({ ok: false, error: { code: "conflict" } });
  expect(await end("cancelled", "no")).toMatchObject({ ok: false, error: { code: "conflict" } });
  expect(await store!.endPayout(9, { status: "cancelled", reference: "x" })).toMatchObject({
    ok: false,
    error: { code: "not_found" },
  });
});
