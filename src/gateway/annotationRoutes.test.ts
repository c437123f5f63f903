import { afterAll, beforeAll, expect, test } from "vitest";
import { ok, refuse } from "../core/result.ts";
import type { AnnotationView } from "../protocol/annotations.ts";
import type { Annotations } from "./annotationRoutes.ts";
import { startNode, type TestNode } from "./testing/node.ts";

const id = `0x${"ab".repeat(32)}`;
const made: AnnotationView[] = [];
const annotations: Annotations = {
  annotate: async (_datanet, { record, text, by = "node" }) => {
    made.push({ id, record, text, by, state: "open", createdMs: 1 });
    return ok(made[0]!);
  },
  list: async (datanet, state) =>
    datanet === "net"
      ? ok(made.filter((one) => state === undefined || one.state === state))
      : refuse("not_found", "there is no such datanet"),
  review: async (_datanet, name, { decision, reason, by }) =>
    name === id
      ? ok({ ...made[0]!, state: decision === "approve" ? "approved" : "rejected", reason: `${by}: ${reason}` })
      : refuse("not_found", "there is no such annotation"),
};
let node: TestNode;
beforeAll(async () => {
  node = await startNode({ engines: {}, parts: { annotations } });
});
afterAll(() => node.stop());

const path = "/api/datanets/net/annotations";
async function ask(method: string, where: string, body?: unknown, key = node.adminSecret) {
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  const response = await fetch(node.url + where, { method, headers, ...sent });
  return { status: response.status, body: await response.json() };
}

test("an annotation is made, listed for all, and decided on by an account", async () => {
  const draft = { record: "0x12345678", text: "limescale" };
  expect(await ask("POST", path, draft)).toMatchObject({ status: 201, body: { ...draft, state: "open" } });
  const listed = await fetch(`${node.url}${path}?state=open`);
  expect(await listed.json()).toMatchObject({ data: [{ id, text: "limescale" }] });
  const decision = { decision: "approve", reason: "it is so" };
  expect(await ask("POST", `${path}/${id}/review`, decision)).toMatchObject({
    status: 200,
    body: { state: "approved", reason: `${node.account}: it is so` },
  });
});

test.each([
  ["GET", "/api/datanets/none/annotations", undefined, 404],
  ["GET", `${path}?state=lost`, undefined, 400],
  ["POST", path, {}, 400],
  ["POST", path, { record: "12345678", text: "w" }, 400],
  ["POST", path, { record: "0x1234567", text: "w" }, 400],
  ["POST", path, { record: `0x${"a".repeat(65)}`, text: "w" }, 400],
  ["POST", path, { record: "0x12345678", text: "" }, 400],
  ["POST", path, { record: "0x12345678", text: "w".repeat(2_001) }, 400],
  ["POST", path, { record: "0x12345678", text: "w", by: "" }, 400],
  ["POST", path, { record: "0x12345678", text: "w", more: 1 }, 400],
  ["POST", path, [], 400],
  ["POST", `${path}/none/review`, { decision: "approve", reason: "it is so" }, 404],
  ["POST", `${path}/${id}/review`, { decision: "maybe", reason: "it is so" }, 400],
  ["POST", `${path}/${id}/review`, { decision: "approve", reason: "" }, 400],
  ["DELETE", path, undefined, 405],
] as const)("%s %s with %j is refused with %d", async (method, where, body, status) => {
  expect((await ask(method, where, body)).status).toBe(status);
});

test("only the node's owner adds and decides", async () => {
  expect((await ask("POST", path, { record: "0x12345678", text: "w" }, node.secret)).status).toBe(403);
  expect((await ask("POST", `${path}/${id}/review`, { decision: "approve", reason: "yes" }, node.secret)).status).toBe(
    403,
  );
});
