import { once } from "node:events";
import { connect } from "node:net";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { openAiErrorSchema, problemSchema } from "../protocol/errors.ts";
import { testDatanets } from "./testing/datanets.ts";
import { publishedJournal } from "./testing/journalFiles.ts";
import { startNode, type TestNode, testId, testModel } from "./testing/node.ts";
import { hello, ScriptedEngine } from "./testing/scriptedEngine.ts";

/** Bad inputs, three or more for each endpoint that takes any: each is refused in the path's own format, and changes nothing. */
let node: TestNode;
let revoked = "";
const engine = new ScriptedEngine(hello);

beforeAll(async () => {
  const journal = publishedJournal(testId("ledger"), [testId("an entry")]);
  const options = { server: { bodyBytesMax: 10_000, hosts: ["ledger.example"] } };
  node = await startNode({ engines: { a: engine }, parts: { datanets: testDatanets(), journal }, options });
  revoked = await node.key();
  const key = node.ledger.accounts.findKey(revoked);
  await node.ledger.accounts.revokeKey(key?.id ?? "");
});
afterAll(() => node.stop());

const user = { role: "user", content: "hi" };
const chat = { model: testModel, messages: [user] };
const text = { model: testModel, prompt: "hi" };
const big = { model: testModel, prompt: "x".repeat(20_000) };
const id24 = "0".repeat(24);
const id32 = "0".repeat(32);
const id64 = "0".repeat(64);

const proof = { deadlineMs: 1, signature: `0x${"11".repeat(65)}` };
const linked = { payee: `0x${"22".repeat(20)}`, ...proof };

type Who = "key" | "admin" | "nobody" | "stranger" | "revoked";
type Row = readonly [who: Who, method: string, path: string, body: unknown, status: number, code: string];

