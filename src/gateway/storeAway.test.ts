import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { RefusalError } from "../core/result.ts";
import { startNode, type TestNode } from "./testing/node.ts";

const full = { code: "disk_full", message: "no space left", hint: "free some space" } as const;
let node: TestNode;
beforeAll(async () => {
  const journal = { read: () => Promise.reject(new RefusalError({ code: "store_unavailable", message: "away" })) };
  node = await startNode({ engines: {}, parts: { journal } });
});
afterAll(() => node.stop());

const get = async (path: string) => {
  const response = await fetch(node.url + path);
  return { status: response.status, body: await response.json() };
};

test("a store that is away while something is read is a refusal, and no bug", async () => {
  expect(await get("/journal/checkpoint")).toMatchObject({ status: 503, body: { code: "store_unavailable" } });
  expect(node.log.filter(({ level }) => level === "error")).toEqual([]);
});

test.each([
  ["waiting", "waiting"],
  ["stopped", "stopped"],
] as const)("health says why nothing is written: %s", async (how, status) => {
  const spied = vi.spyOn(node.ledger.books, how).mockReturnValue(full);
  expect(await get("/api/health")).toMatchObject({ body: { status, why: "no space left; free some space" } });
  spied.mockRestore();
  expect(await get("/api/health")).toMatchObject({ body: { status: "ok" } });
});
