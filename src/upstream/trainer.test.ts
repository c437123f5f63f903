import { execFile } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { unwrap } from "../core/result.ts";
import { isAlive, until } from "../host/processes.ts";
import { writeLlamaFolder } from "../models/formats/huggingFaceFile.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import { tinyShape } from "../models/testing/randomLlama.ts";
import { initialLlama } from "../models/training/initial.ts";
import type { TrainingEvent, TrainingExample, TrainingTask } from "../models/training/task.ts";
import { ChildEvaluator, ChildTrainer } from "./trainer.ts";

const folder = mkdtempSync(join(tmpdir(), "openledger-trainer-"));
const base = join(folder, "base");
const never = new AbortController().signal;

beforeAll(async () => {
  const shape = tinyShape({ vocabulary: 8_192 });
  unwrap(await writeLlamaFolder(base, { shape, tensors: initialLlama(shape, 1), tokenizer: houseTokenizer() }));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const examples: readonly TrainingExample[] = Array.from({ length: 12 }, (_unused, i) => ({
  record: `r${i}`,
  messages: [
    { role: "user", content: `What is ${i}?` },
    { role: "assistant", content: `It is the number ${i}.` },
  ],
}));

function taskIn(name: string, changes: Partial<TrainingTask["options"]> = {}): TrainingTask {
  return {
    ...{ folder: join(folder, name), base, examples, heldOut: examples.slice(0, 3) },
    options: {
      ...{ adapter: { rank: 2, alpha: 4, dropout: 0.1, targets: ["q_proj", "up_proj"] }, epochs: 4, batchSize: 2 },
      ...{ sequenceTokens: 64, learningRate: 0.01, warmUp: 0.1, weightDecay: 0, gradientNormMax: 1, seed: 3 },
      ...{ patience: 0, checkpointEvery: 3, fitsInfluence: false },
      ...changes,
    },
  };
}

interface Told {
  readonly events: TrainingEvent[];
  readonly hash: string | undefined;
}

async function train(trainer: ChildTrainer, task: TrainingTask): Promise<Told> {
  const events: TrainingEvent[] = [];
  unwrap(await trainer.train(task, (event) => events.push(event), never));
  return { events, hash: events.flatMap((event) => (event.type === "finished" ? [event.hash] : []))[0] };
}

describe("training in a child process", () => {
  it("heeds a cancel while it still reads its examples", async () => {
    const trainer = new ChildTrainer();
    const text = "It is the number that was asked for. ".repeat(50);
    const many = Array.from({ length: 4_000 }, (_unused, i) => ({ record: `r${i}`, text: `${i} ${text}` }));
    const controller = new AbortController();
    const events: TrainingEvent[] = [];
    const task = { ...taskIn("many"), examples: many };
    const done = trainer.train(task, (event) => events.push(event), controller.signal);
    await until(async () => trainer.pids.length > 0, 10_000, 5);
    controller.abort();
    unwrap(await done);
    expect(events).toEqual([{ type: "cancelled", step: 0 }]);
  });

  it("tells what it does, and its cancelled and killed trainings end with the hash of the uninterrupted one", async () => {
    const trainer = new ChildTrainer();
    const whole = await train(trainer, taskIn("whole"));
    const kinds = new Set(whole.events.map(({ type }) => type));
    expect(kinds).toEqual(new Set(["started", "step", "evaluated", "checkpoint", "finished"]));
    expect(whole.events.at(-1)).toMatchObject({
      type: "finished",
      reason: "done",
      folder: join(folder, "whole", "adapter"),
    });

    const controller = new AbortController();
    const events: TrainingEvent[] = [];
    const cancelled = await trainer.train(
      taskIn("cancelled"),
      (event) => {
        events.push(event);
        if (event.type === "step" && event.step === 2) controller.abort();
      },
      controller.signal,
    );
    expect([cancelled.ok, events.at(-1)?.type]).toEqual([true, "cancelled"]);
    const rest = await train(trainer, taskIn("cancelled"));
    expect(rest.events[0]).toMatchObject({ type: "started", resumedAt: Reflect.get(events.at(-1)!, "step") });
    expect(rest.hash).toBe(whole.hash);

    const killed = await trainer.train(
      taskIn("killed"),
      (event) => {
        if (event.type === "step" && event.step === 4) for (const pid of trainer.pids) process.kill(pid, "SIGKILL");
      },
      never,
    );
    expect(killed).toMatchObject({
      ok: false,
      error: { code: "upstream_failed", message: expect.stringContaining("SIGKILL") },
    });
    const resumed = await train(trainer, taskIn("killed"));
    expect(resumed.events[0]).toMatchObject({ type: "started", resumedAt: 3 });
    expect(resumed.hash).toBe(whole.hash);
    expect((await train(trainer, taskIn("killed"))).hash).toBe(whole.hash);
    expect(trainer.pids).toEqual([]);
  });

  it("runs one training after the other, and none once it is closed", async () => {
    const trainer = new ChildTrainer();
    const [one, two] = await Promise.all([
      train(trainer, taskIn("one", { epochs: 1 })),
      train(trainer, taskIn("two", { epochs: 1 })),
    ]);
    expect(one.hash).toBe(two.hash);
    await trainer.close();
    expect(await trainer.train(taskIn("three"), () => {}, never)).toMatchObject({ error: { code: "shutting_down" } });
  });

  it.each([
    ["a base that is not there", { base: "/nowhere" }, {}, "not_found"],
    ["nothing to learn", { examples: [{ record: "r", messages: [] }] }, {}, "invalid_request"],
    ["options out of range", {}, { batchSize: 0 }, "invalid_request"],
    ["sequences beyond the base's", {}, { sequenceTokens: 4_096 }, "invalid_request"],
  ] as const)("refuses %s", async (_what, task, options, code) => {
    const trainer = new ChildTrainer();
    expect(await trainer.train({ ...taskIn("refused", options), ...task }, () => {}, never)).toMatchObject({
      ok: false,
      error: { code },
    });
  });

  it("does not go on from another task's checkpoint", async () => {
    const trainer = new ChildTrainer();
    await train(trainer, taskIn("taken", { epochs: 1 }));
    expect(await trainer.train(taskIn("taken", { epochs: 2 }), () => {}, never)).toMatchObject({
      error: { code: "conflict" },
    });
  });
});

describe("measuring in a child process", () => {
  it("finds the loss that the training found, of texts that are longer than a sequence too", async () => {
    const trainer = new ChildTrainer();
    const heldOut = [...examples.slice(0, 2), { record: "long", text: "Numbers follow one another. ".repeat(12) }];
    const short = taskIn("windows", { epochs: 1, sequenceTokens: 20 });
    const { events } = await train(trainer, { ...short, heldOut });
    const told = events.flatMap((event) => (event.type === "finished" ? [event.heldOutLoss] : []));
    const evaluator = new ChildEvaluator({ idleMs: 100 });
    const adapter = join(folder, "windows", "adapter");
    const losses = unwrap(await evaluator.losses({ base, adapter, examples: heldOut, sequenceTokens: 20 }, never));
    expect(losses.map(({ record }) => record)).toEqual(["r0", "r1", "long"]);
    const mean = total(losses.map(({ loss }) => loss)) / total(losses.map(({ tokens }) => tokens));
    expect(mean).toBeCloseTo(told[0]!, 3);
    await evaluator.close();
  });

  it("gives losses, gradients and curvature, survives a crash, and ends when idle", async () => {
    const trainer = new ChildTrainer();
    await train(trainer, taskIn("measured", { epochs: 2 }));
    const task = { base, adapter: join(folder, "measured", "adapter"), examples, sequenceTokens: 64 };
    const evaluator = new ChildEvaluator({ idleMs: 100 });
    const losses = unwrap(await evaluator.losses(task, never));
    expect(losses.map(({ record }) => record)).toEqual(examples.map(({ record }) => record));
    const before = unwrap(await evaluator.losses({ base, examples, sequenceTokens: 64 }, never));
    expect(total(losses.map(({ loss }) => loss))).toBeLessThan(total(before.map(({ loss }) => loss)));

    const basis = { columns: 32, inward: 3, inputBasis: new Float32Array(3 * 32).fill(0.1) };
    const bases = [0, 1].flatMap((layer) => [
      {
        ...{ ...basis, name: `model.layers.${layer}.mlp.up_proj.weight` },
        ...{ out: 64, outward: 60, outputBasis: new Float32Array(60 * 64).fill(0.1) },
      },
      {
        ...{ ...basis, name: `model.layers.${layer}.self_attn.q_proj.weight` },
        ...{ out: 32, outward: 32, outputBasis: new Float32Array(32 ** 2).fill(0.1) },
      },
    ]);
    const seen = new Map<number, { readonly loss: number; readonly sizes: readonly number[] }>();
    unwrap(
      await evaluator.gradients(
        { ...task, at: "end", bases },
        ({ index, loss, gradients }) => {
          seen.set(index, { loss, sizes: [...gradients.values()].map(({ length }) => length) });
        },
        never,
      ),
    );
    expect(seen.size).toBe(examples.length);
    losses.forEach(({ loss }, i) => {
      expect(seen.get(i)!.loss).toBeCloseTo(loss, 3);
      // q_proj [32, 3] and up_proj [60, 3] in each of two layers.
      expect(seen.get(i)!.sizes).toEqual([96, 180, 96, 180]);
    });
    const atStart: number[] = [];
    const onStart = ({ index, loss }: { readonly index: number; readonly loss: number }) => {
      atStart[index] = loss;
    };
    unwrap(await evaluator.gradients({ ...task, at: "start", bases }, onStart, never));
    before.forEach(({ loss }, i) => {
      expect(atStart[i]).toBeCloseTo(loss, 3);
    });
    const curvature = unwrap(await evaluator.curvature({ ...task, at: "end", labels: "sampled", seed: 1 }, never));
    expect(curvature.modules.map(({ columns, out }) => [columns, out])).toEqual([
      [32, 32],
      [32, 64],
      [32, 32],
      [32, 64],
    ]);

    const { pid } = evaluator;
    expect(pid).toBeDefined();
    const broken = evaluator.losses(task, never);
    process.kill(pid!, "SIGKILL");
    expect(await broken).toMatchObject({ ok: false, error: { code: "upstream_failed" } });
    expect(unwrap(await evaluator.losses(task, never))).toEqual(losses);
    const last = evaluator.pid;
    expect(await until(() => !isAlive(last!), 5_000)).toBe(true);
    const aborted = new AbortController();
    aborted.abort();
    expect(await evaluator.losses(task, aborted.signal)).toMatchObject({ error: { code: "cancelled" } });
    await evaluator.close();
  });
});

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

it("a program that has nothing else to do sees the end of what it closes", async () => {
  const module = JSON.stringify(new URL("./trainer.ts", import.meta.url).href);
  const task = JSON.stringify({ base: join(folder, "none"), examples: [], sequenceTokens: 8 });
  const program = [
    `const { ChildEvaluator } = await import(${module});`,
    "const evaluator = new ChildEvaluator();",
    `await evaluator.losses(${task}, new AbortController().signal);`,
    "await evaluator.close();",
    'console.log("closed");',
  ].join("\n");
  const tsx = ["--import", import.meta.resolve("tsx"), "--input-type=module", "--eval", program];
  const { stdout } = await promisify(execFile)(process.execPath, tsx);
  expect(stdout).toBe("closed\n");
});
