import { connect } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ok, refuse } from "../core/result.ts";
import type { BindingView } from "../protocol/workshop.ts";
import { startNode, type TestNode } from "./testing/node.ts";
import type { Workshop } from "./workshop.ts";

/** A workshop that remembers what it was asked, and answers what it is told to. */
const asked: unknown[][] = [];
let contributed = true;
const hex = `0x${"1".repeat(64)}` as const;
const datanet = { id: hex, name: "d", summary: "s", tags: [], licence: "MIT", records: 0, contributors: 0, version: 0 };
const prices = { inPerMillion: 0, outPerMillion: 0, perCall: 0 };
const binding: BindingView = {
  ...{ datanet: "d", identity: "npm:x", payee: hex, state: "noticed", to: null, proofHash: hex },
  ...{ noticedMs: 1, noticeEndsMs: 2, changedMs: 1 },
};
const noted =
  <A extends unknown[], T>(name: string, answer: () => T) =>
  async (...args: A): Promise<T> => {
    asked.push([name, ...args]);
    return answer();
  };
const workshop: Workshop = {
  createDatanet: noted("create", () => ok(datanet)),
  contribute: noted("contribute", () =>
    ok({ isNew: contributed, id: hex, status: "pending", number: 1, records: 1, leftOut: [] }),
  ),
  publish: noted("publish", () => ok({ version: 1, contentRoot: hex, records: 1, contributions: 1, createdMs: 1 })),
  context: noted("context", () => ok({ datanet: "d", versions: [] })),
  exportFile: noted("export", () => ok(new TextEncoder().encode("{}\n"))),
  restore: noted("restore", () => ok({ name: "d", records: 1, contributions: 1, versions: 1 })),
  createModel: noted("model", () =>
    ok({
      ...{
        name: "m",
        asset: hex,
        owner: "d",
        contextTokens: 1,
        retrievedTokensMax: 0,
        unit: "nano",
        royalty: prices,
        datanets: ["d"],
      },
      ...{ indexId: hex, methodsHash: hex, operators: [] },
    }),
  ),
  importModels: noted("import", () => []),
  bindings: noted("bindings", () => [binding]),
  notice: noted("notice", () => ok(binding)),
  refuse: noted("refuse", () => ok(binding)),
  claim: noted("claim", () => refuse("nothing_to_claim", "all of it was claimed")),
  trust: () => ({ ledger: hex, chainId: 1, settlement: hex.slice(0, 42), signer: hex.slice(0, 42), logKey: hex }),
};

let node: TestNode;
beforeAll(async () => {
  node = await startNode({ engines: {}, parts: { workshop: () => workshop } });
});
afterAll(() => node.stop());

