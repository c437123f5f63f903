import { afterAll, beforeAll, expect, test } from "vitest";
import { fromHex, padAddress, toHex } from "../core/bytes.ts";
import { addressOf, earningsDigest, signDigest } from "../core/eip712.ts";
import { ok, unwrap } from "../core/result.ts";
import { parseCsv } from "../ingest/csv.ts";
import { csvField } from "../ledger/bankFile.ts";
import type { IssuedStatement, StatementStore } from "../ledger/issued.ts";
import { StatementDesk } from "../ledger/issued.ts";
import type { Issuer } from "../ledger/issuer.ts";
import { assets, draft, smallLedger, smallTrust } from "../ledger/testing/smallLedger.ts";
import { issuedStatementSchema } from "../protocol/statements.ts";
import { writeOpening } from "./opening.ts";
import { CALL_NANO, type Customer, type CustomerNode, customer, startCustomerNode } from "./testing/customers.ts";
import { testId } from "./testing/node.ts";
import { hello } from "./testing/scriptedEngine.ts";

let node: CustomerNode;
let [acme, bolt]: Customer[] = [];
let receiptOfBolt = "";
let nowMs: () => number;
const issued: IssuedStatement[] = [];
let issuer: Issuer | undefined;

beforeAll(async () => {
  const { ledger, world } = await smallLedger();
  nowMs = () => world.nowMs();
  const statements = new StatementDesk({
    ...{ ledger, store: statementStore(), details: { allDetails: async () => [] } },
    ...{
      claimsUntil: async () => [],
      labelOf: () => undefined,
      nanoPerUsd: () => 1_000_000_000,
      nowMs: () => world.nowMs(),
    },
  });
  node = await startCustomerNode(ledger, hello, () => world.nowMs(), { statements });
  [acme, bolt] = [await customer(node, "acme", 1_000_000), await customer(node, "bolt", 1_000_000)];
  receiptOfBolt = (await node.ask(bolt!.secrets.owner)).receipt;
  expect((await node.ask(acme!.secrets.owner)).status).toBe(200);
  const month = new Date(world.nowMs()).toISOString().slice(0, 7);
  world.timeMs += 40 * 86_400_000;
  expect(await statements.issue(month)).toMatchObject({ ok: true });
});
afterAll(() => node.gateway.drain(50));

function statementStore(): StatementStore {
  return {
    lastNumber: async () => issued.length,
    list: async ({ period, party }) =>
      issued.filter((one) => (period ?? one.period) === one.period && (party ?? one.party.id) === one.party.id),
    get: async (number) => issued.find((one) => one.number === number),
    add: async (fresh) => {
      issued.push(...fresh);
      return ok(undefined);
    },
    issuer: async () => issuer,
    setIssuer: async (said) => {
      issuer = said;
    },
  };
}

