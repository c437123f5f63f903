import type { Refusal } from "../core/result.ts";
import { loraTensorShapes } from "../models/formats/peft.ts";
import type { LlamaShape } from "../models/llama.ts";
import type { TrainingOptions } from "../models/training/task.ts";
import { weightsOf } from "./estimate.ts";
import type { Job } from "./job.ts";

/** A job that a full disk has set aside looks again after so long: where a quota is what is full, there seems to be room and is none. */
export const LOOK_AGAIN_MS = 300_000;
/** For whoever else writes there: the database is one of them. */
const SPARED_BYTES = 64 * 2 ** 20;
/** Of each number that is learnt: its value, two moments and the best value in a checkpoint, while the one before still lies there; then the kept weights and the result. */
const NUMBERS_WRITTEN = 6;

/** Bytes that a disk has to have left for a training to go on. */
export function roomWanted(shape: LlamaShape, { adapter }: TrainingOptions): number {
  const learnt =
    adapter === undefined
      ? weightsOf(shape)
      : [...loraTensorShapes(shape, adapter).values()].reduce(
          (sum, [rows = 0, columns = 0]) => sum + rows * columns,
          0,
        );
  return SPARED_BYTES + 4 * NUMBERS_WRITTEN * learnt;
}

/** Set aside by a full disk, and by nobody: it goes on by itself. */
export function isWaitingForRoom({ status, error }: Pick<Job, "status" | "error">): boolean {
  return status === "paused" && error?.code === "disk_full";
}

/** As the job says it. */
export function waitingForRoom({ code, message }: Refusal): Refusal {
  const minutes = Math.round(LOOK_AGAIN_MS / 60_000);
  return {
    code,
    message,
    hint: `free some space: it goes on by itself within ${minutes} minutes, or when it is resumed`,
  };
}

/** What was learnt behind the last checkpoint is lost: it is learnt again, and not paid for twice. */
export function backAtCheckpoint(job: Job): Job {
  if (job.progress === undefined) return job;
  const { steps } = job.progress;
  return { ...job, progress: { step: job.checkpoints.at(-1)?.step ?? 0, steps } };
}
