import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { startNode, type TestNode } from "./testing/node.ts";

const parameter = z.object({
  name: z.string(),
  in: z.string(),
  required: z.boolean().optional(),
  description: z.string().optional(),
});
const headers = z.record(z.string(), z.unknown());
const documentSchema = z.object({
  paths: z.record(
    z.string(),
    z.record(
      z.string(),
      z.object({ parameters: z.array(parameter).default([]), responses: z.record(z.string(), z.object({ headers })) }),
    ),
  ),
});

let node: TestNode;
let paths: z.output<typeof documentSchema>["paths"];
beforeAll(async () => {
  node = await startNode({ engines: {} });
  paths = documentSchema.parse(await (await fetch(`${node.url}/api/openapi.json`)).json()).paths;
});
afterAll(() => node.stop());

const completion = ["idempotency-key", "prefer", "openledger-audit", "openledger-lineage"];

test.each([
  ["post", "/v1/chat/completions", completion],
  ["post", "/v1/completions", completion],
  ["post", "/api/executions", ["content-encoding"]],
  ["get", "/api/health", []],
])("%s %s names the headers that it reads, and what they mean", (method, path, names) => {
  const said = paths[path]?.[method]?.parameters.filter((one) => one.in === "header") ?? [];
  expect(said.map(({ name }) => name)).toEqual(names);
  expect(said.filter(({ required, description }) => required !== false || description === undefined)).toEqual([]);
});

test("every refusal says in its head when to come again, and every answer its request id", () => {
  for (const route of Object.values(paths).flatMap((methods) => Object.values(methods)))
    for (const [status, { headers: said }] of Object.entries(route.responses))
      expect(Object.keys(said)).toEqual(
        expect.arrayContaining(
          status === "default" ? ["x-request-id", "x-should-retry", "retry-after"] : ["x-request-id"],
        ),
      );
});