async function call(method: string, path: string, body?: unknown, key = node.adminSecret) {
  const response = await fetch(node.url + path, {
    ...{ method, headers: { authorization: `Bearer ${key}`, "content-type": "application/json" } },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const parsed: unknown = JSON.parse(await response.text());
  return { status: response.status, type: response.headers.get("content-type"), body: parsed };
}

const record = { title: "t", headingPath: [], text: "text", source: "s", licence: "MIT", date: null, authors: [] };
const contribution = { label: "l", licence: "MIT", records: [record] };
const address = `0x${"1".repeat(40)}`;
const notice = { identity: "npm:x", address, proof: { kind: "funding_json" } };
const files = { "metadata.json": "{}", "records.jsonl": "", "contributions.jsonl": "", "versions.jsonl": "" };
const draft = { name: "d", summary: "s", licence: "MIT" };

test.each<[string, string, unknown, number, unknown[]]>([
  ["POST", "/api/datanets", draft, 201, ["create", draft]],
  ["POST", "/api/datanets/d/contributions", contribution, 201, ["contribute", "d", contribution]],
  ["POST", "/api/datanets/d/versions", {}, 201, ["publish", "d"]],
  ["GET", "/api/datanets/d/export/records.jsonl", undefined, 200, ["export", "d", "records.jsonl"]],
  ["POST", "/api/datanets/restore", { files }, 201, ["restore", files]],
  ["POST", "/api/models", { name: "m", datanet: "d" }, 201, ["model", { name: "m", datanet: "d" }]],
  ["GET", "/api/bindings", undefined, 200, ["bindings"]],
  ["POST", "/api/datanets/d/bindings", notice, 201, ["notice", "d", notice]],
  [
    ...(["POST", "/api/datanets/d/bindings/refuse", { identity: "npm:x", proof: notice.proof }, 200] as const),
    ["refuse", "d", { identity: "npm:x", proof: notice.proof }],
  ],
])("%s %s", async (method, path, body, status, expected) => {
  asked.length = 0;
  expect((await call(method, path, body)).status).toBe(status);
  expect(asked).toEqual([expected]);
});

test("the same contribution again is 200, not 201", async () => {
  contributed = false;
  expect(await call("POST", "/api/datanets/d/contributions", contribution)).toMatchObject({
    ...{ status: 200, body: { id: hex, status: "pending" } },
  });
  contributed = true;
});

test.each<[string, string, unknown, number, string]>([
  ["POST", "/api/datanets", {}, 400, "name"],
  ["POST", "/api/datanets", { ...draft, name: "D d" }, 400, "name"],
  ["POST", "/api/datanets", { ...draft, rules: { review: "never" } }, 400, "rules.review"],
  ["POST", "/api/datanets/d/contributions", { ...contribution, records: [] }, 400, "records"],
  ["POST", "/api/datanets/d/contributions", { ...contribution, label: "" }, 400, "label"],
  ["POST", "/api/datanets/d/contributions", { ...contribution, records: [{ text: "t" }] }, 400, "records.0"],
  ["GET", "/api/datanets/d/export/secret", undefined, 400, "file"],
  ["GET", "/api/datanets/d/export/..%2F..%2Fetc", undefined, 400, "file"],
  ["POST", "/api/datanets/d/versions", undefined, 400, ""],
  ["POST", "/api/datanets/restore", {}, 400, "files"],
  ["POST", "/api/datanets/restore", { files: { "metadata.json": "{}" } }, 400, "files.records.jsonl"],
  ["POST", "/api/datanets/restore", { files: [] }, 400, "files"],
  ["POST", "/api/models", { name: "m" }, 400, "datanet"],
  ["POST", "/api/models", { name: "m", datanet: "d", version: 0 }, 400, "version"],
  ["POST", "/api/models", { name: "m", datanet: "d", parentsBps: 10_001 }, 400, "parentsBps"],
  ["POST", "/api/datanets/d/bindings", { ...notice, address: "me" }, 400, "address"],
  ["POST", "/api/datanets/d/bindings", { ...notice, proof: { kind: "word" } }, 400, "proof"],
  [
    "POST",
    "/api/datanets/d/bindings",
    { ...notice, proof: { kind: "signed_commit", commit: "§" } },
    400,
    "proof.commit",
  ],
  ["POST", "/api/datanets/d/bindings/refuse", { identity: "npm:x" }, 400, "proof"],
  ["POST", "/api/datanets/d/bindings/refuse", { proof: notice.proof }, 400, "identity"],
  ["POST", "/api/datanets/d/bindings/refuse", {}, 400, "identity"],
  ["POST", "/api/claims/12", {}, 400, "payee"],
  [...(["POST", `/api/claims/${"1".repeat(64)}`, {}, 409, ""] as const)],
])("%s %s %j is refused with %i at %s", async (method, path, body, status, field) => {
  asked.length = 0;
  const reply = await call(method, path, body);
  expect(reply).toMatchObject({ status, type: "application/problem+json" });
  if (field !== "") expect(reply.body).toMatchObject({ field: expect.stringContaining(field) });
  if (status === 400) expect(asked).toEqual([]);
});

test("all but the ledger's keys ask for an admin key", async () => {
  asked.length = 0;
  for (const [method, path] of [
    ...([
      ["POST", "/api/datanets"],
      ["GET", "/api/accounts"],
      ["GET", "/api/bindings"],
    ] as const),
    ...([
      ["GET", "/api/datanets/d/export/records.jsonl"],
      ["POST", "/api/models"],
    ] as const),
    ["POST", `/api/claims/${"1".repeat(64)}`] as const,
  ]) {
    expect((await call(method, path, method === "POST" ? {} : undefined, node.secret)).status).toBe(403);
    expect((await call(method, path, method === "POST" ? {} : undefined, "ol_none")).status).toBe(401);
  }
  expect(asked).toEqual([]);
  expect(await (await fetch(`${node.url}/api/ledger`)).json()).toMatchObject({ ledger: hex, chainId: 1 });
});

test("an admin sees every account with its balance", async () => {
  const reply = await call("GET", "/api/accounts");
  expect(reply).toMatchObject({
    status: 200,
    body: { data: [{ id: node.account, balance: { credited: "1000000000" } }] },
  });
});

const exported = (bytes: number) => ({
  files: { "metadata.json": "{}", "records.jsonl": "x".repeat(bytes), "contributions.jsonl": "", "versions.jsonl": "" },
});

test("an export above the usual limit of a body is taken in, one above its own is not, and nothing else is that large", async () => {
  expect((await call("POST", "/api/datanets/restore", exported(5 * 1024 * 1024))).status).toBe(201);
  const tooLarge = { "content-length": String(65 * 1024 * 1024) };
  expect(await announce("/api/datanets/restore", tooLarge)).toContain("413");
  expect(await announce("/api/datanets", { "content-length": String(5 * 1024 * 1024) })).toContain("413");
});

test("one large body is taken in at a time; the next is told when to come back", async () => {
  const { port } = new URL(node.url);
  const head = (length: number) =>
    `POST /api/datanets/restore HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${node.adminSecret}\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n`;
  const slow = connect(Number(port), "127.0.0.1");
  slow.write(`${head(100)}{`);
  await expect.poll(async () => (await call("POST", "/api/datanets/restore", exported(1))).status).toBe(503);
  slow.destroy();
  await expect.poll(async () => (await call("POST", "/api/datanets/restore", exported(1))).status).toBe(201);
});

/** The status line that answers a head whose body never comes. */
function announce(path: string, headers: Record<string, string>): Promise<string> {
  const { port } = new URL(node.url);
  const all = {
    host: "localhost",
    authorization: `Bearer ${node.adminSecret}`,
    "content-type": "application/json",
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), "127.0.0.1");
    socket.once("data", (data) => {
      resolve(String(data).split("\r\n")[0] ?? "");
      socket.destroy();
    });
    socket.once("error", reject);
    socket.write(`POST ${path} HTTP/1.1\r\n${lines.join("")}\r\n`);
  });
}
