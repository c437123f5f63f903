import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { unwrap } from "../core/result.ts";
import type { ModelFacts } from "../factory/modelFacts.ts";
import { deployDefaults } from "../factory/order.ts";
import { LlamaEngine } from "../upstream/llama.ts";
import { FakeVllm } from "../upstream/testing/fakeVllm.ts";
import { ChildEvaluator, ChildTrainer } from "../upstream/trainer.ts";
import { ModelExports } from "./modelExports.ts";
import type { NeuralShelf } from "./neuralShelf.ts";
import { RemoteOperators } from "./remoteOperators.ts";
import { neuralWorld, trainedJob } from "./testing/neuralWorld.ts";

/** In every process that is started from here, the native engines are as if they had not been installed. */
const hooks = `export async function resolve(name, context, next) {
  if (/^(node-llama-cpp|onnxruntime-node)/.test(name)) throw new Error("Cannot find package '" + name + "'");
  return next(name, context);
}`;
const folder = mkdtempSync(join(tmpdir(), "openledger-absent-"));
const before = process.env["NODE_OPTIONS"];
let shelf: NeuralShelf | undefined;
const engine = new LlamaEngine({ cacheFolder: join(folder, "cache"), find: (name) => shelf?.find(name) });
let world: Awaited<ReturnType<typeof neuralWorld>>;
let node: Awaited<ReturnType<typeof world.start>>;
beforeAll(async () => {
  const script = join(folder, "missing.mjs");
  const url = JSON.stringify(`data:text/javascript,${encodeURIComponent(hooks)}`);
  writeFileSync(script, `import { register } from "node:module"; register(${url});`);
  process.env["NODE_OPTIONS"] = `${before ?? ""} --import ${script}`;
  world = await neuralWorld(folder, engine);
  node = await world.start();
  shelf = node.shelf;
});
afterAll(async () => {
  if (before === undefined) delete process.env["NODE_OPTIONS"];
  else process.env["NODE_OPTIONS"] = before;
  await Promise.all([engine.close(), node.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

test("without llama.cpp a model is still deployed, described and exported; asking it says what to install", async () => {
  const job = await trainedJob(world.folders, world.base, [world.datanet]);
  unwrap(await node.shelf.deploy(job, world.base, { name: "cook", ...deployDefaults }));
  const answer = await world.post(node.url, "cook");
  expect(answer).toMatchObject({ status: 502, text: expect.stringContaining("npm install node-llama-cpp") });
  const exports = new ModelExports({
    nowMs: Date.now,
    data: folder,
    bases: world.bases,
    source: async () => Promise.reject(),
    pause: async () => undefined,
  });
  const facts: ModelFacts = {
    ...{ name: "cook", kind: "adapter", hash: world.base.hash, licence: "MIT", createdMs: 0 },
    ...{ datanets: [], evaluations: [] },
  };
  const place = node.shelf.find("cook")!;
  const exported = await exports.model("cook", { facts, place }, "gguf");
  expect(unwrap(exported).files.map(({ name }) => name)).toContain("adapter.gguf");
});

test("another server runs the model all the same", async () => {
  const server = new FakeVllm();
  const { gateway, shelf: placed } = node;
  const placeOf = (model: string) => placed.find(model);
  const remote = new RemoteOperators({ data: folder, gateway, node: new Uint8Array(32).fill(1), fetch, placeOf });
  const cost = { inPerMillion: 0, outPerMillion: 0, perCall: 0 };
  const [baseUrl, models] = [await server.listen(), [{ model: "cook", as: "base" }]];
  unwrap(await remote.attach({ name: "gpu", kind: "vllm", baseUrl, models, cost, concurrency: 4, adaptersMax: 4 }));
  expect((await world.ask(node.url, "cook")).openledger.operator).toBe("gpu");
  unwrap(await remote.detach("gpu"));
  await server.close();
});

test("without ONNX Runtime a training and a measurement are refused, and say what to install", async () => {
  const [trainer, evaluator] = [new ChildTrainer(), new ChildEvaluator()];
  const { signal } = new AbortController();
  const job = await trainedJob(world.folders, world.base, [world.datanet]);
  const examples = [{ record: "1", text: "Knead the dough." }];
  const task = { folder: join(folder, "work"), base: world.base.folder, examples, heldOut: [], options: job.options };
  const trained = await trainer.train(task, () => undefined, signal);
  expect(trained).toMatchObject({
    ok: false,
    error: { hint: expect.stringContaining("npm install onnxruntime-node") },
  });
  const measured = await evaluator.losses({ base: world.base.folder, examples, sequenceTokens: 64 }, signal);
  expect(measured).toMatchObject({ ok: false, error: { code: "upstream_failed" } });
  await Promise.all([trainer.close(), evaluator.close()]);
});
