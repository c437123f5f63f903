import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { type TestDatabase, testDatabase } from "../../test/support/testDatabase.ts";
import { toHex, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { unwrap } from "../core/result.ts";
import { startNode, type TestNode } from "../gateway/testing/node.ts";
import { hello, ScriptedEngine } from "../gateway/testing/scriptedEngine.ts";
import { until } from "../host/processes.ts";
import { eventTypes } from "../ledger/events.ts";
import { siblingDatabase } from "../store/siblingDatabase.ts";
import { Children } from "./children.ts";
import { openTestWorld } from "./testWorld.ts";

const secrets = {
  signer: new Uint8Array(32).fill(1),
  log: new Uint8Array(32).fill(2),
  accounts: new Uint8Array(32).fill(3),
};
const world = {
  ...{
    nowMs: () => Date.now(),
    elapsedMs: () => performance.now(),
    randomBytes: (n: number) => new Uint8Array(randomBytes(n)),
  },
  log: () => undefined,
};
let database: TestDatabase;
let data: string;
let live: TestNode;
let admin: string;
let children: Children;

/** A live node over memory with a real test world behind the same port. */
async function start(): Promise<void> {
  children = new Children(
    { on: () => undefined, off: () => undefined, exit: () => undefined, kill: () => undefined },
    () => undefined,
  );
  const url = unwrap(await siblingDatabase(database.url, "test"));
  const parts = { data, url, secrets, children, world, epochMs: 3_600_000, callsInside: true, say: () => undefined };
  const opened = unwrap(await openTestWorld(parts));
  admin = opened.adminKey;
  live = await startNode({ engines: { a: new ScriptedEngine(hello) }, parts: { testWorld: opened.gateway } });
}

async function stop(): Promise<void> {
  await live.stop();
  await children.stopAll();
}

beforeAll(async () => {
  database = await testDatabase();
  data = await mkdtemp(join(tmpdir(), "openledger-test-"));
  await start();
});
afterAll(async () => {
  await stop();
  await database.drop();
  await rm(data, { recursive: true, force: true });
});

async function call(secret: string, path: string, body?: object) {
  const headers = { authorization: `Bearer ${secret}`, "content-type": "application/json" };
  const sent = body === undefined ? { headers } : { method: "POST", headers, body: JSON.stringify(body) };
  const response = await fetch(live.url + path, sent);
  const text = await response.text();
  const receipt = response.headers.get("openledger-receipt") ?? "";
  return { status: response.status, body: Object(JSON.parse(text)), receipt };
}

async function testKey(): Promise<{ secret: string; account: string }> {
  const { id } = (await call(admin, "/api/accounts", { name: "tester" })).body;
  await call(admin, `/api/accounts/${id}/credit`, { amount: 1_000_000_000, key: "play" });
  return { secret: (await call(admin, "/api/keys", { account: id, name: "tester" })).body.secret, account: id };
}

const ask = (secret: string, content: string, more: object = {}) =>
  call(secret, "/v1/chat/completions", { model: "test-model", messages: [{ role: "user", content }], ...more });

test("the two worlds share a port and nothing else", async () => {
  const { secret, account } = await testKey();
  expect([admin, secret].every((one) => one.startsWith("ol_test_"))).toBe(true);
  const before = live.ledger.books.size();
  expect((await ask(secret, "hi")).status).toBe(200);
  expect(live.ledger.books.size()).toBe(before);
  expect((await ask(live.secret, "hi")).status).toBe(404);
  expect((await call(live.adminSecret, "/api/test/clock", { advanceMs: 1 })).status).toBe(404);
  expect((await call(live.adminSecret, `/api/accounts/${account}`)).status).toBe(404);
  expect((await call(admin, `/api/accounts/${live.account}`)).status).toBe(404);
  const [ours, theirs] = [await call(admin, "/api/totals"), await call(live.secret, "/api/totals")];
  expect(ours.body).not.toEqual(theirs.body);
  expect((await call("ol_test_0000", "/api/accounts/me")).status).toBe(401);
});

test("the model says what is known beforehand, counts words, and fails when asked to", async () => {
  const { secret } = await testKey();
  const first = await ask(secret, "how are you");
  expect(first.body).toMatchObject({
    choices: [{ message: { content: "This is a test answer." }, finish_reason: "stop" }],
    usage: { prompt_tokens: 3, completion_tokens: 5 },
  });
  const again = await ask(secret, "how are you");
  expect(again.body.choices).toEqual(first.body.choices);
  // 3 words in at 1,000, 5 out at 2,000 and 2,000 of royalty, 100,000 a call.
  const view = (await call(secret, `/api/receipts/${first.receipt}`)).body;
  expect(view.fee).toMatchObject({ cost: 13_000, royalty: 110_000, amount: 123_000 });
  expect((await ask(secret, "test:tokens=700")).body).toMatchObject({ usage: { completion_tokens: 700 } });
  const cut = await ask(secret, "test:tokens=700", { max_tokens: 10 });
  expect(cut.body).toMatchObject({ usage: { completion_tokens: 10 }, choices: [{ finish_reason: "length" }] });
  expect(await ask(secret, "test:fail=context_too_long")).toMatchObject({
    status: 400,
    body: { error: { code: "context_length_exceeded" } },
  });
});

test("every event can be had, comes through the real pipes, and says what really happened", async () => {
  const got: string[] = [];
  const receiver = createServer((request, response) => {
    let text = "";
    request.on("data", (part) => {
      text += part;
    });
    request.on("end", () => {
      got.push(z.object({ type: z.string() }).parse(JSON.parse(text)).type.replace("org.openledger.", ""));
      response.end();
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  const address: AddressInfo | string | null = receiver.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  expect((await call(admin, "/api/webhooks", { url: `http://127.0.0.1:${port}/` })).status).toBe(200);
  const { secret } = await testKey();
  for (const type of eventTypes) {
    const before = got.length;
    const done = await call(secret, "/api/test/events", { type });
    expect([type, done.status, done.body.type]).toEqual([type, 200, type]);
    for (let i = 0; i < 100 && !got.slice(before).includes(type); i++)
      await new Promise((resolve) => setTimeout(resolve, 50));
    expect(got.slice(before)).toContain(type);
  }
  receiver.closeAllConnections();
  receiver.close();
});

const stagesSchema = z.object({ accrued: z.string(), funded: z.string(), settled: z.string(), claimed: z.string() });

test("what is credited is accrued, then funded, then settled, then claimed; the stages sum to it everywhere", async () => {
  const { secret } = await testKey();
  const ann = toHex(sha256(utf8("openledger test world: ann")));
  const look = async () => {
    const { credited, stages } = (await call(admin, "/api/totals")).body;
    const all = stagesSchema.parse(stages);
    expect(Object.values(all).reduce((sum, nano) => sum + BigInt(nano), 0n)).toBe(BigInt(credited));
    const { stages: own, lifetime } = (await call(admin, `/api/claims/${ann}`)).body;
    const statement = (await call(admin, `/api/payees/${ann}/statement`)).body;
    expect(statement.stages).toEqual(own);
    const anns = Object.values(stagesSchema.parse(own));
    expect(anns.reduce((sum, nano) => sum + BigInt(nano), 0n)).toBe(BigInt(lifetime));
    return [BigInt(all.accrued), BigInt(all.funded), BigInt(all.settled), BigInt(all.claimed)] as const;
  };
  await call(secret, "/api/test/events", { type: "settled" });
  const [accrued, , settled] = await look();
  expect([accrued, settled > 0n]).toEqual([0n, true]);
  await ask(secret, "hi");
  const [more, funded] = await look();
  expect([more > 0n, funded]).toEqual([true, 0n]);
  const { epoch } = (await call(admin, "/api/epochs", {})).body;
  const reference = { reference: "transfer 1" };
  await call(admin, `/api/epochs/${epoch}/funding`, reference);
  expect((await look()).slice(0, 2)).toEqual([0n, more]);
  await call(admin, `/api/epochs/${epoch}/settlement`, reference);
  const before = await look();
  expect(before[2]).toBe(settled + more);
  await call(secret, "/api/test/events", { type: "claimed" });
  expect((await look())[3] > before[3]).toBe(true);
});

test("a month passes: limits of the day begin anew, epochs close, a statement can be issued; the clock never goes back, also over a restart", async () => {
  const { secret, account } = await testKey();
  const limited = (await call(admin, "/api/keys", { account, name: "limited", limits: { nanoPerDay: 300_000 } })).body
    .secret;
  expect([(await ask(limited, "a")).status, (await ask(limited, "a", { max_tokens: 40 })).status]).toEqual([429, 200]);
  expect((await ask(limited, "a", { max_tokens: 60 })).status).toBe(429);
  const { body: began } = await call(secret, "/api/test/clock");
  const month = String(began.now).slice(0, 7);
  expect((await call(admin, "/api/statements", { period: month })).status).toBe(409);
  const epochs = async () => (await call(admin, "/api/epochs")).body.data.length;
  const closed = await epochs();
  const moved = await call(secret, "/api/test/clock", { advanceMs: 32 * 86_400_000 });
  // To a point in time: what passes until the clock is there is not ahead any more.
  expect(moved.body.aheadMs).toBeGreaterThan(31 * 86_400_000);
  expect(await epochs()).toBe(closed + 1);
  expect((await ask(limited, "a", { max_tokens: 40 })).status).toBe(200);
  const issued = await call(admin, "/api/statements", { period: month });
  expect(issued.body.issued).toBeGreaterThan(3);
  const { data: statements } = (await call(secret, "/api/statements")).body;
  expect(statements).toMatchObject([{ period: month, party: { type: "account", name: "tester" } }]);
  expect((await call(secret, "/api/test/clock", { to: "2020-01-01T00:00:00Z" })).status).toBe(400);
  expect((await call(secret, "/api/test/clock", { to: "2100-01-01T00:00:00Z" })).status).toBe(400);
  expect((await call(secret, "/api/test/clock", {})).status).toBe(400);
  const hanging = ask(secret, "test:wait=2000");
  const isHeld = async () => (await call(secret, "/api/test/clock", { advanceMs: 1 })).status === 409;
  expect(await until(isHeld, 1_900)).toBe(true);
  expect((await hanging).status).toBe(200);
  const [aheadMs, key] = [(await call(secret, "/api/test/clock")).body.aheadMs, admin];
  await stop();
  await start();
  expect(admin).toBe(key);
  expect((await call(secret, "/api/test/clock")).body.aheadMs).toBe(aheadMs);
  expect((await call(secret, "/api/accounts/me")).body.id).toBe(account);
  expect((await ask(limited, "a")).status).toBe(429);
});
