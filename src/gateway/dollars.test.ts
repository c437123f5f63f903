import { afterAll, beforeAll, expect, test } from "vitest";
import { noPrices } from "../core/quote.ts";
import { ok, type Result, refuse, unwrap } from "../core/result.ts";
import { openBounds, type Quotation, RateDesk } from "../ledger/rates.ts";
import { startNode, type TestNode, testModel } from "./testing/node.ts";
import { hello, ScriptedEngine } from "./testing/scriptedEngine.ts";

let says: Result<Quotation> = ok({ nanoPerUsd: 2_000_000_000 });
let nowMs = Date.now();
const bounds = { ...openBounds, stepBpsMax: 1_000, staleMs: 60_000 };
const desk = new RateDesk({ name: "example.org", read: async () => says }, bounds, () => nowMs);
const refused: string[] = [];
let node: TestNode;

const dollars = { unit: "microUsd", cost: { ...noPrices, perCall: 3 } } as const;

beforeAll(async () => {
  node = await startNode({
    ...{ engines: { usd: new ScriptedEngine(hello), open: new ScriptedEngine(hello) } },
    parts: { rates: desk, rateDesk: desk, onRefused: (_account, { code }) => void refused.push(code) },
    operators: { usd: { ...dollars, models: { usd: "x" } }, open: { models: { [testModel]: "x" } } },
  });
  const [served] = node.gateway.catalog.list();
  node.gateway.catalog.put({ ...served!, name: "usd", unit: "microUsd", royalty: { ...noPrices, perCall: 5 } });
});
afterAll(() => node.stop());

async function call(
  path: string,
  secret: string,
  body?: object,
): Promise<{ status: number; body: object; receipt: string }> {
  const headers = { authorization: `Bearer ${secret}`, "content-type": "application/json" };
  const sent = body === undefined ? { headers } : { method: "POST", headers, body: JSON.stringify(body) };
  const response = await fetch(node.url + path, sent);
  const receipt = response.headers.get("openledger-receipt") ?? "";
  return { status: response.status, body: Object(await response.json()), receipt };
}

const ask = (model: string) =>
  call("/v1/chat/completions", node.secret, { model, messages: [{ role: "user", content: "hi" }] });

test("before a rate is known, prices in dollars are refused and why is said; prices in OPEN are not affected", async () => {
  expect(await ask("usd")).toMatchObject({
    status: 503,
    body: { error: { code: "rate_stale", message: expect.stringContaining("no dollar rate yet") } },
  });
  const inOpen = await ask(testModel);
  expect(inOpen.status).toBe(200);
  expect((await call(`/api/receipts/${inOpen.receipt}`, node.secret)).body).toMatchObject({ rate: { nanoPerUsd: 0 } });
  expect(node.ledger.holds.count()).toBe(0);
  expect(refused).toEqual(["rate_stale"]);
});

test("the rate of the hold is in the receipt, with who said it, and the fee follows from it though the rate has moved", async () => {
  unwrap(await desk.refresh());
  const asked = ask("usd");
  const { receipt } = await asked;
  says = ok({ nanoPerUsd: 2_200_000_000 });
  unwrap(await desk.refresh());
  const found = (await call(`/api/receipts/${receipt}`, node.secret)).body;
  const rate = { nanoPerUsd: 2_000_000_000, source: "example.org" };
  // 3 and 5 millionths of a dollar at 2 OPEN for a dollar.
  expect(found).toMatchObject({ unit: "microUsd", rate, fee: { cost: 6_000, royalty: 10_000 } });
  const next = (await call(`/api/receipts/${(await ask("usd")).receipt}`, node.secret)).body;
  expect(next).toMatchObject({ rate: { nanoPerUsd: 2_200_000_000 }, fee: { cost: 6_600, royalty: 11_000 } });
});

test("a source that fails, then jumps: the last rate until it is stale, then none, then what the owner accepts", async () => {
  says = refuse("upstream_failed", "away");
  await desk.refresh();
  expect((await ask("usd")).status).toBe(200);
  nowMs += 60_001;
  expect((await ask("usd")).body).toMatchObject({ error: { code: "rate_stale" } });
  says = ok({ nanoPerUsd: 9_000_000_000 });
  await desk.refresh();
  expect((await ask("usd")).status).toBe(503);
  expect((await call("/api/rate", node.secret)).body).toMatchObject({
    ...{ nanoPerUsd: 2_200_000_000, source: "example.org", isFresh: false, pending: 9_000_000_000 },
    lastError: expect.stringContaining("a jump"),
  });
  const named = { nanoPerUsd: 9_000_000_000 };
  expect((await call("/api/rate/accept", node.secret, named)).status).toBe(403);
  expect((await call("/api/rate/accept", node.adminSecret, { nanoPerUsd: 1 })).status).toBe(409);
  expect((await call("/api/rate/accept", node.adminSecret, named)).body).toMatchObject({
    ...named,
    isFresh: true,
    pending: null,
  });
  expect((await ask("usd")).status).toBe(200);
});
