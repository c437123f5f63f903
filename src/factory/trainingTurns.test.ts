import { describe, expect, it } from "vitest";
import { ok, unwrap } from "../core/result.ts";
import type { TrainingEvent, TrainingTask } from "../models/training/task.ts";
import { resolveOptions } from "./options.ts";
import { smallBase } from "./testing/smallFactory.ts";
import type { Trainer } from "./trainer.ts";
import { TrainingTurns } from "./trainingTurns.ts";

/** Does the steps that it is let do, one task after the other, and goes on where a task was set aside. */
class SteppedTrainer implements Trainer {
  readonly done: string[] = [];
  readonly #reached = new Map<string, number>();
  #before: Promise<unknown> = Promise.resolve();

  train: Trainer["train"] = (task, onEvent, signal) => {
    const result = this.#before.then(() => this.#train(task, onEvent, signal));
    this.#before = result;
    return result;
  };

  async #train({ folder }: TrainingTask, onEvent: (event: TrainingEvent) => void, signal: AbortSignal) {
    for (let step = this.#reached.get(folder) ?? 0; step < 5; step++) {
      await new Promise((resolve) => setImmediate(resolve));
      if (signal.aborted) {
        onEvent({ type: "cancelled", step });
        return ok(undefined);
      }
      this.done.push(`${folder}${step + 1}`);
      this.#reached.set(folder, step + 1);
    }
    onEvent({ type: "finished", folder, hash: "", steps: 5, reason: "done" });
    return ok(undefined);
  }
}

const never = new AbortController().signal;

function taskIn(folder: string): TrainingTask {
  return { folder, base: "", examples: [], heldOut: [], options: unwrap(resolveOptions({}, smallBase.shape, 1)) };
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setImmediate(resolve));
}

describe("a training that is done behind jobs", () => {
  it("is set aside at its next step for every job that comes, and goes on where it was when none is left", async () => {
    const trainer = new SteppedTrainer();
    const { first, behind } = new TrainingTurns(trainer);
    const told: string[] = [];
    const twin = behind.train(taskIn("twin"), ({ type }) => told.push(type), never);
    const next = behind.train(taskIn("next"), () => {}, never);
    await until(() => trainer.done.length === 2);
    const jobs = ["a", "b"].map((name) => first.train(taskIn(name), () => {}, never));
    for (const one of [...jobs, twin, next]) unwrap(await one);
    const of = (name: string) => [1, 2, 3, 4, 5].map((step) => `${name}${step}`);
    const [begun, rest] = [of("twin").slice(0, 2), of("twin").slice(2)];
    expect(trainer.done).toEqual([...begun, ...of("a"), ...of("b"), ...rest, ...of("next")]);
    expect(told).toEqual(["cancelled", "finished"]);
  });

  it("does not begin while a job trains, and is given up at once when nobody wants it any more", async () => {
    const trainer = new SteppedTrainer();
    const { first, behind } = new TrainingTurns(trainer);
    const job = first.train(taskIn("job"), () => {}, never);
    const unwanted = new AbortController();
    const twin = behind.train(taskIn("twin"), () => {}, unwanted.signal);
    await until(() => trainer.done.length === 2);
    unwanted.abort();
    expect(await twin).toMatchObject({ ok: false, error: { code: "cancelled" } });
    unwrap(await job);
    expect(trainer.done).toHaveLength(5);
  });

  it("ends where it is cancelled itself", async () => {
    const trainer = new SteppedTrainer();
    const { behind } = new TrainingTurns(trainer);
    const unwanted = new AbortController();
    const twin = behind.train(taskIn("twin"), () => {}, unwanted.signal);
    await until(() => trainer.done.length === 2);
    unwanted.abort();
    unwrap(await twin);
    expect(trainer.done).toHaveLength(2);
  });
});