/** Which roles each endpoint lets in. An endpoint that is not named here lets in no key of an organisation. */
const table: Readonly<Record<string, string>> = {
  "GET /v1/models": "owner builder billing viewer project",
  "GET /v1/models/{name}": "owner builder billing viewer project",
  "POST /v1/chat/completions": "owner builder project",
  "POST /v1/completions": "owner builder project",
  "POST /api/executions": "owner builder project",
  "GET /api/executions/{id}": "owner builder billing viewer project",
  "POST /v1/traces": "owner builder project",
  "POST /api/v1/events": "owner builder project",
  "GET /v1/receipts/{id}": "owner builder billing viewer project",
  "GET /api/receipts/{id}": "owner builder billing viewer project",
  "GET /api/receipts/{id}/explanation": "owner builder billing viewer project",
  "GET /api/receipts": "owner builder billing viewer project",
  "GET /api/accounts/{id}": "owner billing",
  "GET /api/accounts/{id}/statement": "owner billing",
  "PUT /api/accounts/{id}/payee": "owner billing",
  "DELETE /api/accounts/{id}/payee": "owner billing",
  "GET /api/statements": "owner billing",
  "GET /api/statements/{number}": "owner billing",
  "GET /api/keys": "owner builder billing viewer",
  "GET /api/organisations": "owner builder billing viewer",
  "GET /api/organisations/{id}": "owner builder billing viewer",
  "POST /api/organisations/{id}": "owner",
  "POST /api/organisations/{id}/limits": "owner billing",
  "POST /api/organisations/{id}/transfer": "owner",
  "POST /api/organisations/{id}/members": "owner",
  "POST /api/organisations/{id}/members/{member}": "owner",
  "POST /api/organisations/{id}/members/{member}/limits": "owner billing",
  "DELETE /api/organisations/{id}/members/{member}": "owner",
  "POST /api/organisations/{id}/projects": "owner builder",
  "POST /api/organisations/{id}/projects/{project}": "owner builder",
  "POST /api/organisations/{id}/projects/{project}/limits": "owner billing",
  "DELETE /api/organisations/{id}/projects/{project}": "owner builder",
  "GET /api/organisations/{id}/keys": "owner builder billing viewer",
  "POST /api/organisations/{id}/keys": "owner builder",
  "POST /api/organisations/{id}/keys/own": "owner builder billing viewer",
  "POST /api/organisations/{id}/keys/{key}/rotate": "owner builder billing viewer",
  "POST /api/organisations/{id}/keys/{key}/limits": "owner billing",
  "DELETE /api/organisations/{id}/keys/{key}": "owner builder billing viewer",
  "GET /api/organisations/{id}/usage": "owner builder billing viewer",
  "GET /api/organisations/{id}/spending": "owner billing",
  "GET /api/organisations/{id}/audit": "owner",
};

const absent = "0".repeat(24);

interface Operation {
  readonly name: string;
  readonly method: string;
  readonly path: string;
}

/** Every operation that asks for a key. */
async function guarded(): Promise<Operation[]> {
  const paths: Record<string, Record<string, { security?: unknown }>> = Reflect.get(
    Object((await node.call(undefined, "GET", "/api/openapi.json")).body),
    "paths",
  );
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([, { security }]) => security !== undefined)
      .map(([method]) => ({ name: `${method.toUpperCase()} ${path}`, method: method.toUpperCase(), path })),
  );
}

function filled(path: string, id: string, ids: Partial<Record<"member" | "project" | "key", string>> = {}): string {
  return path
    .replace("{id}", id)
    .replace("{member}", ids.member ?? `mem_${absent}`)
    .replace("{project}", ids.project ?? `prj_${absent}`)
    .replace("{key}", ids.key ?? `key_${absent}`)
    .replace("{number}", "999")
    .replace(/\{[a-z]+\}/g, "none");
}

test("every endpoint with every role: in or out as the table says", async () => {
  const operations = await guarded();
  expect(operations.length).toBeGreaterThan(40);
  const names = new Set(operations.map(({ name }) => name));
  expect(Object.keys(table).filter((name) => !names.has(name))).toEqual([]);
  for (const { name, method, path } of operations) {
    for (const role of ["owner", "builder", "billing", "viewer", "project"] as const) {
      const isIn = (table[name] ?? "").split(" ").includes(role);
      const asked = filled(path, path.startsWith("/api/receipts") || path.startsWith("/v1/receipts") ? absent : "me");
      const { status } = await node.call(acme!.secrets[role], method, asked);
      expect([name, role, status === 403 ? "out" : "in"]).toEqual([name, role, isIn ? "in" : "out"]);
      expect([name, role, status]).not.toEqual([name, role, 401]);
      expect(status).toBeLessThan(500);
    }
  }
});

