import { expect, test } from "vitest";
import type { Engine, EngineEvent, EngineRequest } from "../../core/engine.ts";

/** What every engine must do. `say` gives the request whose answer is its own last message, `misbehave` one that goes wrong as named. */
export interface EngineUnderTest {
  readonly engine: Engine;
  say(text: string, changes?: Partial<EngineRequest>): EngineRequest;
  misbehave(how: "refuse" | "crash" | "slow"): EngineRequest;
}

export async function collect(engine: Engine, request: EngineRequest, signal = never()): Promise<EngineEvent[]> {
  const events: EngineEvent[] = [];
  for await (const batch of engine.complete(request, signal)) events.push(...batch);
  return events;
}

export function textOf(events: readonly EngineEvent[]): string {
  return events.map((event) => (event.type === "text" ? event.text : "")).join("");
}

export function engineSuite(name: string, subject: () => EngineUnderTest): void {
  test(`${name}: text in parts, then usage, then the end`, async () => {
    const { engine, say } = subject();
    const events = await collect(engine, say("one two three"));
    expect(textOf(events)).toBe("one two three");
    expect(events.filter((event) => event.type === "text").length).toBeGreaterThan(1);
    expect(events.slice(-2)).toEqual([
      { type: "usage", tokensIn: 3, tokensOut: 3 },
      { type: "end", reason: "stop" },
    ]);
  });

  test(`${name}: stops at max tokens and says so`, async () => {
    const { engine, say } = subject();
    const events = await collect(engine, say("one two three", { maxTokens: 2 }));
    expect(textOf(events)).toBe("one two ");
    expect(events.at(-1)).toEqual({ type: "end", reason: "length" });
  });

  test(`${name}: text mode`, async () => {
    const { engine, say } = subject();
    expect(textOf(await collect(engine, say("go on", { mode: "text" })))).toBe("go on");
  });

  test(`${name}: characters of several bytes arrive whole`, async () => {
    const { engine, say } = subject();
    expect(textOf(await collect(engine, say("grüße 世界 🦊 é")))).toBe("grüße 世界 🦊 é");
  });

  test(`${name}: a refusal is an event, and the last one`, async () => {
    const { engine, misbehave } = subject();
    const events = await collect(engine, misbehave("refuse"));
    expect(events).toMatchObject([{ type: "failed", refusal: { code: "invalid_request" } }]);
  });

  test(`${name}: a crash is an event, and the next request is served`, async () => {
    const { engine, misbehave, say } = subject();
    expect((await collect(engine, misbehave("crash"))).at(-1)).toMatchObject({ refusal: { code: "upstream_failed" } });
    expect(textOf(await collect(engine, say("here again")))).toBe("here again");
  });

  test(`${name}: an abort ends the iteration soon, without a last event`, async () => {
    const { engine, misbehave } = subject();
    const controller = new AbortController();
    const events: EngineEvent[] = [];
    const startedMs = performance.now();
    for await (const batch of engine.complete(misbehave("slow"), controller.signal)) {
      events.push(...batch);
      if (events.length >= 3) controller.abort();
    }
    expect(performance.now() - startedMs).toBeLessThan(2_000);
    expect(events.every((event) => event.type === "text")).toBe(true);
  });

  test(`${name}: aborted before it began`, async () => {
    const { engine, say } = subject();
    expect(await collect(engine, say("never"), AbortSignal.abort())).toEqual([]);
  });

  test(`${name}: runs side by side do not mix`, async () => {
    const { engine, say } = subject();
    const texts = Array.from({ length: 20 }, (_, i) => `run ${i} says ${i * i}`);
    const answers = await Promise.all(texts.map(async (text) => textOf(await collect(engine, say(text)))));
    expect(answers).toEqual(texts);
  });
}

export function requestOf(text: string, changes: Partial<EngineRequest> = {}): EngineRequest {
  return {
    model: "m",
    mode: "chat",
    messages: [{ role: "user", content: text }],
    passages: [],
    maxTokens: 100,
    isStreamed: true,
    ...changes,
  };
}

function never(): AbortSignal {
  return new AbortController().signal;
}
