import type { TrainingEvent } from "../models/training/task.ts";

/** What is found out about a served model behind its back: whose records shape its answers, and what repeated words are worth on it. */
export type Measured = "influence" | "matches";

/** How far that is. */
export interface MeasuringStage {
  readonly stage: "waiting" | "training" | "fitting" | "asking" | "failed";
  /** Steps of a training, or questions. */
  readonly done?: number;
  readonly total?: number;
  /** Why it failed. */
  readonly why?: string;
}

export type TellStage = (stage: MeasuringStage) => void;

export function untold(): void {}

/** The steps of a training that is done for it. One that was set aside for a job waits. */
export function tellSteps(tell: TellStage): (event: TrainingEvent) => void {
  let total: number | undefined;
  return (event) => {
    if (event.type === "started") total = event.steps;
    const far = total === undefined ? {} : { total };
    if (event.type === "started") tell({ stage: "training", done: event.resumedAt, ...far });
    else if (event.type === "step") tell({ stage: "training", done: event.step, ...far });
    else if (event.type === "cancelled") tell({ stage: "waiting", done: event.step, ...far });
  };
}
