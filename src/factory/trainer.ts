import type { Result } from "../core/result.ts";
import type { TrainingEvent, TrainingTask } from "../models/training/task.ts";

/** Runs one training task at a time in a process of its own. The last event is `finished` or `cancelled`; what goes wrong is the refusal. */
export interface Trainer {
  train(task: TrainingTask, onEvent: (event: TrainingEvent) => void, signal: AbortSignal): Promise<Result<void>>;
}
