import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { fromHex, parseHex, toHex } from "../core/bytes.ts";
import { leafHash, verifyInclusion } from "../core/merkle.ts";
import { closedEpochSchema, inclusionSchema } from "../protocol/epochs.ts";
import { problemSchema } from "../protocol/errors.ts";
import { receiptDetailSchema, receiptListSchema } from "../protocol/receipts.ts";
import { checkOpening } from "./opening.ts";
import { testDatanets } from "./testing/datanets.ts";
import { publishedJournal } from "./testing/journalFiles.ts";
import { startNode, type TestNode, testGrounding, testId, testModel } from "./testing/node.ts";
import { hello, ScriptedEngine } from "./testing/scriptedEngine.ts";

const entries = Array.from({ length: 700 }, (_, i) => new Uint8Array(20).fill(i % 251));
const journal = publishedJournal(testId("ledger"), entries);
let node: TestNode;
let receipt = "";

beforeAll(async () => {
  const labels = (payee: Uint8Array) => (toHex(payee) === toHex(testId("author")) ? "npm:a" : undefined);
  const epochs = { close: async () => ({ ok: true as const, value: { epoch: 1, journalSize: 5 } }) };
  const parts = { datanets: testDatanets(), journal, labels, epochs };
  node = await startNode({ engines: { a: new ScriptedEngine(hello) }, parts, model: { grounding: testGrounding() } });
  const response = await fetch(`${node.url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${node.secret}`, "content-type": "application/json" },
    body: JSON.stringify({ model: testModel, messages: [{ role: "user", content: "a private question" }] }),
  });
  receipt = response.headers.get("openledger-receipt") ?? "";
});
afterAll(() => node.stop());

async function call(
  path: string,
  secret?: string,
  method = "GET",
  body?: object,
): Promise<{ status: number; body: unknown; headers: Headers }> {
  const headers = {
    ...(secret && { authorization: `Bearer ${secret}` }),
    ...(body && { "content-type": "application/json" }),
  };
  const response = await fetch(node.url + path, { method, headers, ...(body && { body: JSON.stringify(body) }) });
  const isJson = (response.headers.get("content-type") ?? "").includes("json");
  return {
    status: response.status,
    body: isJson ? await response.json() : await response.text(),
    headers: response.headers,
  };
}

test("every GET without parameters answers what its schema in the OpenAPI document says", async () => {
  const document = (await call("/api/openapi.json")).body;
  const paths = Reflect.get(Object(document), "paths");
  const plainPaths = Object.keys(Object(paths)).filter(
    (path) => !path.includes("{") && Reflect.get(Object(paths[path]), "get"),
  );
  expect(plainPaths.length).toBeGreaterThan(10);
  for (const path of plainPaths) expect([path, (await call(path, node.adminSecret)).status]).toEqual([path, 200]);
});

test("the OpenAPI document names every route, with its security and its errors", async () => {
  const { body } = await call("/api/openapi.json");
  expect(body).toMatchObject({ openapi: "3.1.0", components: { securitySchemes: { key: { scheme: "bearer" } } } });
  expect(body).toMatchObject({
    paths: {
      "/v1/chat/completions": { post: { security: [{ key: [] }], requestBody: { required: true } } },
      "/api/receipts/{id}": { get: { parameters: [{ name: "id", in: "path" }], security: [{ key: [] }, {}] } },
      "/api/datanets/{name}/records": {
        get: { parameters: expect.arrayContaining([expect.objectContaining({ name: "q" })]) },
      },
      "/journal/{path}": { get: {} },
    },
  });
});

