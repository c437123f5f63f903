import { expect, test } from "vitest";
import type { Job } from "./job.ts";
import { learntShare } from "./learntShare.ts";

const checkpoints = [
  { step: 20, timeMs: 0, heldOutLoss: 3, isKept: true },
  { step: 40, timeMs: 0, heldOutLoss: 2, isKept: true },
  { step: 60, timeMs: 0, heldOutLoss: 2.5, isKept: true },
];

function jobOf(patience: number, result?: Partial<NonNullable<Job["result"]>>): Parameters<typeof learntShare>[0] {
  const job = {
    options: { patience },
    estimate: { steps: 90 },
    progress: { step: 60, steps: 80 },
    checkpoints,
    result,
  };
  return job as unknown as Parameters<typeof learntShare>[0];
}

test.each([
  // what it is                           job                                         step       share
  ["a checkpoint", jobOf(3, { steps: 60, heldOutLoss: 2 }), 20, 0.25],
  ["one of a job that still runs", jobOf(3), 20, 0.25],
  ["the best of its checkpoints", jobOf(3, { steps: 60, heldOutLoss: 2 }), undefined, 0.5],
  ["what was trained to the end", jobOf(0, { steps: 80, heldOutLoss: 2 }), undefined, 1],
  ["what was measured nowhere", jobOf(3, { steps: 60 }), undefined, 0.75],
  ["what came from elsewhere", jobOf(3, { steps: 90 }), undefined, 1],
  ["a step beyond all", jobOf(3), 800, 1],
] as const)("%s", (_what, job, step, share) => expect(learntShare(job, step)).toBe(share));
