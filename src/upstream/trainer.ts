import { assert, ok, type Result, refuse } from "../core/result.ts";
import type { Evaluator } from "../factory/evaluator.ts";
import type { Trainer } from "../factory/trainer.ts";
import type {
  Curvature,
  CurvatureTask,
  EvaluationTask,
  ExampleGradients,
  ExampleLoss,
  GradientTask,
} from "../models/training/evaluation.ts";
import type { TrainingEvent, TrainingTask } from "../models/training/task.ts";
import type { Done, Progress, Work } from "../models/training/trainerProtocol.ts";
import { type TrainerOptions, TrainerProcess } from "./trainerProcess.ts";

/** Trains in a child process, one task after the other; each has a process of its own, so that its memory is given back. */
export class ChildTrainer implements Trainer {
  readonly #options: TrainerOptions;
  readonly #lives = new Set<TrainerProcess>();
  #before: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  constructor(options: TrainerOptions = {}) {
    this.#options = options;
  }

  /** The processes that train now: at most one. */
  get pids(): readonly number[] {
    return [...this.#lives].flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
  }

  train(task: TrainingTask, onEvent: (event: TrainingEvent) => void, signal: AbortSignal): Promise<Result<void>> {
    const result = this.#before.then(() => this.#train(task, onEvent, signal));
    this.#before = result;
    return result;
  }

  /** Ends the training that runs; it goes on from its last checkpoint another time. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#lives].map((life) => life.stop()));
  }

  async #train(
    task: TrainingTask,
    onEvent: (event: TrainingEvent) => void,
    signal: AbortSignal,
  ): Promise<Result<void>> {
    if (this.#isClosed) return stopped();
    const life = new TrainerProcess(this.#options);
    this.#lives.add(life);
    const onProgress = (progress: Progress) => {
      if (progress.kind === "event") onEvent(progress.event);
    };
    const done = await life.run({ kind: "train", task }, onProgress, signal);
    await life.stop();
    this.#lives.delete(life);
    return done.ok ? ok(undefined) : done;
  }
}

export interface EvaluatorOptions extends TrainerOptions {
  /** An idle process keeps the last model in memory for so long. */
  readonly idleMs?: number;
}

/** Measures in a child process, one task after the other. The process stays while it is used, with the last model loaded; a crash refuses what it had to do, and the next task gets a fresh one. */
export class ChildEvaluator implements Evaluator {
  readonly #options: EvaluatorOptions;
  #life: TrainerProcess | undefined;
  #running = 0;
  #idle: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: EvaluatorOptions = {}) {
    this.#options = options;
  }

  /** Of the process that was used last. */
  get pid(): number | undefined {
    return this.#life?.pid;
  }

  async losses(task: EvaluationTask, signal: AbortSignal): Promise<Result<readonly ExampleLoss[]>> {
    const done = await this.#run({ kind: "losses", task }, () => {}, signal);
    if (!done.ok) return done;
    assert(done.value.kind === "losses", "losses are answered with losses");
    return ok(done.value.losses);
  }

  async gradients(
    task: GradientTask,
    onExample: (gradients: ExampleGradients) => void,
    signal: AbortSignal,
  ): Promise<Result<void>> {
    const onProgress = (progress: Progress) => {
      if (progress.kind === "example") onExample(progress.example);
    };
    const done = await this.#run({ kind: "gradients", task }, onProgress, signal);
    return done.ok ? ok(undefined) : done;
  }

  async curvature(task: CurvatureTask, signal: AbortSignal): Promise<Result<Curvature>> {
    const done = await this.#run({ kind: "curvature", task }, () => {}, signal);
    if (!done.ok) return done;
    assert(done.value.kind === "curvature", "curvature is answered with curvature");
    return ok(done.value.curvature);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#idle);
    await this.#life?.stop();
  }

  async #run(work: Work, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<Result<Done>> {
    if (this.#isClosed) return stopped();
    if (signal.aborted) return refuse("cancelled", "The evaluation was cancelled.");
    clearTimeout(this.#idle);
    if (this.#life === undefined || this.#life.isOver) this.#life = new TrainerProcess(this.#options);
    const life = this.#life;
    this.#running += 1;
    try {
      return await life.run(work, onProgress, signal);
    } finally {
      this.#running -= 1;
      if (this.#running === 0) {
        this.#idle = setTimeout(() => {
          if (this.#life === life) this.#life = undefined;
          void life.stop();
        }, this.#options.idleMs ?? 60_000);
        this.#idle.unref();
      }
    }
  }
}

function stopped(): ReturnType<typeof refuse> {
  return refuse("shutting_down", "The trainer is stopping.");
}
