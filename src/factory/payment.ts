import type { Result } from "../core/result.ts";
import type { Job, Owed, Payment } from "./job.ts";

/** Where trainings are paid: money is set aside before one begins, and becomes a receipt for what was done. */
export interface TrainingBooks {
  /** Sets the worst case aside, within the limits of the job's key; again for the same job it is the same hold. Refuses `insufficient_funds` and `rate_limited`. */
  hold(job: Job, worst: Owed): Promise<Result<void>>;
  /** Gives back what is held for a job. */
  release(job: string): Promise<void>;
  /** The receipt, durable. Once for each stretch, which the number of those before it names: the same again is the same receipt. */
  post(job: Job, owed: Owed): Promise<Result<Payment>>;
}

/** What a job owes once it has done so many steps; undefined where that is nothing. */
export function owedAt({ estimate, progress, paid }: Job, step: number): Owed | undefined {
  const steps = Math.max(1, progress?.steps ?? estimate.steps);
  const done = Math.min(step, steps);
  const learnt = Math.floor((estimate.trainedTokens * done) / steps);
  const tokens = learnt - paid.reduce((sum, one) => sum + one.tokens, 0);
  return tokens > 0 ? { step: done, tokens } : undefined;
}

/** The most that a job may still come to owe. */
export function worstOf(job: Job): Owed | undefined {
  return owedAt(job, Number.POSITIVE_INFINITY);
}