test("a receipt shows its route to everybody, and opens for the payer alone", async () => {
  const open = receiptDetailSchema.parse((await call(`/api/receipts/${receipt}`, node.secret)).body);
  expect(open.opening?.prompt).toContain("a private question");
  expect(open.opening?.answer).toBe("Hello, world!");
  expect(open.legs.find((leg) => leg.role === "contributor")).toMatchObject({ label: "npm:a", weight: 750_000 });
  expect(open.legs.reduce((sum, leg) => sum + leg.amount, 0)).toBe(open.fee.own);
  const stored = await node.ledger.books.receipt(fromHex(receipt));
  if (open.opening !== undefined && stored !== undefined) {
    expect(checkOpening(open.opening, stored.receipt).ok).toBe(true);
    expect(checkOpening({ ...open.opening, answer: "Hello, world?" }, stored.receipt).ok).toBe(false);
  }
  const stranger = await node.key({ funds: 5 });
  for (const secret of [undefined, stranger]) {
    const { body } = await call(`/api/receipts/${receipt}`, secret);
    expect(JSON.stringify(body)).not.toContain("private");
    expect(receiptDetailSchema.parse(body).legs).toEqual(open.legs);
  }
  expect((await call(`/v1/receipts/${receipt}`, node.adminSecret)).body).toMatchObject({
    opening: { answer: "Hello, world!" },
  });
});

test("lists receipts, all or mine, and hands out the promise", async () => {
  const all = receiptListSchema.parse((await call("/api/receipts?limit=1")).body);
  expect(all.data.map((one) => one.id)).toEqual([receipt]);
  const stranger = await node.key({ funds: 5 });
  expect((await call("/api/receipts?mine=true", stranger)).body).toEqual({ data: [] });
  expect((await call(`/api/receipts/${receipt}/promise`)).body).toMatchObject({
    receipt,
    amount: all.data[0]?.fee.amount,
  });
});

test("accounts, credit, keys", async () => {
  const made = await call("/api/accounts", node.adminSecret, "POST", { name: "new" });
  const id = String(Reflect.get(Object(made.body), "id"));
  const credit = { amount: 500, key: "gift", note: "welcome" };
  await call(`/api/accounts/${id}/credit`, node.adminSecret, "POST", credit);
  const twice = await call(`/api/accounts/${id}/credit`, node.adminSecret, "POST", credit);
  expect(twice.body).toMatchObject({ credited: "500", available: "500" });
  const key = await call("/api/keys", node.adminSecret, "POST", { account: id, name: "k", limits: { inFlight: 2 } });
  const secret = String(Reflect.get(Object(key.body), "secret"));
  const keyId = String(Reflect.get(Object(Reflect.get(Object(key.body), "key")), "id"));
  expect((await call("/api/accounts/me", secret)).body).toMatchObject({ id, balance: { available: "500" } });
  expect(JSON.stringify((await call("/api/keys", secret)).body)).not.toContain(secret);
  expect((await call(`/api/keys/${keyId}`, secret, "DELETE")).body).toMatchObject({ revokedMs: expect.any(Number) });
  expect((await call("/api/accounts/me", secret)).status).toBe(401);
});

test("a statement explains what was spent by its receipt", async () => {
  const { body } = await call("/api/accounts/me/statement", node.secret);
  expect(body).toMatchObject({ lines: [{ kind: "spent", receipt, amount: -201 }], total: "-201", truncated: false });
});

test("datanets: search, diff, review once", async () => {
  expect((await call("/api/datanets/npm-docs/records?q=beta")).body).toMatchObject({
    total: 1,
    data: [{ title: "beta" }],
  });
  expect((await call("/api/datanets/npm-docs/diff?from=1&to=2")).body).toMatchObject({ added: ["r1"] });
  const review = (decision: string) =>
    call("/api/datanets/npm-docs/contributions/c1/review", node.adminSecret, "POST", { decision, reason: "well made" });
  expect((await review("approve")).body).toMatchObject({ state: "approved", reason: "well made", by: node.account });
  expect((await review("reject")).status).toBe(409);
});

test("what only a test world has says so", async () => {
  const { status, body } = await call("/api/test/clock");
  expect([status, problemSchema.parse(body).hint]).toEqual([404, expect.stringContaining("openledger up --test")]);
});

