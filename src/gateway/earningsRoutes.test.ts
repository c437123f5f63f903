import { privateKeyToAccount } from "viem/accounts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fromHex, type Hex, padAddress, toHex } from "../core/bytes.ts";
import { addressOf, earningsTypedData } from "../core/eip712.ts";
import { unwrap } from "../core/result.ts";
import { startNode, type TestNode, testGrounding, testId, testModel } from "./testing/node.ts";
import { hello, ScriptedEngine } from "./testing/scriptedEngine.ts";

const walletKey = testId("wallet");
const wallet = privateKeyToAccount(toHex(walletKey));
const address = toHex(addressOf(walletKey));
const author = testId("author");
const DAY_MS = 86_400_000;

let node: TestNode;
let own: { id: string; secret: string };
beforeAll(async () => {
  const labels = (payee: Uint8Array) => (toHex(payee) === toHex(author) ? "the author" : undefined);
  node = await startNode({
    engines: { scripted: new ScriptedEngine(hello) },
    model: { grounding: testGrounding(), contextTokens: 32_768 },
    parts: { labels },
  });
  own = await opened("ann");
});
afterAll(() => node.stop());

async function opened(name: string): Promise<{ id: string; secret: string }> {
  const { id } = unwrap(await node.ledger.accounts.open({ name }));
  return { id, secret: unwrap(await node.ledger.accounts.createKey({ account: id, name })).secret };
}

interface Called {
  readonly status: number;
  readonly body: unknown;
}

async function call(method: string, path: string, secret?: string, body?: unknown): Promise<Called> {
  const key = secret === undefined ? {} : { authorization: `Bearer ${secret}` };
  const headers = { ...key, ...(body === undefined ? {} : { "content-type": "application/json" }) };
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  const response = await fetch(node.url + path, { method, headers, ...sent });
  return { status: response.status, body: await response.json() };
}

let deadlineMs = Date.now() + 60_000;

/** As a wallet signs it; each with a later deadline than the one before. */
async function signed(account: string): Promise<{ deadlineMs: number; signature: Hex }> {
  deadlineMs += 1;
  const statement = { ledger: node.ledger.id, payee: fromHex(address), account, deadlineMs };
  const data = earningsTypedData({ chainId: 31_337, verifyingContract: new Uint8Array(20) }, statement);
  const domain = { ...data.domain, chainId: BigInt(data.domain.chainId) };
  const message = { ...data.message, deadline: BigInt(deadlineMs) };
  const signature = await wallet.signTypedData({ ...data, domain, message });
  return { deadlineMs, signature };
}

const ask = (secret: string) =>
  call("POST", "/v1/chat/completions", secret, {
    ...{ model: testModel, messages: [{ role: "user", content: "hi" }], max_tokens: 4 },
  });
const bind = (state: "noticed" | "bound") =>
  node.ledger.books.bind({ identity: author, to: padAddress(fromHex(address)), state, proofHash: testId("proof") });
const link = async (id: string, secret: string) =>
  call("PUT", `/api/accounts/${id}/payee`, secret, { payee: address, ...(await signed(id === "me" ? own.id : id)) });
const receiptOf = ({ body }: Called) => Reflect.get(Object(Reflect.get(Object(body), "openledger")), "receipt");

const earners = () => [
  { payee: toHex(padAddress(fromHex(address))), lifetime: "0" },
  { payee: toHex(author), label: "the author" },
];