test("one customer's owner and another's things: nothing is shown, nothing is changed", async () => {
  const before = JSON.stringify([
    ...[node.ledger.organisations.get(bolt!.organisation.id), node.ledger.accounts.keys(bolt!.organisation.account)],
    String(node.ledger.accounts.balance(bolt!.organisation.account)?.available),
  ]);
  const ids = { member: bolt!.organisation.members[0]!.id, project: bolt!.project, key: bolt!.projectKey };
  const secret = acme!.secrets.owner;
  for (const { name, method, path } of await guarded()) {
    if (!path.includes("{id}")) continue;
    const theirs = path.includes("/receipts/")
      ? receiptOfBolt
      : path.includes("/accounts/")
        ? bolt!.organisation.account
        : bolt!.organisation.id;
    const called = await node.call(secret, method, filled(path, theirs, ids), { name: "mine now" });
    expect([name, [400, 403, 404].includes(called.status)]).toEqual([name, true]);
    // Their parts under one's own name.
    if (/\{(member|project|key)\}/.test(path)) {
      const mine = await node.call(secret, method, filled(path, "me", ids), { name: "mine now" });
      expect([name, mine.status]).toEqual([name, 404]);
    }
  }
  const after = JSON.stringify([
    ...[node.ledger.organisations.get(bolt!.organisation.id), node.ledger.accounts.keys(bolt!.organisation.account)],
    String(node.ledger.accounts.balance(bolt!.organisation.account)?.available),
  ]);
  expect(after).toBe(before);
});

test("lists show one's own and nobody else's", async () => {
  const secret = acme!.secrets.owner;
  const text = async (path: string, by = secret) => JSON.stringify((await node.call(by, "GET", path)).body);
  const theirs = [
    ...[bolt!.organisation.id, bolt!.organisation.account, bolt!.projectKey, receiptOfBolt, "bolt"],
    toHex(node.ledger.accounts.get(bolt!.organisation.account)!.pseudonym),
  ];
  const lists = ["/api/receipts", "/api/receipts?mine=true", "/api/keys", "/api/organisations", "/api/statements"];
  const dates = "from=2020-01-01&until=2100-01-01";
  const own = ["keys", "usage", "audit", `spending?${dates}`].map((part) => `/api/organisations/me/${part}`);
  for (const path of [...lists, ...own]) {
    const found = await text(path);
    for (const word of theirs) expect([path, word, found.includes(word)]).toEqual([path, word, false]);
    expect([path, JSON.parse(found).data.length > 0]).toEqual([path, true]);
  }
  const their = issued.find(({ party }) => party.id === theirs.at(-1))!;
  expect((await node.call(secret, "GET", `/api/statements/${their.number}`)).status).toBe(404);
  expect((await node.call(bolt!.secrets.billing, "GET", `/api/statements/${their.number}`)).status).toBe(200);
  expect((await node.call(secret, "GET", `/api/statements?party=${"0".repeat(64)}`)).body).toMatchObject({
    data: [{ party: { name: "acme" } }],
  });
  const usage = (await node.call(secret, "GET", `/api/organisations/me/spending?${dates}`)).body;
  expect(usage).toMatchObject({ data: [{ nano: CALL_NANO, receipts: 1, member: acme!.organisation.members[0]!.id }] });
});

test("who reads receipts does not thereby read what was asked and answered", async () => {
  const mine = (await node.ask(acme!.secrets.project)).receipt;
  const opened = async (secret: string) =>
    "opening" in Object((await node.call(secret, "GET", `/api/receipts/${mine}`)).body);
  expect(
    await Promise.all(
      (["owner", "builder", "project", "billing", "viewer"] as const).map((role) => opened(acme!.secrets[role])),
    ),
  ).toEqual([true, true, true, false, false]);
});

