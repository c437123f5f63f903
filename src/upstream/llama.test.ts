import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getLlama, LlamaLogLevel } from "node-llama-cpp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EngineEvent, EngineRequest } from "../core/engine.ts";
import { unwrap } from "../core/result.ts";
import { encode } from "../models/bpe.ts";
import { writeLlamaFolder } from "../models/formats/huggingFaceFile.ts";
import { writeAdapterFolder } from "../models/formats/peftFile.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import type { LoraShape } from "../models/lora.ts";
import { loadRuntime } from "../models/onnx/runtime.ts";
import { randomLlama, randomLora, tinyShape } from "../models/testing/randomLlama.ts";
import { lossesOf } from "../models/training/losses.ts";
import { Computation } from "../models/training/neuralModel.ts";
import { LlamaEngine, type LlamaOptions } from "./llama.ts";
import { keptAdapters } from "./llamaNative.ts";
import { LlamaPool } from "./llamaPool.ts";
import { promptTokens } from "./llamaPrompt.ts";
import type { ScoreRequest } from "./llamaProtocol.ts";
import { collect, requestOf, textOf } from "./testing/engineSuite.ts";

const tokenizer = houseTokenizer();
const shape = tinyShape({ vocabulary: tokenizer.bytes.length, contextTokens: 256 });
const lora: LoraShape = { rank: 4, alpha: 16, dropout: 0, targets: ["q_proj", "v_proj", "down_proj"] };
const ADAPTERS = 6;
const folder = mkdtempSync(join(tmpdir(), "openledger-llama-"));
const never = new AbortController().signal;

function engineWith(options: Partial<LlamaOptions> = {}): LlamaEngine {
  return new LlamaEngine({
    cacheFolder: join(folder, "cache"),
    find: (name) => {
      const adapter = /^a(\d)$/.exec(name)?.[1];
      if (name === "damaged") return { base: join(folder, "nowhere") };
      if (name === "base") return { base: join(folder, "base") };
      return adapter === undefined ? undefined : { base: join(folder, "base"), adapter: join(folder, `a${adapter}`) };
    },
    ...{ threads: 1, backoffMs: 10 },
    ...options,
  });
}

const ask = (model: string, text: string, changes: Partial<EngineRequest> = {}): EngineRequest =>
  requestOf(text, { model, maxTokens: 12, ...changes });
const scoring = (model: string, question: string, text: string): ScoreRequest => ({
  ...{ model, mode: "chat", messages: ask(model, question).messages, reads: [[]], text, withinMs: 60_000 },
});
const usageOf = (events: readonly EngineEvent[]) => events.find((event) => event.type === "usage");

