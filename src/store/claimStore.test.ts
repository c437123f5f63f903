import { expect, onTestFinished, test } from "vitest";
import { testDatabase } from "../../test/support/testDatabase.ts";
import { unwrap } from "../core/result.ts";
import type { KnownClaim } from "../ledger/claims.ts";
import { openPayoutStore } from "./payoutStore.ts";

const claim = (n: number, more: Partial<KnownClaim> = {}): KnownClaim => ({
  ...{ reference: `1:0xa:${n}`, transaction: "0xa", block: n, timeMs: 100 * n, payee: `0x${n % 2}`, account: "0xc" },
  ...{ epoch: 1, nano: 2n ** 70n, cumulative: 2n ** 71n, rate: { nanoPerUsd: 3, source: "test", atMs: 5 }, ...more },
});
const fee = { relayer: "0xd", nano: 4n, gasUsed: 90_000, gasPriceWei: 10n ** 20n, microOpenPerEth: 3_000 };

test("claims come back as they were kept, each once with its event, whoever keeps them at the same time", async () => {
  const database = await testDatabase();
  const open = () => openPayoutStore(database);
  const [one, two] = [unwrap(await open()), unwrap(await open())];
  onTestFinished(async () => {
    for (const store of [one, two]) await store.close();
    await database.drop();
  });
  const claims = [claim(1), claim(2, { fee }), claim(3)];
  expect(await one.claims.claimsReadUntil()).toBeUndefined();
  const [a, b] = await Promise.all([one.claims.addClaims(claims, 10), two.claims.addClaims(claims.slice(1), 7)]);
  expect(a + b).toBe(3);
  expect(await two.claims.claimsReadUntil()).toBe(10);
  expect(await two.claims.addClaims(claims, 11)).toBe(0);
  expect((await two.claims.claims({})).toSorted((x, y) => x.block - y.block)).toEqual(claims);
  expect(await one.claims.claims({ payee: "0x0" })).toEqual([claims[1]]);
  expect(await one.claims.claims({ relayer: "0xd" })).toEqual([claims[1]]);
  expect(await one.claims.claims({ relayer: "0xe" })).toEqual([]);
  expect(await one.claims.claims({ fromMs: 200, untilMs: 300 })).toEqual([claims[1]]);
  const events = await one.webhooks.keptOf("claimed");
  expect(events.map(({ data }) => data["reference"]).toSorted()).toEqual(claims.map(({ reference }) => reference));
  expect(events.find(({ data }) => data["reference"] === "1:0xa:2")).toMatchObject({
    ...{ timeMs: 200, subject: "", data: { fee: "4", nano: String(2n ** 70n), paid: String(2n ** 70n - 4n) } },
  });
  expect(events.map(({ number }) => number)).toEqual([1, 2, 3]);
});
