import { type Result, refuse } from "../core/result.ts";
import type { TrainingEvent, TrainingTask } from "../models/training/task.ts";
import type { Trainer } from "./trainer.ts";

/**
 * Two ways to one trainer: for jobs, which somebody pays and waits for, and for what is trained behind them to measure a model. A training behind is set aside at its next step when a job
 * comes, and goes on from there when no job is left.
 */
export class TrainingTurns {
  readonly first: Trainer = { train: (task, onEvent, signal) => this.#first(task, onEvent, signal) };
  readonly behind: Trainer = { train: (task, onEvent, signal) => this.#inTurn(task, onEvent, signal) };
  readonly #trainer: Trainer;
  /** Jobs that train, or are about to. */
  #jobs = 0;
  /** Sets aside what is trained behind them. */
  #aside = new AbortController();
  #freed: (() => void)[] = [];
  #turn: Promise<unknown> = Promise.resolve();

  constructor(trainer: Trainer) {
    this.#trainer = trainer;
  }

  async #first(...asked: Parameters<Trainer["train"]>): Promise<Result<void>> {
    this.#jobs += 1;
    this.#aside.abort();
    try {
      return await this.#trainer.train(...asked);
    } finally {
      this.#jobs -= 1;
      if (this.#jobs === 0) for (const goOn of this.#freed.splice(0)) goOn();
    }
  }

  /** One after the other: only the one that trains has to be set aside. */
  #inTurn(...asked: Parameters<Trainer["train"]>): Promise<Result<void>> {
    const done = this.#turn.then(() => this.#behind(...asked));
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async #behind(
    task: TrainingTask,
    onEvent: (event: TrainingEvent) => void,
    signal: AbortSignal,
  ): Promise<Result<void>> {
    for (;;) {
      while (this.#jobs > 0 && !signal.aborted) await this.#free(signal);
      if (signal.aborted) return refuse("cancelled", "The training was cancelled.");
      this.#aside = new AbortController();
      let isUndone = false;
      const onTold = (event: TrainingEvent): void => {
        isUndone = event.type === "cancelled";
        onEvent(event);
      };
      const done = await this.#trainer.train(task, onTold, AbortSignal.any([signal, this.#aside.signal]));
      if (!done.ok || !isUndone || signal.aborted) return done;
    }
  }

  async #free(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#freed.push(resolve);
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }
}