const rows: readonly Row[] = [
  ["nobody", "POST", "/v1/chat/completions", chat, 401, "invalid_api_key"],
  ["stranger", "POST", "/v1/chat/completions", chat, 401, "invalid_api_key"],
  ["revoked", "POST", "/v1/chat/completions", chat, 401, "api_key_revoked"],
  ["key", "POST", "/v1/chat/completions", "{nope", 400, "invalid_request"],
  ["key", "POST", "/v1/chat/completions", [], 400, "invalid_request"],
  ["key", "POST", "/v1/chat/completions", { ...chat, model: "gpt-none" }, 404, "model_not_found"],
  ["key", "POST", "/v1/chat/completions", { ...chat, messages: "hi" }, 400, "invalid_request"],
  ["key", "POST", "/v1/chat/completions", { ...chat, max_tokens: -1 }, 400, "invalid_request"],
  ["key", "POST", "/v1/chat/completions", { ...chat, n: 3 }, 400, "invalid_request"],
  ["key", "POST", "/v1/chat/completions", { ...chat, frequency_penalty: 1 }, 400, "invalid_request"],
  ["key", "PUT", "/v1/chat/completions", chat, 405, "method_not_allowed"],
  ["key", "GET", "/v1/chat/completions", undefined, 405, "method_not_allowed"],
  ["key", "POST", "/v1/completions", { model: testModel }, 400, "invalid_request"],
  ["key", "POST", "/v1/completions", { ...text, temperature: "hot" }, 400, "invalid_request"],
  ["key", "POST", "/v1/completions", { ...text, suffix: "x" }, 400, "invalid_request"],
  ["key", "POST", "/v1/completions", big, 413, "payload_too_large"],
  ["nobody", "GET", "/v1/models", undefined, 401, "invalid_api_key"],
  ["revoked", "GET", "/v1/models", undefined, 401, "api_key_revoked"],
  ["key", "POST", "/v1/models", {}, 405, "method_not_allowed"],
  ["key", "GET", "/v1/models/nope", undefined, 404, "model_not_found"],
  ["key", "DELETE", "/v1/models/npm-docs", undefined, 405, "method_not_allowed"],
  ["key", "GET", "/v1/models/%E0%A4%A", undefined, 404, "not_found"],
  ["key", "GET", "/v1/models/npm%00docs", undefined, 404, "not_found"],
  ["key", "GET", "/v1/nothing", undefined, 404, "not_found"],
  ["key", "GET", "/v1/receipts/xyz", undefined, 400, "invalid_request"],
  ["key", "GET", `/v1/receipts/${id32}`, undefined, 404, "not_found"],
  ["key", "GET", `/v1/receipts/${id32}/promise`, undefined, 404, "not_found"],
  ["key", "GET", `/api/receipts/${id32}0`, undefined, 400, "invalid_request"],
  ["stranger", "GET", `/api/receipts/${id32}`, undefined, 401, "unauthenticated"],
  ["nobody", "GET", `/api/receipts/${id32}`, undefined, 404, "not_found"],
  ["nobody", "GET", `/api/receipts/zz/promise`, undefined, 400, "invalid_request"],
  ["nobody", "GET", `/api/receipts/${id32}/promise`, undefined, 404, "not_found"],
  ["nobody", "POST", `/api/receipts/${id32}/promise`, {}, 405, "method_not_allowed"],
  ["nobody", "GET", "/api/executions/x", undefined, 401, "unauthenticated"],
  ["key", "GET", `/api/executions/${"x".repeat(301)}`, undefined, 400, "invalid_request"],
  ["key", "GET", "/api/executions/x?source=fax", undefined, 400, "invalid_request"],
  ["key", "GET", "/api/executions/x", undefined, 404, "not_found"],
  ["nobody", "GET", "/api/receipts?limit=0", undefined, 400, "invalid_request"],
  ["nobody", "GET", "/api/receipts?limit=many", undefined, 400, "invalid_request"],
  ["nobody", "GET", "/api/datanets/npm-docs/records?q=a%00b", undefined, 400, "invalid_request"],
  ["nobody", "GET", "/api/receipts?mine=true", undefined, 401, "unauthenticated"],
  ["nobody", "GET", "/api/accounts/me", undefined, 401, "unauthenticated"],
  ["key", "GET", "/api/accounts/someone", undefined, 400, "invalid_request"],
  ["key", "GET", `/api/accounts/acct_${id24}`, undefined, 403, "forbidden"],
  ["admin", "GET", `/api/accounts/acct_${id24}`, undefined, 404, "not_found"],
  ["nobody", "PUT", "/api/accounts/me/payee", linked, 401, "unauthenticated"],
  ["key", "PUT", "/api/accounts/me/payee", { ...linked, payee: id64 }, 400, "invalid_request"],
  ["key", "PUT", "/api/accounts/me/payee", { ...linked, signature: `0x${id64}${id64}` }, 400, "invalid_request"],
  ["key", "PUT", "/api/accounts/me/payee", { ...linked, account: "me" }, 400, "invalid_request"],
  ["key", "PUT", "/api/accounts/me/payee", "{nope", 400, "invalid_request"],
  ["key", "PUT", "/api/accounts/me/payee", linked, 422, "proof_invalid"],
  ["key", "PUT", `/api/accounts/acct_${id24}/payee`, linked, 403, "forbidden"],
  ["admin", "PUT", `/api/accounts/acct_${id24}/payee`, linked, 404, "not_found"],
  ["nobody", "DELETE", "/api/accounts/me/payee", undefined, 401, "unauthenticated"],
  ["key", "DELETE", "/api/accounts/mine/payee", undefined, 400, "invalid_request"],
  ["key", "DELETE", `/api/accounts/acct_${id24}/payee`, undefined, 403, "forbidden"],
  ["admin", "DELETE", `/api/accounts/acct_${id24}/payee`, undefined, 404, "not_found"],
  ["nobody", "POST", `/api/payees/${id64}/account`, proof, 400, "invalid_request"],
  ["nobody", "POST", `/api/payees/${linked.payee}/account`, {}, 400, "invalid_request"],
  ["nobody", "POST", `/api/payees/${linked.payee}/account`, { ...proof, deadlineMs: -1 }, 400, "invalid_request"],
  ["nobody", "POST", `/api/payees/${linked.payee}/account`, proof, 404, "not_found"],
  ["nobody", "GET", `/api/payees/${linked.payee}/account`, undefined, 405, "method_not_allowed"],
  ["nobody", "GET", "/api/receipts/zz/explanation", undefined, 400, "invalid_request"],
  ["stranger", "GET", `/api/receipts/${id32}/explanation`, undefined, 401, "unauthenticated"],
  ["key", "GET", `/api/receipts/${id32}/explanation`, undefined, 404, "not_found"],
  ["nobody", "GET", "/api/accounts/me/statement", undefined, 401, "unauthenticated"],
  ["key", "GET", "/api/accounts/me/statement?limit=x", undefined, 400, "invalid_request"],
  ["key", "GET", `/api/accounts/acct_${id24}/statement`, undefined, 403, "forbidden"],
  ["nobody", "GET", "/api/payees/1/statement", undefined, 400, "invalid_request"],
  ["nobody", "GET", `/api/payees/${id64}/statement?fromMs=-1`, undefined, 400, "invalid_request"],
  ["nobody", "POST", `/api/payees/${id64}/statement`, {}, 405, "method_not_allowed"],
  ["key", "POST", "/api/accounts", { name: "x" }, 403, "forbidden"],
  ["admin", "POST", "/api/accounts", { name: "" }, 400, "invalid_request"],
  ["admin", "POST", "/api/accounts", { name: 7 }, 400, "invalid_request"],
  ["key", "POST", "/api/accounts/me/credit", { amount: 5, key: "k" }, 403, "forbidden"],
  ["admin", "POST", "/api/accounts/me/credit", { amount: -5, key: "k" }, 400, "invalid_request"],
  ["admin", "POST", "/api/accounts/me/credit", { amount: 0.5, key: "k" }, 400, "invalid_request"],
  ["admin", "POST", "/api/accounts/me/credit", { amount: 5 }, 400, "invalid_request"],
  ["nobody", "GET", "/api/keys", undefined, 401, "unauthenticated"],
  ["stranger", "GET", "/api/keys", undefined, 401, "unauthenticated"],
  ["revoked", "GET", "/api/keys", undefined, 401, "key_revoked"],
  ["key", "POST", "/api/keys", { account: `acct_${id24}`, name: "x" }, 403, "forbidden"],
  ["admin", "POST", "/api/keys", { account: "acct_1", name: "x" }, 400, "invalid_request"],
  ["admin", "POST", "/api/keys", { account: `acct_${id24}`, name: "x" }, 404, "not_found"],
  [
    "admin",
    "POST",
    "/api/keys",
    { account: `acct_${id24}`, name: "x", limits: { inFlight: 0 } },
    400,
    "invalid_request",
  ],
  ["nobody", "DELETE", `/api/keys/key_${id24}`, undefined, 401, "unauthenticated"],
  ["key", "DELETE", "/api/keys/mine", undefined, 400, "invalid_request"],
  ["key", "DELETE", `/api/keys/key_${id24}`, undefined, 404, "not_found"],
  ["nobody", "GET", "/api/datanets/nope", undefined, 404, "not_found"],
  ["nobody", "GET", "/api/datanets/..%2Fsecret", undefined, 400, "invalid_request"],
  ["nobody", "DELETE", "/api/datanets/npm-docs", undefined, 405, "method_not_allowed"],
  ["nobody", "GET", "/api/datanets/nope/versions", undefined, 404, "not_found"],
  ["nobody", "GET", "/api/datanets/npm-docs/diff", undefined, 400, "invalid_request"],
  ["nobody", "GET", "/api/datanets/npm-docs/diff?from=0&to=1", undefined, 400, "invalid_request"],
  ["nobody", "GET", "/api/datanets/nope/diff?from=1&to=2", undefined, 404, "not_found"],
  ["nobody", "GET", "/api/datanets/npm-docs/records?limit=5000", undefined, 400, "invalid_request"],
  ["nobody", "GET", "/api/datanets/npm-docs/records?offset=-1", undefined, 400, "invalid_request"],
  ["nobody", "GET", "/api/datanets/nope/records", undefined, 404, "not_found"],
  ["nobody", "GET", "/api/datanets/nope/contributors", undefined, 404, "not_found"],
  ["nobody", "GET", "/api/datanets/npm-docs/contributions?state=lost", undefined, 400, "invalid_request"],
  [
    "key",
    "POST",
    "/api/datanets/npm-docs/contributions/c1/review",
    { decision: "approve", reason: "good" },
    403,
    "forbidden",
  ],
  [
    "admin",
    "POST",
    "/api/datanets/npm-docs/contributions/c1/review",
    { decision: "maybe", reason: "good" },
    400,
    "invalid_request",
  ],
  [
    "admin",
    "POST",
    "/api/datanets/npm-docs/contributions/c1/review",
    { decision: "reject", reason: "" },
    400,
    "invalid_request",
  ],
  [
    "admin",
    "POST",
    "/api/datanets/npm-docs/contributions/c9/review",
    { decision: "reject", reason: "why" },
    404,
    "not_found",
  ],
  ["nobody", "GET", "/api/epochs/one", undefined, 400, "invalid_request"],
  ["nobody", "GET", "/api/epochs/7", undefined, 404, "not_found"],
  ["key", "POST", "/api/epochs", {}, 403, "forbidden"],
  ["admin", "POST", "/api/epochs", {}, 404, "not_found"],
  ["key", "POST", `/api/receipts/${id32}/corrections`, { reason: "refund", key: "k" }, 403, "forbidden"],
  ["admin", "POST", `/api/receipts/${id32}/corrections`, { reason: "whim", key: "k" }, 400, "invalid_request"],
  ["admin", "POST", `/api/receipts/${id32}/corrections`, { reason: "refund", key: "k" }, 404, "not_found"],
  ["admin", "POST", `/api/receipts/${id32}/corrections`, { reason: "refund", key: "\0" }, 400, "invalid_request"],
  ["key", "POST", "/api/epochs/1/funding", { reference: "x" }, 403, "forbidden"],
  ["admin", "POST", "/api/epochs/1/funding", {}, 400, "invalid_request"],
  ["admin", "POST", "/api/epochs/1/funding", { reference: "x" }, 409, "conflict"],
  ["key", "POST", "/api/epochs/1/settlement", { reference: "x" }, 403, "forbidden"],
  ["admin", "POST", "/api/epochs/one/settlement", { reference: "x" }, 400, "invalid_request"],
  ["admin", "POST", "/api/epochs/1/settlement", { reference: "x" }, 409, "conflict"],
  ["nobody", "GET", `/api/epochs/x/payouts/${id64}`, undefined, 400, "invalid_request"],
  ["nobody", "GET", "/api/epochs/1/payouts/alice", undefined, 400, "invalid_request"],
  ["nobody", "GET", `/api/epochs/1/payouts/${id64}`, undefined, 404, "not_found"],
  ["nobody", "GET", `/api/epochs/1/debits/${id64}`, undefined, 404, "not_found"],
  ["nobody", "GET", "/api/epochs/1/postings/-1", undefined, 400, "invalid_request"],
  ["nobody", "GET", "/api/epochs/1/postings/3", undefined, 404, "not_found"],
  ["nobody", "GET", "/api/proofs/inclusion/1.5", undefined, 400, "invalid_request"],
  ["nobody", "GET", "/api/proofs/inclusion/9", undefined, 404, "not_found"],
  ["nobody", "GET", "/api/proofs/inclusion/0?size=7", undefined, 404, "not_found"],
  ["nobody", "GET", "/api/claims/alice", undefined, 400, "invalid_request"],
  ["nobody", "GET", `/api/claims/${id64}`, undefined, 404, "not_found"],
  ["nobody", "POST", `/api/claims/${id64}`, {}, 405, "method_not_allowed"],
  ["nobody", "GET", "/api/models/nope", undefined, 404, "model_not_found"],
  ["key", "POST", "/api/operators/a/drain", { draining: true }, 403, "forbidden"],
  ["admin", "POST", "/api/operators/a/drain", { draining: "yes" }, 400, "invalid_request"],
  ["admin", "POST", "/api/operators/nobody/drain", { draining: true }, 404, "not_found"],
  ["nobody", "GET", "/journal/../package.json", undefined, 404, "not_found"],
  ["nobody", "GET", "/journal/..%2f..%2fetc%2fpasswd", undefined, 404, "not_found"],
  ["nobody", "GET", "/journal/tile/0/x001/000", undefined, 404, "not_found"],
  ["nobody", "GET", "/journal/tile/entries/000.p/300", undefined, 404, "not_found"],
  ["nobody", "GET", "/", undefined, 404, "not_found"],
  ["nobody", "POST", "/api/health", {}, 405, "method_not_allowed"],
];

