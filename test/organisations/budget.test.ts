import { expect, onTestFinished, test } from "vitest";
import { freeTerms } from "../../src/core/asset.ts";
import { unwrap } from "../../src/core/result.ts";
import { CALL_NANO, type Called, customer, startCustomerNode } from "../../src/gateway/testing/customers.ts";
import { hello } from "../../src/gateway/testing/scriptedEngine.ts";
import type { OpenLedger } from "../../src/ledger/openLedger.ts";
import { assets, open, parties, SmallWorld } from "../../src/ledger/testing/smallLedger.ts";
import { openLedgerStore } from "../../src/store/ledgerStore.ts";
import { testDatabase } from "../support/testDatabase.ts";

const BUDGET = 100;

test("1,000 requests at once on a day's budget for 100: 100 are answered, 900 are told why, and neither a restart nor a crash gives a budget back or keeps any of it", {
  timeout: 90_000,
}, async () => {
  const { openNode, world } = await database();
  const first = await openNode();
  const node = await startCustomerNode(first, [{ pauseMs: 200 }, ...hello], () => world.nowMs());
  const acme = await customer(node, "acme", 10_000 * CALL_NANO);
  const bolt = await customer(node, "bolt", 10_000 * CALL_NANO);
  const book = first.organisations;
  unwrap(await book.change(acme.owner, acme.organisation.id, { limits: { nanoPerDay: BUDGET * CALL_NANO } }));
  const asked = await Promise.all(
    Array.from({ length: 1_000 }, (_, i) => node.ask(i % 2 === 0 ? acme.secrets.project : acme.secrets.owner)),
  );
  expect(counts(asked)).toEqual({ 200: BUDGET, 429: 900 });
  const reasons = new Set(asked.filter(({ status }) => status === 429).map(({ body }) => JSON.stringify(body)));
  expect(reasons.size).toBe(1);
  expect([...reasons][0]).toContain(`the organisation \\"acme\\" may spend ${BUDGET * CALL_NANO} nano a day`);
  expect((await node.ask(bolt.secrets.project)).status).toBe(200);
  const { account } = acme.organisation;
  expect(first.accounts.balance(account)).toMatchObject({ spent: BigInt(BUDGET * CALL_NANO), held: 0n });
  expect(first.holds.count()).toBe(0);
  expect((await first.books.recent({ limit: 1_000, account })).length).toBe(BUDGET);

  // Larger by 30, of which 20 hang in the middle of an answer when the process is gone.
  unwrap(await book.change(acme.owner, acme.organisation.id, { limits: { nanoPerDay: (BUDGET + 30) * CALL_NANO } }));
  expect(counts(await Promise.all(Array.from({ length: 10 }, () => node.ask(acme.secrets.builder))))).toEqual({
    200: 10,
  });
  node.engine.script = () => [{ hang: true }];
  const hanging = Array.from({ length: 40 }, () =>
    node.ask(acme.secrets.owner).then(
      ({ status }) => status,
      () => 0,
    ),
  );
  await settled(() => first.holds.count() === 20);
  expect(node.gateway.floor.meters.usage(book.scopesOf(acme.key).at(-1)!, world.nowMs())).toEqual({
    nano: 130 * CALL_NANO,
    inFlight: 20,
  });

  const second = await openNode();
  const next = await startCustomerNode(second, hello, () => world.nowMs());
  onTestFinished(() => next.gateway.drain(10));
  expect(counts(await Promise.all(Array.from({ length: 60 }, () => next.ask(acme.secrets.project))))).toEqual({
    200: 20,
    429: 40,
  });
  expect(second.accounts.balance(account)).toMatchObject({ spent: BigInt(130 * CALL_NANO), held: 0n });
  // The old process can write nothing more: what it still held is nobody's.
  await node.gateway.drain(10);
  expect((await Promise.all(hanging)).filter((status) => status === 429).length).toBe(20);
  expect((await second.books.recent({ limit: 1_000, account })).length).toBe(130);

  world.timeMs += 86_400_000;
  expect((await next.ask(acme.secrets.project)).status).toBe(200);
});

function counts(called: readonly Called[]): Record<number, number> {
  const sums: Record<number, number> = {};
  for (const { status } of called) sums[status] = (sums[status] ?? 0) + 1;
  return sums;
}

async function settled(isSo: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !isSo(); i++) await new Promise((resolve) => setTimeout(resolve, 20));
  expect(isSo()).toBe(true);
}

/** Nodes over one database, each taking the ledger over from the one before. */
async function database(): Promise<{ openNode(): Promise<OpenLedger>; world: SmallWorld }> {
  const { url, drop } = await testDatabase();
  onTestFinished(drop);
  const world = new SmallWorld();
  const openNode = async (): Promise<OpenLedger> => {
    const store = unwrap(await openLedgerStore({ url }));
    onTestFinished(() => store.close());
    const ledger = await open(store, world);
    const model = { id: assets.plain, kind: "model", owner: parties.owner, contentRoot: assets.plain } as const;
    unwrap(await ledger.assets.register({ ...model, parents: [], terms: freeTerms }));
    return ledger;
  };
  return { openNode, world };
}
