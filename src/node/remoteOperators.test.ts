import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { toHex } from "../core/bytes.ts";
import { unwrap } from "../core/result.ts";
import { deployDefaults } from "../factory/order.ts";
import { ScriptedEngine } from "../gateway/testing/scriptedEngine.ts";
import { parties } from "../ledger/testing/smallLedger.ts";
import { attachOperatorSchema } from "../protocol/operators.ts";
import { FakeVllm } from "../upstream/testing/fakeVllm.ts";
import { NEURAL_OPERATOR } from "./neuralShelf.ts";
import { RemoteOperators } from "./remoteOperators.ts";
import { neuralWorld, trainedJob } from "./testing/neuralWorld.ts";

const folder = mkdtempSync(join(tmpdir(), "openledger-remote-"));
const server = new FakeVllm();
let baseUrl: string;
let world: Awaited<ReturnType<typeof neuralWorld>>;
let node: Awaited<ReturnType<typeof world.start>>;
let remote: RemoteOperators;
let adapter: string;
const remoteOf = ({ gateway, shelf }: typeof node): RemoteOperators =>
  new RemoteOperators({
    ...{ data: folder, gateway, node: parties.node, fetch, placeOf: (model) => shelf.find(model) },
  });
beforeAll(async () => {
  baseUrl = await server.listen();
  world = await neuralWorld(folder, new ScriptedEngine([{ say: "from here" }, { end: "stop" }]));
  node = await world.start();
  remote = remoteOf(node);
  const job = await trainedJob(world.folders, world.base, [world.datanet]);
  unwrap(await node.shelf.deploy(job, world.base, { name: "cook", ...deployDefaults }));
  adapter = world.folders.weights(job, undefined);
});
afterAll(async () => {
  await Promise.all([remote.close(), node.stop(), server.close()]);
  rmSync(folder, { recursive: true, force: true });
});
const free = { inPerMillion: 0, outPerMillion: 0, perCall: 0 };
const draft = (changes: object = {}) =>
  attachOperatorSchema.parse({
    ...{ name: "gpu-1", kind: "vllm", baseUrl, models: [{ model: "cook", as: "base" }], cost: free },
    ...{ apiKey: "a-key", payee: toHex(parties.ann), ...changes },
  });

test("a vLLM server that is attached runs a deployed adapter from where it lies, and is paid for it", async () => {
  const view = unwrap(await remote.attach(draft()));
  expect(view).toMatchObject({ name: "gpu-1", models: ["cook"], payee: toHex(parties.ann), state: "up" });
  expect(JSON.stringify(view)).not.toContain("a-key");
  const answer = await world.ask(node.url, "cook");
  expect(answer.openledger.operator).toBe("gpu-1");
  expect(server.calls).toEqual([`load ${adapter}`, `chat ${adapter}`]);
  expect(answer.choices[0]?.message.content).toBe(adapter);
  expect(statSync(join(folder, "operators", "gpu-1.json")).mode & 0o777).toBe(0o600);
});

test("a node that starts again has it again; attached anew it is another server; detached, the node's own engine answers", async () => {
  const later = await world.start();
  const again = remoteOf(later);
  unwrap(await again.restore(() => undefined));
  expect((await world.ask(later.url, "cook")).openledger.operator).toBe("gpu-1");
  unwrap(await again.attach(draft({ models: [{ model: "cook", as: "base", adapter: "/elsewhere" }] })));
  const answer = await world.ask(later.url, "cook");
  expect(answer.choices[0]?.message.content).toBe("/elsewhere");
  unwrap(await again.detach("gpu-1"));
  expect((await world.ask(later.url, "cook")).openledger.operator).toBe(NEURAL_OPERATOR);
  expect(await again.detach("gpu-1")).toMatchObject({ ok: false, error: { code: "not_found" } });
  await again.close();
  await later.stop();
});

test.each([
  // what is wrong                       changes                                          refused as
  ["a server that is not there", { baseUrl: "http://127.0.0.1:9/v1" }, "upstream_failed"],
  ["another scheme", { baseUrl: "file:///etc/passwd" }, "invalid_request"],
  ["no URL", { baseUrl: "gpu" }, "invalid_request"],
  ["credentials in the URL", { baseUrl: "http://me:secret@127.0.0.1:9/v1" }, "invalid_request"],
  ["a model that is not served", { models: [{ model: "none" }] }, "model_not_found"],
  ["an adapter for who loads none", { kind: "openai", models: [{ model: "cook", adapter: "/x" }] }, "invalid_request"],
  ["the name of the node's own", { name: NEURAL_OPERATOR }, "already_exists"],
  ["one that the node may yet need", { name: "embedded" }, "already_exists"],
])("%s is refused, and nothing is kept", async (_what, changes, code) => {
  const before = node.gateway.operators.views(0).length;
  expect(await remote.attach(draft({ name: "other", ...changes }))).toMatchObject({ ok: false, error: { code } });
  expect(node.gateway.operators.views(0)).toHaveLength(before);
  expect(() => statSync(join(folder, "operators", "other.json"))).toThrow();
});