test("what others paid for is there where it pays those whom the account stands for, and not for a project's key", async () => {
  const { account } = acme!.organisation;
  const statuses = (part: string) =>
    Promise.all(
      (["owner", "builder", "billing", "viewer", "project"] as const).map(
        async (role) => (await node.call(acme!.secrets[role], "GET", `/api/receipts/${receiptOfBolt}${part}`)).status,
      ),
    );
  const nothing = [404, 404, 404, 404, 404];
  expect([await statuses(""), await statuses("/explanation")]).toEqual([nothing, nothing]);
  const key = testId("operator's wallet");
  const [to, deadlineMs] = [padAddress(addressOf(key)), nowMs() + 60_000];
  unwrap(
    await node.ledger.books.bind({ identity: testId("operator"), to, state: "bound", proofHash: testId("proof") }),
  );
  const statement = { ledger: node.ledger.id, payee: addressOf(key), account, deadlineMs };
  const signature = toHex(signDigest(key, earningsDigest(smallTrust.domain, statement)));
  const body = { payee: toHex(addressOf(key)), deadlineMs, signature };
  expect((await node.call(acme!.secrets.builder, "PUT", "/api/accounts/me/payee", body)).status).toBe(403);
  expect((await node.call(acme!.secrets.billing, "PUT", "/api/accounts/me/payee", body)).status).toBe(200);
  const there = [200, 200, 200, 200, 404];
  expect([await statuses(""), await statuses("/explanation")]).toEqual([there, there]);
  // An operator is not a contributor: there is nothing of its own to be shown.
  const shown = await node.call(acme!.secrets.owner, "GET", `/api/receipts/${receiptOfBolt}/explanation`);
  expect(shown.body).toMatchObject({ view: "public" });
  expect((await node.call(acme!.secrets.billing, "DELETE", "/api/accounts/me/payee")).status).toBe(200);
  expect(await statuses("")).toEqual(nothing);
  const log = JSON.stringify((await node.call(acme!.secrets.owner, "GET", "/api/organisations/me/audit")).body);
  for (const act of ["account.link", "account.unlink"]) expect(log).toContain(act);
});

test("the evidence for one's own records is for those who may open receipts, and not for a project's key", async () => {
  const { account } = acme!.organisation;
  const { ledger } = node;
  const [key, author] = [testId("author's wallet"), testId("author")];
  const hold = unwrap(ledger.holds.place({ account: bolt!.organisation.account, amount: CALL_NANO }));
  const payees = [{ payee: toHex(author), weight: 1 }];
  const position: [number, number] = [0, 4];
  const evidence = [{ kind: "span" as const, payee: toHex(author), payees, weight: 1, position, text: "mine" }];
  const salts = { prompt: new Uint8Array(16), answer: new Uint8Array(16) };
  const opening = writeOpening(salts, "what bolt asked", "mine, and more", evidence);
  const contributors = { shares: [{ payee: author, type: "identity" as const, weight: 1_000_000 }], unattributed: 0 };
  const { receipt } = unwrap(
    await ledger.books.post(draft(hold.id, 0, CALL_NANO, { model: assets.model, contributors, opening })),
  );
  const path = `/api/receipts/${toHex(receipt.id)}/explanation`;
  const to = padAddress(addressOf(key));
  unwrap(await ledger.books.bind({ identity: author, to, state: "bound", proofHash: testId("proof") }));
  const statement = { ledger: ledger.id, payee: addressOf(key), account, deadlineMs: nowMs() + 70_000 };
  const signature = signDigest(key, earningsDigest(smallTrust.domain, statement));
  unwrap(await ledger.earnings.link(account, { ...statement, signature }));
  const seen = async (secret: string) => {
    const { status, body } = await node.call(secret, "GET", path);
    expect(JSON.stringify(body)).not.toMatch(/what bolt asked|and more/);
    return status === 200 ? [Reflect.get(Object(body), "view"), JSON.stringify(body).includes('"mine"')] : status;
  };
  const { owner, builder, billing, viewer, project } = acme!.secrets;
  for (const secret of [owner, builder]) expect(await seen(secret)).toEqual(["contributor", true]);
  for (const secret of [billing, viewer]) expect(await seen(secret)).toEqual(["public", false]);
  expect(await seen(project)).toBe(404);
  unwrap(await ledger.earnings.unlink(account));
  expect(await seen(owner)).toBe(404);
});

test("an admin cannot make a key that escapes an organisation's limits", async () => {
  const body = { account: acme!.organisation.account, name: "way round" };
  expect((await node.call(node.admin.secret, "POST", "/api/keys", body)).status).toBe(409);
});

