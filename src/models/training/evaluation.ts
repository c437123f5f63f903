import type { TrainingExample } from "./task.ts";

/** What to measure, and with which weights: a Hugging Face folder, and a PEFT folder of an adapter on it where there is one. */
export interface EvaluationTask {
  readonly base: string;
  readonly adapter?: string;
  readonly examples: readonly TrainingExample[];
  /** A longer text goes on in further windows, as in a training; of a longer conversation the first window stays. */
  readonly sequenceTokens: number;
}

/** An example's loss: the sum over its target tokens, in nats. */
export interface ExampleLoss {
  readonly record: string;
  readonly loss: number;
  /** Target tokens; 0 where an example has no answer to learn from. */
  readonly tokens: number;
}

/** The weights of an adapted model at an end of its training: `start` is its base, `end` is with what was learnt. */
export type TrainingEnd = "start" | "end";

/** Per-example gradients of {@link ExampleLoss.loss} by the whole weights of the layers that an adapter changes. */
export interface GradientTask extends EvaluationTask {
  readonly adapter: string;
  readonly at: TrainingEnd;
  /** One for each of these layers. */
  readonly bases: readonly Basis[];
}

/** Directions in which a layer's gradients [out, columns] are told: outputBasis · gradient · inputBasisᵀ, of shape [outward, inward]. Rows of both are orthonormal. */
export interface Basis {
  readonly name: string;
  readonly columns: number;
  readonly out: number;
  readonly inward: number;
  readonly outward: number;
  /** Shape [inward, columns]. */
  readonly inputBasis: Float32Array;
  /** Shape [outward, out]. */
  readonly outputBasis: Float32Array;
}

export interface ExampleGradients extends ExampleLoss {
  /** Where the example stands in the task's list: several windows of a long text share it. */
  readonly index: number;
  /** By tensor name, row-major: of a whole weight [outward, inward] in the task's bases, of an adapter's factors in their own shapes, B [out, rank] and A [rank, in]. */
  readonly gradients: ReadonlyMap<string, Float32Array>;
}

/** Curvature of the loss by the same weights, as K-FAC (Martens & Grosse 2015) wants it. */
export interface CurvatureTask extends EvaluationTask {
  readonly adapter: string;
  readonly at: TrainingEnd;
  /** `sampled` draws each target from the model itself, which makes the factors those of the true Fisher matrix; `data` takes the examples' own. */
  readonly labels: "data" | "sampled";
  readonly seed: number;
}

/**
 * For a layer y = W x: sums over all tokens that a target can see. With g the gradient by y, an example's gradient by W is the sum over its tokens of g xᵀ. For
 * a B of y = W x + s · B h, h is what it takes, and g is s · the gradient by y.
 */
export interface ModuleCurvature {
  readonly name: string;
  readonly columns: number;
  readonly out: number;
  /** Σ x xᵀ [columns, columns]. */
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
