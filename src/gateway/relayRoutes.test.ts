import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { toHex } from "../core/bytes.ts";
import { ok, refuse } from "../core/result.ts";
import type { KnownClaim } from "../ledger/claims.ts";
import { RelayDesk } from "../ledger/relayDesk.ts";
import type { RelayChain, RelayConsent } from "../ledger/relayPorts.ts";
import { startNode, type TestNode } from "./testing/node.ts";

/** The routes over the real desk; the chain is one that says what it is told to. */
const address = (digit: string) => `0x${digit.repeat(40)}`;
const signature = (digit: string) => `0x${digit.repeat(130)}`;
const terms = { relayer: address("a"), feeBpsMax: 50, rateMax: 9, until: 4_000_000_000 };
const consent = { terms, signature: signature("1"), permitDeadline: terms.until, permit: signature("2") };
const typed = { primaryType: "RelayConsent" };
let consents: RelayConsent[];
let node: TestNode;
let payee: string;

const relay: RelayChain = {
  ...{ contract: address("c"), relayer: address("a") },
  prices: async () => ok({ gasPriceWei: 7n, microOpenPerEth: 5 }),
  terms: async () => ok(undefined),
  toSign: async (account, asked) => ok({ consent: { ...typed, account, asked }, permit: typed }),
  check: async (_account, signed) =>
    signed.signature === consent.signature ? ok(undefined) : refuse("forbidden", "not theirs", { field: "signature" }),
  isWithdrawal: async (_account, made) => ok(made === signature("3")),
  wouldClaim: async () => ok(true),
  send: async () => ok({ transaction: "0xabcd" }),
};
const fee = { relayer: address("a"), nano: 3n, gasUsed: 90_000, gasPriceWei: 10n ** 18n, microOpenPerEth: 5 };
const claim: KnownClaim = {
  ...{ reference: "1:0xab:2", transaction: "0xab", block: 1, timeMs: 5, payee: "", account: address("b"), epoch: 1 },
  ...{ nano: 700n, cumulative: 700n, fee, rate: { nanoPerUsd: 4, source: "test", atMs: 6 } },
};

beforeAll(async () => {
  const claims = { claims: async () => [claim] };
  const desk = new RelayDesk({
    // The node's own, which there is only once the desk is handed to it.
    ledger: {
      get id() {
        return node.ledger.id;
      },
      get books() {
        return node.ledger.books;
      },
      get epochs() {
        return node.ledger.epochs;
      },
    },
    ...{ relay, claims, nowMs: () => 1_000 },
    chain: { claimed: async () => ok(0n), entitledTo: async () => ok(new Uint8Array(20).fill(0xbb)) },
    policy: { patienceMs: 10, subsidyBps: 10, everyMs: 10 },
    store: {
      consents: async () => consents,
      putConsent: async (one) => void consents.push(one),
      removeConsent: async (id) => {
        const before = consents.length;
        consents = consents.filter((one) => one.payee !== id);
        return consents.length < before;
      },
      lastBatchMs: async () => undefined,
      ...{ income: async () => undefined, saveIncome: async () => undefined },
      noteBatch: async () => undefined,
    },
  });
  node = await startNode({ engines: {}, parts: { relays: { claims, desk } } });
  payee = toHex([...node.ledger.books.payees()][0]!.id);
});
afterAll(() => node.stop());
beforeEach(() => {
  consents = [];
});