test("acts of the node's owner are noted before they are done, with what came of those refused; secrets and personal things are not", async () => {
  const { secret } = node.admin;
  const account = { account: acme!.organisation.account };
  await node.call(secret, "POST", `/api/accounts/${account.account}/credit`, { amount: 5, key: "more", note: "gift" });
  await node.call(secret, "POST", "/api/keys", { ...account, name: "no" });
  const { body } = await node.call(secret, "GET", "/api/audit");
  const rows: { action: string; after: string; request: string; key: string }[] = Reflect.get(Object(body), "data");
  const of = (action: string) => rows.filter((row) => row.action === action).map(({ after }) => JSON.parse(after));
  expect(of("POST /api/accounts/{id}/credit").at(-1)).toEqual({ body: { amount: 5, key: "more", note: "gift" } });
  expect(of("POST /api/keys").slice(-2)).toEqual([{ body: { ...account, name: "no" } }, { refused: "conflict" }]);
  expect(rows.every(({ key, request }) => key === node.admin.key.id && request.startsWith("req_"))).toBe(true);
  const log = await node.call(acme!.secrets.owner, "GET", "/api/organisations/me/audit?limit=1000");
  expect(JSON.stringify(log.body)).toContain('"action":"account.credit"');
  const paged = await node.call(acme!.secrets.owner, "GET", "/api/organisations/me/audit?after=2&limit=1");
  expect(paged.body).toMatchObject({ data: [{ number: 3 }] });
});

test("joining, working and leaving over HTTP", async () => {
  const { owner } = acme!.secrets;
  const invited = await node.call(owner, "POST", "/api/organisations/me/members", { name: "Eve", role: "builder" });
  const { token, member }: { token: string; member: { id: string } } = Object(invited.body);
  const joined = await node.call(undefined, "POST", "/api/invitations/accept", { token });
  const { secret }: { secret: string } = Object(joined.body);
  expect((await node.ask(secret)).status).toBe(200);
  expect(
    (await node.call(owner, "POST", `/api/organisations/me/members/${member.id}`, { role: "billing" })).status,
  ).toBe(200);
  expect((await node.ask(secret)).status).toBe(403);
  expect((await node.call(owner, "DELETE", `/api/organisations/me/members/${member.id}`)).status).toBe(200);
  expect((await node.ask(secret)).status).toBe(401);
  expect((await node.call(undefined, "POST", "/api/invitations/accept", { token })).status).toBe(404);
});

test("the node says who issues its statements, and nobody else does", async () => {
  const body = { name: "Node Ltd", address: "1 Mill Lane, Leeds", taxId: "GB 1", dueDays: 14 };
  const call = async (secret: string | undefined, method: string, sent?: unknown) =>
    (await node.call(secret, method, "/api/issuer", sent)).status;
  expect(await call(undefined, "GET")).toBe(401);
  expect(await call(acme!.secrets.owner, "POST", body)).toBe(403);
  const bad = [
    {},
    { name: "" },
    { ...body, dueDays: 366 },
    { ...body, address: "1 Mill Lane\nLeeds" },
    { ...body, iban: "" },
  ];
  for (const sent of bad) expect(await call(node.admin.secret, "POST", sent)).toBe(400);
  expect((await node.call(node.admin.secret, "GET", "/api/issuer")).body).toEqual({ issuer: null });
  expect((await node.call(node.admin.secret, "POST", "/api/issuer", body)).body).toEqual({ issuer: body });
  expect((await node.call(node.admin.secret, "GET", "/api/issuer")).body).toEqual({ issuer: body });
});

test("a statement's lines say what models are called, in words that no table takes for a formula or another cell", async () => {
  const [one] = issued.filter(({ party }) => party.type === "account");
  const of = fromHex(one!.lines[0]!.of);
  const shown = async (format: string) => {
    const headers = { authorization: `Bearer ${node.admin.secret}` };
    return fetch(`${node.url}/api/statements/${one!.number}?format=${format}`, { headers });
  };
  const served = issuedStatementSchema.parse(await (await shown("json")).json());
  expect(served.lines.map(({ name }) => name)).toEqual([node.gateway.catalog.nameOf(of)]);
  const { length } = await (await shown("pdf")).arrayBuffer().then((bytes) => new Uint8Array(bytes));
  expect(length).toBeGreaterThan(500);
  const rows = unwrap(parseCsv(await (await shown("csv")).text()));
  expect(rows).toEqual([expect.objectContaining({ by: toHex(of), name: served.lines[0]?.name })]);
  expect(["=1+1", "a,b", 'say "x"', "plain"].map(csvField)).toEqual(["'=1+1", '"a,b"', '"say ""x"""', "plain"]);
});
