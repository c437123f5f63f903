import type { Job } from "./job.ts";

type Learnt = Pick<Job, "options" | "estimate" | "progress" | "checkpoints" | "result">;

/** Which part of its job's steps, in (0, 1], a checkpoint or a result has learnt: what is set beside it must have learnt as much. */
export function learntShare(job: Learnt, step: number | undefined): number {
  const steps = Math.max(1, job.progress?.steps ?? job.estimate.steps);
  return Math.min(1, (step ?? bestStep(job) ?? job.result?.steps ?? steps) / steps);
}

/** Of a training that may stop early the result is its best checkpoint. */
function bestStep({ options, result, checkpoints }: Learnt): number | undefined {
  if (options.patience === 0 || result?.heldOutLoss === undefined) return undefined;
  return checkpoints.find(({ heldOutLoss }) => heldOutLoss === result.heldOutLoss)?.step;
}
