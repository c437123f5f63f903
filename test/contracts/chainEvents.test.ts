import { afterAll, beforeAll, expect, test } from "vitest";
import { fromHex, padAddress, toHex } from "../../src/core/bytes.ts";
import { unwrap } from "../../src/core/result.ts";
import { ClaimWatch } from "../../src/ledger/claims.ts";
import { eventTypes } from "../../src/ledger/events.ts";
import { RefusalTally } from "../../src/ledger/refusalTally.ts";
import { Teller } from "../../src/ledger/teller.ts";
import { Webhooks } from "../../src/ledger/webhooks.ts";
import { type OpenPayoutStore, openPayoutStore } from "../../src/store/payoutStore.ts";
import { testDatabase } from "../support/testDatabase.ts";
import { type ChainWorld, openChainWorld } from "./chainWorld.ts";

let world: ChainWorld;
let database: Awaited<ReturnType<typeof testDatabase>>;
let store: OpenPayoutStore;
beforeAll(async () => {
  [world, database] = await Promise.all([openChainWorld(), testDatabase()]);
  store = unwrap(await openPayoutStore(database));
});
afterAll(async () => {
  await store.close();
  await database.drop();
  await world.chain.stop();
});

test("an epoch that two finalise at once is final, and both hear so", async () => {
  await world.earn([padAddress(fromHex(world.account(1).address))], 5_000);
  const { record } = unwrap(await world.settlement.close());
  await world.pass(61);
  const both = await Promise.all([1, 2].map(() => world.settlement.finalise(record.epoch)));
  expect(both.map(({ ok }) => ok)).toEqual([true, true]);
});

test("on a chain, too, there is an event for everything that happens; a claim by anybody is told of once, over restarts", async () => {
  const { ledger, chainOf: chain } = world;
  const told: { type: string; id: string; data: Record<string, unknown> }[] = [];
  const hooks = new Webhooks(
    ledger,
    store.webhooks,
    async ({ body }) => {
      told.push(JSON.parse(body));
      return { ok: true, value: undefined };
    },
    { nowMs: () => 1, randomBytes: (size) => new Uint8Array(size).fill(7), say: () => undefined },
  );
  unwrap(await hooks.add({ url: "http://127.0.0.1:1/", types: [], subject: "" }));
  const payees = [1, 2].map((index) => padAddress(fromHex(world.account(index).address)));
  const [receipt] = await world.earn(payees, 5_000);
  await world.settle();
  await world.earn(payees, 5_000);
  unwrap(await ledger.books.correct({ receipt: receipt!, reason: "refund", refund: 100, note: "", key: "k" }));
  const epoch = await world.settle();
  const tally = new RefusalTally();
  tally.add(ledger.accounts.list()[0]!.id, "insufficient_funds", "no", 5);
  const parts = { webhooks: hooks, store: store.webhooks, payouts: undefined, tally };
  const watch = () =>
    new ClaimWatch({
      ...{ ledger, chain, store: store.claims, lagBlocks: 0, rate: () => ({ nanoPerUsd: 4, source: "test" }) },
      nowMs: () => 9,
    });
  // One through the node, one that the payee sends alone.
  const [first, second] = await Promise.all(payees.map(async (id) => unwrap(await ledger.epochs.payout(epoch, id))));
  unwrap(await chain.claim(ledger.id, epoch, first!));
  expect(unwrap(await watch().round())).toBe(1);
  unwrap(await chain.claim(ledger.id, epoch, second!));
  for (let i = 0; i < 3; i++) {
    unwrap(await watch().round());
    await new Teller({ ...parts, ledger }).round();
    await hooks.round();
  }
  expect(new Set(told.map(({ type }) => type.replace("org.openledger.", "")))).toEqual(new Set(eventTypes));
  const claims = told.filter(({ type }) => type.endsWith("claimed")).map(({ data }) => data);
  expect(claims).toMatchObject(
    [first!, second!].map(({ payee, cumulative }) => ({
      ...{ payee: toHex(payee), account: toHex(payee.slice(12)), epoch, nano: String(cumulative), fee: "0" },
      ...{ nanoPerUsd: 4, rateSource: "test" },
    })),
  );
  expect(new Set(told.map(({ id }) => id)).size).toBe(told.length);
});
