import { ok, type Result, refuse } from "../core/result.ts";
import type { Job } from "./job.ts";

/** What a training has taken off its base's loss on what was held out, in nats a token. */
export interface Gain {
  readonly before: number;
  readonly after: number;
}

/**
 * As the training measured it, base and checkpoint on the same examples; of what was trained elsewhere, or before its base was measured, as it was evaluated since. Undefined where nothing was held out, or
 * nothing is measured yet.
 */
export function gainOf(
  { baseLoss, result, checkpoints, evaluations }: Pick<Job, "baseLoss" | "result" | "checkpoints" | "evaluations">,
  step: number | undefined,
): Gain | undefined {
  const after = step === undefined ? result : checkpoints.find((one) => one.step === step);
  if (baseLoss !== undefined && after?.heldOutLoss !== undefined) return { before: baseLoss, after: after.heldOutLoss };
  const parts = evaluations.find((one) => one.step === step)?.parts ?? [];
  const tokens = parts.reduce((sum, { model }) => sum + model.tokens, 0);
  if (tokens === 0) return undefined;
  const meanOf = (who: "base" | "model"): number =>
    parts.reduce((sum, part) => sum + part[who].loss * part[who].tokens, 0) / tokens;
  return { before: meanOf("base"), after: meanOf("model") };
}

/** The same is nothing: an adapter that changes nothing costs its callers as one that does. */
export function isGain({ before, after }: Gain): boolean {
  return after < before;
}

export function gainText({ before, after }: Gain): string {
  return `held-out loss ${before.toFixed(4)} before, ${after.toFixed(4)} after`;
}

/** Refuses `conflict` where it is known that nothing was gained: what is served is an asset for good, and people pay for it. */
export function checkGain(job: Job, step: number | undefined): Result<void> {
  const gain = gainOf(job, step);
  if (gain === undefined || isGain(gain)) return ok(undefined);
  return refuse("conflict", `nothing was gained over ${job.base.name}: ${gainText(gain)}`, {
    hint: "serve it all the same with --anyway",
    field: "anyway",
  });
}
