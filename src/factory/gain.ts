import { ok, type Result, refuse } from "../core/result.ts";
import { type Compared, comparedText, surenessOf, together } from "./compared.ts";
import type { Job } from "./job.ts";

/** What a training has taken off its base's loss on what was held out, in nats a token. */
export interface Gain {
  readonly before: number;
  readonly after: number;
  /** The same, record by record; absent of what was measured before that was done. */
  readonly compared?: Compared | undefined;
}

/**
 * As the training measured it, base and checkpoint on the same examples; of what was trained elsewhere, or before its base was measured, as it was evaluated since. Undefined where nothing was held out, or
 * nothing is measured yet.
 */
export function gainOf(
  { baseLoss, result, checkpoints, evaluations }: Pick<Job, "baseLoss" | "result" | "checkpoints" | "evaluations">,
  step: number | undefined,
): Gain | undefined {
  const loss = step === undefined ? result?.heldOutLoss : checkpoints.find((one) => one.step === step)?.heldOutLoss;
  if (baseLoss !== undefined && loss !== undefined) {
    // The result is one of the checkpoints.
    const compared = checkpoints.find((one) => one.heldOutLoss === loss)?.compared;
    return { before: baseLoss, after: loss, ...(compared === undefined ? {} : { compared }) };
  }
  const parts = evaluations.find((one) => one.step === step)?.parts ?? [];
  const tokens = parts.reduce((sum, { model }) => sum + model.tokens, 0);
  if (tokens === 0) return undefined;
  const meanOf = (who: "base" | "model"): number =>
    parts.reduce((sum, part) => sum + part[who].loss * part[who].tokens, 0) / tokens;
  const known = parts.flatMap(({ compared }) => (compared === undefined ? [] : [compared]));
  const compared = known.length === parts.length ? { compared: together(known) } : {};
  return { before: meanOf("base"), after: meanOf("model"), ...compared };
}

/** On one datanet, or file. */
export function gainOfPart(part: Measured): Gain {
  return { before: part.base.loss, after: part.model.loss, compared: part.compared };
}

interface Measured extends Pick<Gain, "compared"> {
  readonly base: { readonly loss: number };
  readonly model: { readonly loss: number };
}

/** The same is nothing: an adapter that changes nothing costs its callers as one that does. */
export function isGain({ before, after }: Gain): boolean {
  return after < before;
}

/** Where it may be otherwise on other records: those that were held out are too few, or point both ways. */
export function isUnsure(gain: Gain): boolean {
  return gain.compared !== undefined && surenessOf(gain.compared, isGain(gain)) !== "sure";
}

export function gainText(gain: Gain): string {
  const { before, after, compared } = gain;
  const records = compared === undefined ? "" : `, ${comparedText(compared, isGain(gain))}`;
  return `held-out loss ${before.toFixed(4)} before, ${after.toFixed(4)} after${records}`;
}

/** Fewer records than can tell anything. */
export function isOfFew({ compared }: Gain): boolean {
  return compared !== undefined && surenessOf(compared, true) === "few";
}

/** Whether something was gained, in a few words. */
export function verdictOf(gain: Gain): string {
  if (isOfFew(gain)) return "it cannot be told whether anything was gained";
  return isGain(gain) ? "something was gained" : "nothing was gained";
}

/** Refuses `conflict` where what was held out does not speak for it: what is served is an asset for good, and people pay for it. */
export function checkGain(job: Job, step: number | undefined): Result<void> {
  const gain = gainOf(job, step);
  if (gain === undefined || isGain(gain)) return ok(undefined);
  return refuse("conflict", `${verdictOf(gain)} over ${job.base.name}: ${gainText(gain)}`, {
    hint: "serve it all the same with --anyway",
    field: "anyway",
  });
}