test.each(rows)("%s %s %s %j → %d %s", async (who, method, path, body, status, code) => {
  const before = stateOf();
  const secret = { key: node.secret, admin: node.adminSecret, stranger: "ol_who", revoked, nobody: undefined }[who];
  const response = await fetch(node.url + path, {
    method,
    headers: {
      ...(secret && { authorization: `Bearer ${secret}` }),
      ...(body !== undefined && { "content-type": "application/json" }),
    },
    ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const answer: unknown = await response.json();
  expect([response.status, codeOf(path, answer)]).toEqual([status, code]);
  expect(response.headers.get("x-request-id")).toMatch(/^req_/);
  if (status === 405) expect(response.headers.get("allow")).toMatch(/[A-Z]/);
  expect(stateOf()).toEqual(before);
});

test.each([["application/x-www-form-urlencoded"], ["text/plain"], [""]])(
  "a body sent as %j is refused",
  async (type) => {
    const before = stateOf();
    const headers = { authorization: `Bearer ${node.secret}`, "content-type": type };
    const response = await fetch(`${node.url}/v1/chat/completions`, {
      method: "POST",
      headers,
      body: JSON.stringify(chat),
    });
    expect(response.status).toBe(415);
    expect(stateOf()).toEqual(before);
  },
);

test.each([
  ["that is not UTF-8", Buffer.from([0x22, 0xff, 0x22]), {}, 400],
  ["that is packed", gzipSync(JSON.stringify(chat)), { "content-encoding": "gzip" }, 415],
  ["whose payer's wish cannot be read", JSON.stringify(chat), { "openledger-audit": "Forbid" }, 400],
  ["whose payer's other wish cannot be read", JSON.stringify(chat), { "openledger-lineage": "no" }, 400],
])("a body %s is refused", async (_, body, more, status) => {
  const before = stateOf();
  const headers = { authorization: `Bearer ${node.secret}`, "content-type": "application/json", ...more };
  const response = await fetch(`${node.url}/v1/chat/completions`, { method: "POST", headers, body });
  expect(response.status).toBe(status);
  expect(openAiErrorSchema.parse(await response.json()).error.type).toBe("invalid_request_error");
  expect(stateOf()).toEqual(before);
});

test.each([["a b"], ["x".repeat(201)], ["grün"]])("the idempotency key %j is refused", async (key) => {
  const headers = { authorization: `Bearer ${node.secret}`, "content-type": "application/json" };
  const raw = await rawRequest(`idempotency-key: ${key}\r\n`, headers, JSON.stringify(chat));
  expect(raw).toMatch(/^HTTP\/1\.1 400 /);
  expect(raw).toContain("idempotency-key");
});

test.each([["evil.example"], ["evil.example:80"], ["127.0.0.1.evil.example"]])(
  "the host %s is not ours",
  async (host) => {
    const raw = await send(`GET /api/health HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`);
    expect(raw).toMatch(/^HTTP\/1\.1 403 /);
  },
);

test.each([["ledger.example"], ["Ledger.Example:8443"], ["localhost:1"], ["[::1]:4242"], ["127.0.0.1"]])(
  "the host %s is ours",
  async (host) => {
    const raw = await send(`GET /api/health HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`);
    expect(raw).toMatch(/^HTTP\/1\.1 200 /);
  },
);

test.each([
  ["not HTTP", "hello\r\n\r\n", 400],
  ["headers too large", `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${"y".repeat(20_000)}\r\n\r\n`, 431],
  ["no host", "GET /api/health HTTP/1.1\r\n\r\n", 400],
])("%s", async (_, text, status) => {
  expect(await send(text)).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
});

test("a body that is announced too large is refused before it is sent, and the answer arrives though the body is sent on", async () => {
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${node.secret}\r\n`;
  const { port, hostname } = new URL(node.url);
  const socket = connect(Number(port), hostname);
  onTestFinished(() => void socket.destroy());
  socket.write(`${head}content-type: application/json\r\ncontent-length: 20000000\r\n\r\n`);
  const [answer] = await once(socket, "data");
  expect(String(answer)).toMatch(/^HTTP\/1\.1 413 /);
  socket.write("x".repeat(20_000_000));
  // A connection that was reset answers nothing more.
  socket.write("GET /api/health HTTP/1.1\r\nhost: localhost\r\n\r\n");
  const [next] = await once(socket, "data");
  expect(String(next)).toMatch(/^HTTP\/1\.1 200 /);
});

test("a body that turns out too large is refused, and its caller hears so", async () => {
  const headers = { authorization: `Bearer ${node.secret}`, "content-type": "application/json" };
  const body = new ReadableStream({
    pull: (to) => (sent++ < 300 ? to.enqueue(new Uint8Array(65_536)) : to.close()),
  });
  let sent = 0;
  const request = { method: "POST", headers, body, duplex: "half" } as const;
  const response = await fetch(`${node.url}/v1/chat/completions`, request);
  expect(response.status).toBe(413);
});

test("no page of another origin may read an answer, and no log line holds a secret", async () => {
  const response = await fetch(`${node.url}/api/health`, { headers: { origin: "https://evil.example" } });
  expect(response.headers.get("access-control-allow-origin")).toBeNull();
  const preflight = await fetch(`${node.url}/v1/models`, {
    method: "OPTIONS",
    headers: { origin: "https://evil.example" },
  });
  expect(preflight.status).toBe(405);
  const log = JSON.stringify(node.log);
  for (const secret of [node.secret, node.adminSecret, revoked, "ol_who"]) expect(log).not.toContain(secret);
});

/** All that a refused request might have changed. */
function stateOf(): unknown {
  const { ledger } = node;
  const counts = [
    ledger.holds.count(),
    ledger.books.size(),
    ledger.accounts.list().length,
    ledger.accounts.keys().length,
  ];
  const revokedKeys = ledger.accounts.keys().filter((key) => key.revokedMs !== undefined).length;
  const states = node.gateway.operators.views(Date.now()).map((view) => view.state);
  return { counts, revokedKeys, states, balance: ledger.accounts.balance(node.account), asked: engine.requests.length };
}

function codeOf(path: string, body: unknown): string | null {
  return path.startsWith("/v1/") ? openAiErrorSchema.parse(body).error.code : problemSchema.parse(body).code;
}

function rawRequest(extra: string, headers: Record<string, string>, body: string): Promise<string> {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: ${body.length}\r\n`;
  return send(`${head}${lines.join("")}${extra}\r\n${body}`);
}

function send(text: string): Promise<string> {
  const { port, hostname } = new URL(node.url);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname, () => socket.write(text));
    let received = "";
    socket.on("data", (part) => {
      received += part.toString();
    });
    socket.on("close", () => resolve(received));
    socket.on("error", () => resolve(received));
  });
}
