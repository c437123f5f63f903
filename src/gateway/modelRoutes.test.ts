import { afterAll, beforeAll, expect, test } from "vitest";
import { utf8 } from "../core/bytes.ts";
import { ok, refuse } from "../core/result.ts";
import type { ModelLibrary } from "./modelLibrary.ts";
import { startNode, type TestNode } from "./testing/node.ts";

const base = {
  ...{ name: "small", hash: `0x${"ab".repeat(32)}`, licence: "MIT", weights: 10, layers: 1, hidden: 4 },
  ...{ contextTokens: 64, vocabulary: 300, madeFrom: [] },
} as const;
const none = async () => refuse("model_not_found", "no such model");
let node: TestNode;
const library: ModelLibrary = {
  bases: async () => [base],
  registerBase: async ({ name }) => ok({ ...base, name }),
  serveBase: async (name) => node.gateway.modelView(name),
  measurement: async (model) => (model === "npm-docs" ? ok({ model, methods: [], open: [] }) : none()),
  measure: async (model, { influence = false }) =>
    ok({ model, methods: [], open: [{ what: influence ? "influence" : "matches", stage: "waiting" }] }),
  card: async (name) => (name === "npm-docs" ? ok("---\nlicense: mit\n---\n# é\n") : none()),
  bom: async (name) => (name === "npm-docs" ? ok({ bomFormat: "CycloneDX", specVersion: "1.7" }) : none()),
  ...{ jobCard: none, jobBom: none, exportJob: none },
  exportModel: async (_model, format) => ok({ format, folder: "/x", files: [{ name: "a/b.json", bytes: 2 }] }),
  exportedFile: async (model, format, file) => (file === "a/b.json" ? ok(utf8(`${model} ${format}`)) : none()),
};
beforeAll(async () => {
  node = await startNode({ engines: {}, parts: { models: () => library } });
});
afterAll(() => node.stop());

test.each([
  // method, path                        key        body                                   status, type
  ["GET", "/api/bases", "none", undefined, 200, "application/json"],
  ["POST", "/api/bases", "admin", { name: "x", folder: "/x" }, 201, "application/json"],
  ["POST", "/api/bases", "ordinary", { name: "x", folder: "/x" }, 403, "application/problem+json"],
  ["POST", "/api/bases", "admin", { name: "x" }, 400, "application/problem+json"],
  ["POST", "/api/bases/npm-docs/serve", "admin", {}, 201, "application/json"],
  ["POST", "/api/bases/npm-docs/serve", "admin", { royalty: { perCall: -1 } }, 400, "application/problem+json"],
  ["POST", "/api/bases/none/serve", "admin", {}, 404, "application/problem+json"],
  ["GET", "/api/models/npm-docs/measurement", "none", undefined, 200, "application/json"],
  ["GET", "/api/models/none/measurement", "none", undefined, 404, "application/problem+json"],
  ["POST", "/api/models/npm-docs/measurement", "admin", { influence: true }, 200, "application/json"],
  ["POST", "/api/models/npm-docs/measurement", "admin", { influence: "yes" }, 400, "application/problem+json"],
  ["POST", "/api/models/npm-docs/measurement", "ordinary", {}, 403, "application/problem+json"],
  ["POST", "/api/models/npm-docs/measurement", "none", {}, 401, "application/problem+json"],
  ["GET", "/api/models/npm-docs/card", "none", undefined, 200, "text/markdown; charset=utf-8"],
  ["GET", "/api/models/none/card", "none", undefined, 404, "application/problem+json"],
  ["GET", "/api/models/npm-docs/bom", "none", undefined, 200, "application/vnd.cyclonedx+json; version=1.7"],
  ["POST", "/api/models/npm-docs/exports/gguf", "admin", {}, 200, "application/json"],
  ["POST", "/api/models/npm-docs/exports/gguf", "ordinary", {}, 403, "application/problem+json"],
  ["POST", "/api/models/npm-docs/exports/exe", "admin", {}, 400, "application/problem+json"],
  ["POST", "/api/models/npm-docs/exports/peft", "admin", {}, 400, "application/problem+json"],
  ["GET", "/api/models/npm-docs/exports/hf/a/b.json", "admin", undefined, 200, "application/octet-stream"],
  ["GET", "/api/models/npm-docs/exports/hf/a/b.json", "none", undefined, 401, "application/problem+json"],
  ["GET", "/api/jobs/ftjob-1/exports/peft/..%2F..%2Fsecrets", "admin", undefined, 404, "application/problem+json"],
  ["POST", "/api/jobs/ftjob-1/exports/peft", "admin", {}, 404, "application/problem+json"],
  ["GET", "/api/jobs/ftjob-1/card", "ordinary", undefined, 403, "application/problem+json"],
  ["GET", "/api/jobs/ftjob-1/bom", "admin", undefined, 404, "application/problem+json"],
] as const)("%s %s with key %s: %j", async (method, path, who, body, status, type) => {
  const key = { none: undefined, ordinary: node.secret, admin: node.adminSecret }[who];
  const response = await fetch(`${node.url}${path}`, {
    ...{ method, headers: { ...(key && { authorization: `Bearer ${key}` }), "content-type": "application/json" } },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  expect([response.status, response.headers.get("content-type")]).toEqual([status, type]);
  if (path.endsWith("npm-docs/card")) expect(await response.text()).toContain("é");
});