async function call(method: "GET" | "POST", path: string, body?: unknown, key?: string) {
  const response = await fetch(node.url + path, {
    ...{ method, headers: { "content-type": "application/json", ...(key && { authorization: `Bearer ${key}` }) } },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const parsed: unknown = await response.json();
  return { status: response.status, body: parsed };
}

test("what was claimed says what was paid, what the relay took, and how that was reckoned", async () => {
  expect(await call("GET", `/api/claims/${payee}/paid`)).toMatchObject({
    status: 200,
    body: {
      data: [{ nano: "700", fee: "3", paid: "697", relay: { gasUsed: 90_000, gasPriceWei: `1${"0".repeat(18)}` } }],
    },
  });
});

test("a payee agrees and withdraws by its own signatures, without a key", async () => {
  expect(await call("POST", `/api/claims/${payee}/relay`, { ...consent, signature: signature("9") })).toMatchObject({
    ...{ status: 403, body: { field: "signature" } },
  });
  const agreed = { status: 200, body: { payee, terms } };
  expect(await call("POST", `/api/claims/${payee}/relay`, consent)).toMatchObject(agreed);
  expect(await call("POST", `/api/claims/${payee}/relay`, consent)).toMatchObject(agreed);
  expect(consents).toHaveLength(1);
  const withdrawal = `/api/claims/${payee}/relay/withdrawal`;
  expect((await call("POST", withdrawal, { signature: signature("4") })).status).toBe(403);
  expect((await call("POST", withdrawal, { signature: signature("3") })).status).toBe(200);
  expect((await call("POST", withdrawal, { signature: signature("3") })).status).toBe(404);
});

test("a contract's word is what it has told the contract", async () => {
  expect(await call("POST", `/api/claims/${payee}/relay/onchain`, {})).toMatchObject({ status: 403 });
  expect(consents).toEqual([]);
});

test("who goes and who waits is public; only the node's owner sends", async () => {
  expect(await call("GET", "/api/relay")).toMatchObject({
    ...{
      status: 200,
      body: { relayer: address("a"), gasPriceWei: "7", microOpenPerEth: 5, feeBpsMax: 200, waiting: [] },
    },
  });
  expect((await call("POST", "/api/relay")).status).toBe(401);
  expect((await call("POST", "/api/relay", {}, node.secret)).status).toBe(403);
  expect(await call("POST", "/api/relay", {}, node.adminSecret)).toMatchObject({
    ...{ status: 200, body: { transactions: [] } },
  });
});

const unknown = `0x${"7".repeat(64)}`;
test.each([
  ["GET", "/api/claims/ann/paid", undefined, 400, "payee"],
  ["GET", "/api/claims/ann/relay", undefined, 400, "payee"],
  ["GET", `/api/claims/${unknown}/relay?feeBpsMax=201`, undefined, 400, "feeBpsMax"],
  ["GET", `/api/claims/${unknown}/relay?until=never`, undefined, 400, "until"],
  ["GET", `/api/claims/${unknown}/relay`, undefined, 404, undefined],
  ["POST", `/api/claims/${unknown}/relay`, consent, 404, undefined],
  ["POST", `/api/claims/${unknown}/relay`, {}, 400, "terms"],
  ["POST", `/api/claims/${unknown}/relay`, { ...consent, permit: "0x" }, 400, "permit"],
  ["POST", `/api/claims/${unknown}/relay`, { ...consent, terms: { ...terms, feeBpsMax: 0 } }, 400, "terms.feeBpsMax"],
  ["POST", `/api/claims/${unknown}/relay`, { ...consent, terms: { ...terms, until: 2 ** 32 } }, 400, "terms.until"],
  ["POST", `/api/claims/${unknown}/relay`, { ...consent, key: "0x1" }, 400, undefined],
  ["POST", "/api/claims/ann/relay/onchain", {}, 400, "payee"],
  ["POST", `/api/claims/${unknown}/relay/onchain`, {}, 404, undefined],
  ["POST", `/api/claims/${unknown}/relay/withdrawal`, { signature: 1 }, 400, "signature"],
  ["POST", `/api/claims/${unknown}/relay/withdrawal`, { signature: signature("3") }, 404, undefined],
] as const)("%s %s with %j is refused: %s at %s", async (method, path, body, status, field) => {
  const said = await call(method, path, body);
  expect(said).toMatchObject({ status, body: field === undefined ? {} : { field } });
  expect(consents).toEqual([]);
});