test("claims, epochs, rhythm, pressure, health", async () => {
  const author = toHex(testId("author"));
  expect((await call(`/api/claims/${author}`)).body).toMatchObject({
    payee: author,
    label: "npm:a",
    lifetime: expect.stringMatching(/^[1-9]/),
  });
  expect(closedEpochSchema.parse((await call("/api/epochs", node.adminSecret, "POST", {})).body)).toEqual({
    epoch: 1,
    journalSize: 5,
  });
  expect((await call("/api/rhythm")).body).toMatchObject({
    lastDay: { executions: 1, compensations: 1, distributed: "201" },
  });
  expect((await call("/api/pressure")).body).toMatchObject({
    waiting: 0,
    holds: { count: 0, total: "0" },
    operators: [{ name: "a", served: 1 }],
  });
  expect((await call("/api/health")).body).toMatchObject({ status: "ok" });
  expect((await call("/api/totals")).body).toMatchObject({ debited: "201", credited: "201", held: "0" });
  expect((await call("/api/models/npm-docs")).body).toMatchObject({
    datanets: ["npm-docs"],
    operators: [{ name: "a", state: "up" }],
  });
});

test("draining an operator is seen at once", async () => {
  await call("/api/operators/a/drain", node.adminSecret, "POST", { draining: true });
  expect((await call("/api/operators")).body).toMatchObject({ data: [{ state: "draining" }] });
  await call("/api/operators/a/drain", node.adminSecret, "POST", { draining: false });
  expect((await call("/api/operators")).body).toMatchObject({ data: [{ state: "up" }] });
});

test("metrics speak Prometheus and name the model", async () => {
  const { body, headers } = await call("/metrics");
  expect(headers.get("content-type")).toContain("text/plain");
  expect(body).toContain(`openledger_executions_total{gen_ai_request_model="npm-docs",outcome="whole"} 1`);
  expect(body).toContain(
    `gen_ai_client_token_usage_total{gen_ai_request_model="npm-docs",gen_ai_token_type="output"} 4`,
  );
  expect(body).toContain("openledger_holds 0");
});

test("the journal is served as files: tiles for ever, the checkpoint never cached", async () => {
  const tile = await fetch(`${node.url}/journal/tile/0/001`);
  expect(tile.headers.get("cache-control")).toContain("immutable");
  expect((await tile.arrayBuffer()).byteLength).toBe(256 * 32);
  const checkpoint = await fetch(`${node.url}/journal/checkpoint`);
  expect(checkpoint.headers.get("cache-control")).toBe("no-cache");
  expect(await checkpoint.text()).toContain("\n700\n");
});

test.each([["../checkpoint"], ["tile/0/../../x"], ["%2e%2e/secret"], ["tile/0/1"], ["tile/entries/000.p/0"]])(
  "the path %s never reaches the disk",
  async (path) => {
    journal.asked.length = 0;
    expect((await fetch(`${node.url}/journal/${path}`)).status).toBe(404);
    expect(journal.asked).toEqual([]);
  },
);

test.each([
  [0, 700],
  [255, 256],
  [256, 257],
  [699, 700],
  [300, 512],
])("the audit path of entry %d in the tree of %d holds", async (seq, size) => {
  const proof = inclusionSchema.parse((await call(`/api/proofs/inclusion/${seq}?size=${size}`)).body);
  const path = proof.path.map((hash) => parseHex(hash) ?? new Uint8Array());
  const holds = (entry: Uint8Array) => verifyInclusion(fromHex(proof.root), size, seq, leafHash(entry), path);
  expect(holds(entries[seq]!)).toBe(true);
  expect(holds(new Uint8Array(1))).toBe(false);
});

test("a bug of ours is told in the path's own error format, without its words", async () => {
  const broken = { ...testDatanets(), list: () => Promise.reject(new Error("inner words")) };
  const other = await startNode({ engines: {}, parts: { datanets: broken } });
  onTestFinished(() => other.stop());
  const response = await fetch(`${other.url}/api/datanets`);
  const id = response.headers.get("x-request-id");
  expect([response.status, response.headers.get("content-type")]).toEqual([500, "application/problem+json"]);
  expect(problemSchema.parse(await response.json())).toMatchObject({
    ...{ status: 500, code: "internal_error", instance: `request:${id}` },
    detail: expect.not.stringContaining("inner"),
  });
  expect(other.log.find((line) => line.fields["request"] === id)?.fields["error"]).toContain("inner words");
});
