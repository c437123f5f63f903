import type { TrainingExample } from "./task.ts";

/** What to measure, and with which weights: a Hugging Face folder, and a PEFT folder of an adapter on it where there is one. */
export interface EvaluationTask {
  readonly base: string;
  readonly adapter?: string;
  readonly examples: readonly TrainingExample[];
  /** Longer examples are cut to their first so many tokens; where gradients are asked for, a longer text goes on in further windows, as in a training. */
  readonly sequenceTokens: number;
}

/** An example's loss: the sum over its target tokens, in nats. */
export interface ExampleLoss {
  readonly record: string;
  readonly loss: number;
  /** Target tokens; 0 where an example has no answer to learn from. */
  readonly tokens: number;
}

/** Per-example gradients of {@link ExampleLoss.loss} by the factors of an adapter. */
export interface GradientTask extends EvaluationTask {
  readonly adapter: string;
  readonly factors: "B" | "AB";
}

export interface ExampleGradients extends ExampleLoss {
  /** Where the example stands in the task's list: several windows of a long text share it. */
  readonly index: number;
  /** By PEFT tensor name; each row-major in that tensor's own shape: B [out, rank], A [rank, in]. */
  readonly gradients: ReadonlyMap<string, Float32Array>;
}

/** Curvature of an adapter's loss by its B factors, as K-FAC (Martens & Grosse 2015) wants it. */
export interface CurvatureTask extends EvaluationTask {
  readonly adapter: string;
  /** `sampled` draws each target from the model itself, which makes the factors those of the true Fisher matrix; `data` takes the examples' own. */
  readonly labels: "data" | "sampled";
  readonly seed: number;
}

/**
 * For the module's y = W x + s · B h with h = A x: sums over all tokens that a target can see. With g the gradient by B h (so s · the gradient
 * by y), an example's gradient by B is the sum over its tokens of g hᵀ.
 */
export interface ModuleCurvature {
  /** PEFT's name of the B tensor. */
  readonly name: string;
  readonly rank: number;
  readonly out: number;
  /** Σ h hᵀ [rank, rank]. */
  readonly inputs: Float64Array;
  /** Σ g gᵀ [out, out]. */
  readonly outputs: Float64Array;
}

export interface Curvature {
  /** Tokens that the sums run over. */
  readonly tokens: number;
  readonly examples: number;
  readonly modules: readonly ModuleCurvature[];
}