test("an address that nobody was ever paid at gets no account; with somebody bound to it, it gets one", async () => {
  const path = `/api/payees/${address}/account`;
  const counts = () => [node.ledger.accounts.list().length, node.ledger.accounts.keys().length];
  const before = counts();
  expect(await call("POST", path, undefined, await signed(""))).toMatchObject({ status: 404 });
  for (let i = 0; i < 20; i++) expect((await ask(node.secret)).status).toBe(200);
  unwrap(await bind("noticed"));
  expect(await call("POST", path, undefined, await signed(""))).toMatchObject({ status: 404 });
  unwrap(await bind("bound"));
  const forged = { ...(await signed("")), deadlineMs: deadlineMs + 1 };
  const refused = await call("POST", path, undefined, forged);
  expect(refused).toMatchObject({ status: 422, body: { code: "proof_invalid", field: "signature" } });
  expect(Reflect.get(Object(refused.body), "hint")).toContain(`account "", deadline ${forged.deadlineMs}`);
  expect(counts()).toEqual(before);

  const first = await call("POST", path, undefined, await signed(""));
  expect(first).toMatchObject({
    status: 200,
    body: { account: { earners: earners() }, key: { admin: false } },
  });
  const secret = String(Reflect.get(Object(first.body), "secret"));
  expect((await call("GET", "/api/accounts/me", secret)).body).toMatchObject({ balance: { credited: "0" } });
  const answered = await ask(secret);
  expect(answered.status).toBe(200);
  const receipt = await call("GET", `/api/receipts/${receiptOf(answered)}`);
  expect(receipt.body).toMatchObject({ earner: { payee: toHex(author), label: "the author" } });
  const fee: { amount: number; earned: number } = Reflect.get(Object(receipt.body), "fee");
  expect([fee.earned, fee.earned > 0]).toEqual([fee.amount, true]);

  const again = await call("POST", path, undefined, await signed(""));
  expect(again.status).toBe(200);
  expect((await call("GET", "/api/accounts/me", secret)).status).toBe(401);
  expect(counts()).toEqual([before[0]! + 1, before[1]! + 1]);
});

test("an account is linked and unlinked by its own key or an admin's; then a used proof counts no more", async () => {
  const { id, secret } = own;
  expect((await ask(secret)).status).toBe(402);
  const proof = await signed(id);
  const body = { payee: address, ...proof };
  const path = `/api/accounts/${id}/payee`;
  expect((await call("PUT", path, node.secret, body)).status).toBe(403);
  expect((await call("PUT", "/api/accounts/me/payee", node.secret, body)).status).toBe(422);
  expect(await call("PUT", "/api/accounts/me/payee", secret, body)).toMatchObject({
    status: 200,
    body: { id, payee: toHex(padAddress(fromHex(address))), earners: earners() },
  });
  expect((await call("PUT", path, node.adminSecret, body)).status).toBe(200);
  expect((await ask(secret)).status).toBe(200);
  expect((await call("DELETE", path, node.secret)).status).toBe(403);
  expect(await call("DELETE", path, secret)).toMatchObject({ status: 200, body: {} });
  expect((await ask(secret)).status).toBe(402);
  expect((await call("PUT", path, secret, body)).body).toMatchObject({ code: "conflict", field: "deadlineMs" });
  const shown = (await call("GET", path.replace("/payee", ""), secret)).body;
  expect(shown).not.toHaveProperty("payee");
  expect(shown).not.toHaveProperty("earners");
  expect((await link(id, node.adminSecret)).status).toBe(200);
  expect((await call("DELETE", path, node.adminSecret)).status).toBe(200);
});

test("who is paid may end a link of another's account, and sees nothing of that account", async () => {
  const { id, secret } = own;
  expect((await link("me", secret)).status).toBe(200);
  const made = await call("POST", `/api/payees/${address}/account`, undefined, await signed(""));
  const ownSecret = String(Reflect.get(Object(made.body), "secret"));
  expect((await call("GET", `/api/accounts/${id}`, ownSecret)).status).toBe(403);
  expect(await call("DELETE", `/api/accounts/${id}/payee`, ownSecret)).toEqual({ status: 200, body: {} });
  expect((await ask(secret)).status).toBe(402);
  expect((await call("DELETE", `/api/accounts/${id}/payee`, ownSecret)).status).toBe(403);
});

test("a deadline is of the next day, and of nothing later", async () => {
  const bad = async (inMs: number) => {
    deadlineMs = Date.now() + inMs;
    const answered = await link("me", own.secret);
    return [answered.status, Reflect.get(Object(answered.body), "field")];
  };
  expect([await bad(-1_000), await bad(DAY_MS + 60_000)]).toEqual(Array(2).fill([422, "deadlineMs"]));
});
