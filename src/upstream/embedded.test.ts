import { afterAll, expect, test } from "vitest";
import { EmbeddedEngine } from "./embedded.ts";
import { collect, engineSuite, requestOf, textOf } from "./testing/engineSuite.ts";

const engine = new EmbeddedEngine({
  worker: new URL("./testing/echoWorker.ts", import.meta.url),
  data: {},
  backoffMs: 10,
});
afterAll(() => engine.close());

engineSuite("embedded", () => ({ engine, say: requestOf, misbehave: (how) => requestOf(how) }));

test("embedded: a throw in the worker fails that run only", async () => {
  const [broken, fine] = await Promise.all([collect(engine, requestOf("broken")), collect(engine, requestOf("fine"))]);
  expect(broken).toMatchObject([
    { type: "failed", refusal: { code: "upstream_failed", message: "the engine broke: a bug" } },
  ]);
  expect(textOf(fine)).toBe("fine");
});

test("embedded: a crash fails all runs in the worker, and one new worker serves the next", async () => {
  const before = engine.restarts;
  const slow = collect(engine, requestOf("slow"));
  await new Promise((resolve) => setTimeout(resolve, 50));
  await collect(engine, requestOf("crash"));
  expect((await slow).at(-1)).toMatchObject({ type: "failed" });
  await Promise.all([collect(engine, requestOf("a")), collect(engine, requestOf("b"))]);
  expect(engine.restarts).toBe(before + 1);
});

test("embedded: a closed engine refuses", async () => {
  const closed = new EmbeddedEngine({ worker: new URL("./testing/echoWorker.ts", import.meta.url), data: {} });
  await closed.close();
  expect(await collect(closed, requestOf("x"))).toMatchObject([{ type: "failed" }]);
});
