import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { EngineEvent } from "../core/engine.ts";
import { collect, requestOf, textOf } from "./testing/engineSuite.ts";
import { FakeVllm } from "./testing/fakeVllm.ts";
import { VllmEngine } from "./vllm.ts";

let server: FakeVllm;
let baseUrl = "";
let engines: VllmEngine[] = [];
beforeEach(async () => {
  server = new FakeVllm();
  baseUrl = await server.listen();
});
afterEach(async () => {
  await Promise.all(engines.map((engine) => engine.close()));
  engines = [];
  await server.close();
});

function engineWith(adaptersMax: number): VllmEngine {
  const engine = new VllmEngine({
    ...{ baseUrl, adaptersMax, headersTimeoutMs: 2_000, bodyTimeoutMs: 2_000 },
    find: (model) => {
      if (model === "unknown") return undefined;
      return model === "base" ? { base: "base" } : { base: "base", adapter: `/adapters/${model}` };
    },
  });
  engines.push(engine);
  return engine;
}

const ask = (engine: VllmEngine, model: string, signal?: AbortSignal): Promise<EngineEvent[]> =>
  collect(engine, requestOf("x", { model }), signal);
const loads = () => server.calls.filter((call) => call.startsWith("load"));

test("the base needs no adapter; an adapter is loaded once, however many ask for it at once", async () => {
  const engine = engineWith(4);
  expect(textOf(await ask(engine, "base"))).toBe("base");
  expect(loads()).toEqual([]);
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask(engine, "a")));
  expect(new Set(answers.map(textOf))).toEqual(new Set(["/adapters/a"]));
  expect(answers[0]?.at(-1)).toEqual({ type: "end", reason: "stop" });
  expect(loads()).toEqual(["load /adapters/a"]);
});

test("the least recently used goes first", async () => {
  const engine = engineWith(2);
  for (const model of ["a", "b", "a", "c", "a", "b"]) await ask(engine, model);
  expect(server.calls.filter((call) => !call.startsWith("chat"))).toEqual([
    ...["load /adapters/a", "load /adapters/b", "unload /adapters/b", "load /adapters/c"],
    ...["unload /adapters/c", "load /adapters/b"],
  ]);
});

test("in any rush everybody is answered by their own adapter, never more are loaded than fit, none is lost in use", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 3 }),
      fc.array(fc.constantFrom("a", "b", "c", "d", "base"), { minLength: 1, maxLength: 25 }),
      async (adaptersMax, models) => {
        server.restart();
        server.adaptersMax = adaptersMax;
        server.adaptersSeen = 0;
        const engine = engineWith(adaptersMax);
        const answers = await Promise.all(models.map((model) => ask(engine, model)));
        expect(answers.map(textOf)).toEqual(models.map((model) => (model === "base" ? "base" : `/adapters/${model}`)));
        expect(server.adaptersSeen).toBeLessThanOrEqual(adaptersMax);
      },
    ),
    { numRuns: 25 },
  );
});

test("an adapter that is asked for all the time does not keep another one out", async () => {
  const engine = engineWith(1);
  let isDone = false;
  const busy = Array.from({ length: 4 }, async () => {
    while (!isDone) expect(textOf(await ask(engine, "a"))).toBe("/adapters/a");
  });
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(textOf(await ask(engine, "b"))).toBe("/adapters/b");
  isDone = true;
  await Promise.all(busy);
});

test("a server that was started anew is told again; an engine that was finds its adapters loaded", async () => {
  const engine = engineWith(4);
  await ask(engine, "a");
  server.restart();
  const answers = await Promise.all([ask(engine, "a"), ask(engine, "a"), ask(engine, "a")]);
  expect(answers.map(textOf)).toEqual(["/adapters/a", "/adapters/a", "/adapters/a"]);
  expect(loads().length).toBe(2);
  expect(textOf(await ask(engineWith(4), "a"))).toBe("/adapters/a");
});

test.each([
  ["unknown", true, 'no model "unknown"', undefined],
  ["missing", true, "did not load the adapter (404)", undefined],
  ["a", false, "does not load adapters", "VLLM_ALLOW_RUNTIME_LORA_UPDATING"],
])("%s with loading %s is refused, and the next request is served", async (model, isEnabled, why, hint) => {
  const engine = engineWith(1);
  server.isEnabled = isEnabled;
  const refusal = { code: "upstream_failed", message: expect.stringContaining(why) };
  expect(await ask(engine, model)).toMatchObject([
    { refusal: hint === undefined ? refusal : { ...refusal, hint: expect.stringContaining(hint) } },
  ]);
  server.isEnabled = true;
  expect(textOf(await ask(engine, "b"))).toBe("/adapters/b");
});

test("an aborted wait ends without an event and leaves the line", async () => {
  const engine = engineWith(1);
  server.answerMs = 50;
  const first = ask(engine, "a");
  await new Promise((resolve) => setTimeout(resolve, 20));
  const controller = new AbortController();
  const second = ask(engine, "b", controller.signal);
  const third = ask(engine, "c");
  await new Promise((resolve) => setTimeout(resolve, 10));
  controller.abort();
  expect(await second).toEqual([]);
  expect((await Promise.all([first, third])).map(textOf)).toEqual(["/adapters/a", "/adapters/c"]);
  expect(loads()).toEqual(["load /adapters/a", "load /adapters/c"]);
});

test("a server that is not there is an event", async () => {
  const engine = engineWith(1);
  await server.close();
  expect(await ask(engine, "a")).toMatchObject([{ refusal: { code: "upstream_failed" } }]);
});
