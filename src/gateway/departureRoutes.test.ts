import { afterAll, beforeAll, expect, test } from "vitest";
import { ok } from "../core/result.ts";
import { startNode, type TestNode } from "./testing/node.ts";

const asked: string[] = [];
const nothing = { people: 0, nano: "0" };
let node: TestNode;

beforeAll(async () => {
  node = await startNode({
    engines: {},
    parts: {
      departures: {
        leave: async (datanet, to) => {
          asked.push(`leave ${datanet} ${to}`);
          return ok({ datanet, ...nothing });
        },
        arrive: async (datanet, { statement }, account) => {
          asked.push(`arrive ${datanet} ${statement.lines.length} ${account}`);
          return ok({ datanet, source: hex, ...nothing, entries: 1, known: 0 });
        },
      },
    },
  });
});
afterAll(() => node.stop());

const hex = `0x${"1".repeat(64)}` as const;
const statement = {
  ...{ format: "openledger-departure-1", ledger: hex, logKey: hex, datanet: { name: "d", id: hex }, to: "us" },
  ...{ payout: 1, epoch: 1, timeMs: 1, lines: [{ identity: "npm:x", payee: hex, nano: "5" }] },
};
const signature = `${"A".repeat(86)}==`;
const departure = { statement, signature };

async function post(path: string, body: unknown, key = node.adminSecret) {
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const response = await fetch(node.url + path, { method: "POST", headers, body: JSON.stringify(body) });
  const parsed: unknown = await response.json();
  return { status: response.status, body: parsed };
}

test("a datanet is let go, and one is taken in", async () => {
  expect(await post("/api/datanets/d/leave", { to: " us " })).toMatchObject({ status: 200, body: { datanet: "d" } });
  expect(await post("/api/datanets/d/arrive", { departure, account: "acct_1" })).toMatchObject({ status: 201 });
  expect(asked.splice(0)).toEqual(["leave d us", "arrive d 1 acct_1"]);
});

test.each([
  ["/api/datanets/d/leave", {}, "to"],
  ["/api/datanets/d/leave", { to: " " }, "to"],
  ["/api/datanets/d/leave", { to: "x".repeat(201) }, "to"],
  ["/api/datanets/d/arrive", { departure }, "account"],
  ["/api/datanets/d/arrive", { departure: { ...departure, signature: "x" }, account: "a" }, "departure.signature"],
  [
    "/api/datanets/d/arrive",
    { departure: { ...departure, statement: { ...statement, lines: [] } }, account: "a" },
    "departure.statement.lines",
  ],
])("%s with %j is refused at %s", async (path, body, field) => {
  expect(await post(path, body)).toMatchObject({ status: 400, body: { field } });
  expect(asked).toEqual([]);
});

test("only the node's owner lets a datanet go", async () => {
  expect(await post("/api/datanets/d/leave", { to: "us" }, node.secret)).toMatchObject({ status: 403 });
  expect(asked).toEqual([]);
});