describe("llama.cpp", () => {
  const engine = engineWith();
  beforeAll(async () => {
    const model = { shape, tensors: randomLlama(shape, 1), tokenizer };
    unwrap(await writeLlamaFolder(join(folder, "base"), model));
    for (let i = 0; i < ADAPTERS; i++) {
      const adapter = { lora, tensors: randomLora(shape, lora, 10 + i) };
      unwrap(await writeAdapterFolder(join(folder, `a${i}`), adapter, { shape, name: "base" }));
    }
    unwrap(await engine.start());
  });
  afterAll(async () => {
    await engine.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("text in parts, then usage, then the end; whole characters only", async () => {
    const events = await collect(engine, ask("base", "How?"));
    expect(events.slice(-2)).toEqual([
      { type: "usage", tokensIn: unwrap(promptTokens(tokenizer, ask("base", "How?"), 256)).length, tokensOut: 12 },
      { type: "end", reason: "length" },
    ]);
    expect(events.length).toBeGreaterThan(4);
    expect(textOf(events)).not.toBe("");
    const whole = await collect(engine, ask("base", "How?", { isStreamed: false }));
    expect(textOf(whole)).toBe(textOf(events));
  });

  test("each adapter says something of its own, and the same again; runs side by side do not mix", async () => {
    const models = ["base", ...Array.from({ length: ADAPTERS }, (_, i) => `a${i}`)];
    const alone: string[] = [];
    for (const model of models) alone.push(textOf(await collect(engine, ask(model, "Why?"))));
    expect(new Set(alone).size).toBe(models.length);
    const together = await Promise.all(
      [...models, ...models, ...models].map(async (model) => textOf(await collect(engine, ask(model, "Why?")))),
    );
    expect(together).toEqual([...alone, ...alone, ...alone]);
  });

  test("with memory for one context, adapters take turns and nobody starves", async () => {
    const narrow = engineWith({ memoryBytesMax: 1, sequences: 2 });
    try {
      const models = Array.from({ length: 30 }, (_, i) => (i % 3 === 2 ? `a${((i / 3) % 3) | 0}` : "base"));
      const answers = await Promise.all(models.map((model) => collect(narrow, ask(model, "Why?"))));
      const expected = await Promise.all(models.map((model) => collect(engine, ask(model, "Why?"))));
      expect(answers.map(textOf)).toEqual(expected.map(textOf));
      expect(narrow.restarts).toBe(0);
    } finally {
      await narrow.close();
    }
  });

  test("sampling follows the seed, and top p of nearly nothing takes the likeliest", async () => {
    const warm = (seed: number) => ask("base", "What?", { temperature: 1.5, seed, maxTokens: 24 });
    const said = async (request: EngineRequest) => textOf(await collect(engine, request));
    const first = await said(warm(7));
    expect(await said(warm(7))).toBe(first);
    expect(await said(warm(8))).not.toBe(first);
    const greedy = await said(ask("base", "What?", { maxTokens: 24 }));
    expect(await said(ask("base", "What?", { maxTokens: 24, temperature: 1, topP: 1e-6, seed: 3 }))).toBe(greedy);
  });

  test("stops before a stop sequence", async () => {
    const text = textOf(await collect(engine, ask("base", "Where?")));
    const stop = text.slice(Math.floor(text.length / 2), Math.floor(text.length / 2) + 3);
    const events = await collect(engine, ask("base", "Where?", { stop: [stop] }));
    expect(textOf(events)).toBe(text.slice(0, text.indexOf(stop)));
    expect(events.at(-1)).toEqual({ type: "end", reason: "stop" });
  });

  test("the context is never overrun: the answer is shorter, passages are left out, and a prompt too long is refused", async () => {
    const long = "word ".repeat(200);
    const events = await collect(engine, ask("base", long, { maxTokens: 10_000 }));
    const usage = usageOf(events);
    expect(usage?.type === "usage" && usage.tokensIn + usage.tokensOut).toBe(255);
    expect(events.at(-1)).toEqual({ type: "end", reason: "length" });
    const passage = { record: "", number: 0, title: "T", headings: [], text: long.repeat(2), source: "s", score: 1 };
    const kept = usageOf(
      await collect(engine, ask("base", "x", { passages: [{ ...passage, text: "short" }, passage] })),
    );
    const alone = usageOf(await collect(engine, ask("base", "x", { passages: [{ ...passage, text: "short" }] })));
    expect(kept).toEqual(alone);
    expect(await collect(engine, ask("base", long.repeat(2)))).toMatchObject([
      { refusal: { code: "context_too_long" } },
    ]);
  });

  test("a text's score is the sum over its tokens, and an adapter changes it", async () => {
    const request = scoring("a1", "Which one?", " The first of them.");
    const score = unwrap(await engine.score(request, never));
    expect(score.tokens).toBe(encode(tokenizer, request.text).length);
    const halves = [" The first", " of them."];
    const second = { ...request, mode: "text", text: halves[1] ?? "" } as const;
    const prompt = (text: string) => [{ role: "user", content: text } as const];
    const parts = await Promise.all([
      engine.score({ ...request, mode: "text", messages: prompt("Which?"), text: halves[0] ?? "" }, never),
      engine.score({ ...second, messages: prompt(`Which?${halves[0]}`) }, never),
      engine.score({ ...second, messages: prompt("Which?"), text: halves.join("") }, never),
    ]);
    const [a, b, both] = parts.map((part) => unwrap(part).logProbabilities[0]);
    expect(both).toBeCloseTo((a ?? 0) + (b ?? 0), 2);
    const [other] = unwrap(await engine.score({ ...request, model: "a2" }, never)).logProbabilities;
    expect(other).not.toBeCloseTo(score.logProbabilities[0]!, 3);
    const long = { ...request, text: "word ".repeat(300) };
    expect(await engine.score(long, never)).toMatchObject({ error: { code: "context_too_long" } });
  });

  test("a text's score is what the trainer's graph gives it", async () => {
    const request = scoring("a1", "Which one?", " The first of them, and no other.");
    const score = unwrap(await engine.score(request, never));
    const prompt = unwrap(promptTokens(tokenizer, { ...request, passages: [] }, 200));
    const tokens = Uint16Array.from([...prompt, ...encode(tokenizer, request.text)]);
    const isTarget = new Uint8Array(tokens.length).fill(1, prompt.length);
    const adapter = { lora, tensors: randomLora(shape, lora, 11) };
    const model = { shape, weights: randomLlama(shape, 1), adapter };
    const computation = await Computation.open({ runtime: unwrap(await loadRuntime()), threads: 1 }, model, {
      losses: true,
    });
    const [loss] = await lossesOf(computation, [{ record: "", tokens, isTarget }]);
    await computation.close();
    expect(Math.abs(score.logProbabilities[0]! + (loss ?? 0)) / score.tokens).toBeLessThan(0.03);
  });

  test("with many sets of passages a text scores as with each alone, whatever order they come in", async () => {
    const [a, b, c] = ["One is here.", "Two is there, after it.", "One is here, and more."].map((text, number) => ({
      ...{ record: String(number), number, title: "T", headings: [], text, source: "s", score: 1 },
    }));
    const reads = [[a!], [], [b!, c!], [a!, b!, c!], [c!], [a!], [a!, b!], [a!, c!], [b!]];
    const request = { ...scoring("a1", "Which one?", " The first of them, and no other."), reads };
    const together = unwrap(await engine.score(request, never)).logProbabilities;
    for (const [i, read] of reads.entries()) {
      const [alone] = unwrap(await engine.score({ ...request, reads: [read] }, never)).logProbabilities;
      expect(together[i]).toBeCloseTo(alone!, 3);
    }
    expect(new Set(together.map((one) => one.toFixed(3))).size).toBe(reads.length - 1);
    expect(together[5]).toBe(together[0]);
  });

  test("what cannot be scored in time is given up, and what is cancelled; the sequence serves on", async () => {
    const many = { ...scoring("a1", "Which one?", "word ".repeat(100)), reads: Array.from({ length: 30 }, () => []) };
    expect(await engine.score({ ...many, withinMs: 0 }, never)).toMatchObject({ error: { code: "upstream_timeout" } });
    const controller = new AbortController();
    const cancelled = engine.score(many, controller.signal);
    controller.abort();
    expect(await cancelled).toMatchObject({ error: { code: "cancelled" } });
    expect(unwrap(await engine.score(many, never)).logProbabilities).toHaveLength(30);
  });

  test("an abort ends the iteration soon, without a last event, and frees the sequence", async () => {
    const small = engineWith({ sequences: 1, memoryBytesMax: 1 });
    try {
      const controller = new AbortController();
      const events: EngineEvent[] = [];
      for await (const batch of small.complete(ask("base", "x", { maxTokens: 200 }), controller.signal)) {
        events.push(...batch);
        controller.abort();
      }
      expect(events.every((event) => event.type === "text")).toBe(true);
      expect(await collect(small, ask("base", "x"), AbortSignal.abort())).toEqual([]);
      expect((await collect(small, ask("a0", "x"))).at(-1)).toMatchObject({ type: "end" });
    } finally {
      await small.close();
    }
  });

  test("a crash fails the runs that were in it, and a fresh child serves the next", async () => {
    const before = engine.restarts;
    const running = collect(engine, ask("base", "x", { maxTokens: 200 }));
    const scored = engine.score(scoring("a0", "x", "word ".repeat(100)), never);
    await new Promise((resolve) => setTimeout(resolve, 5));
    const pid = engine.pid;
    if (pid !== undefined) process.kill(pid, "SIGKILL");
    expect((await running).at(-1)).toMatchObject({ type: "failed", refusal: { code: "upstream_failed" } });
    expect(await scored).toMatchObject({ ok: false, error: { code: "upstream_failed" } });
    const again = await Promise.all([collect(engine, ask("base", "a")), collect(engine, ask("a0", "b"))]);
    expect(again.map((events) => events.at(-1)?.type)).toEqual(["end", "end"]);
    expect(engine.restarts).toBe(before + 1);
    expect(engine.pid).not.toBe(pid);
  });

  test("an adapter whose context is gone is gone from memory", async () => {
    const llama = await getLlama({ gpu: false, build: "never", skipDownload: true, logLevel: LlamaLogLevel.fatal });
    const setup = { cacheFolder: join(folder, "cache"), weights: "auto", sequences: 1, threads: 1 } as const;
    const pool = new LlamaPool(llama, { ...setup, memoryBytesMax: 1 });
    for (let i = 0; i < ADAPTERS; i++) {
      const model = { base: join(folder, "base"), adapter: join(folder, `a${i}`) };
      const lease = unwrap(await pool.lease(model, never));
      lease.release();
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(keptAdapters(lease.base.model)?.size).toBe(1);
    }
    await llama.dispose();
  });

  test("what is not there, or damaged, is refused; a damaged cache is made again", async () => {
    expect(await collect(engine, ask("nope", "x"))).toMatchObject([{ refusal: { code: "upstream_failed" } }]);
    const poisoned = randomLora(shape, lora, 1);
    for (const { data } of poisoned.values()) data[3] = Number.NaN;
    unwrap(await writeAdapterFolder(join(folder, "a9"), { lora, tensors: poisoned }, { shape, name: "base" }));
    expect(await collect(engine, ask("a9", "x"))).toMatchObject([{ refusal: { code: "invalid_request" } }]);
    expect(await collect(engine, ask("damaged", "x"))).toMatchObject([{ refusal: { code: "not_found" } }]);
    const cache = join(folder, "cache");
    for (const file of readdirSync(cache)) writeFileSync(join(cache, file), "GGUF");
    const fresh = engineWith();
    try {
      expect((await collect(fresh, ask("a3", "x"))).at(-1)).toMatchObject({ type: "end" });
    } finally {
      await fresh.close();
    }
    expect(await collect(fresh, ask("a3", "x"))).toMatchObject([
      { refusal: { message: expect.stringContaining("not running") } },
    ]);
  });
});
