import type { Result } from "../core/result.ts";
import type {
  Curvature,
  CurvatureTask,
  EvaluationTask,
  ExampleGradients,
  ExampleLoss,
  GradientTask,
} from "../models/training/evaluation.ts";

/** Measures examples under a model, in a process of its own, one task at a time; what goes wrong is the refusal. */
export interface Evaluator {
  /** One loss an example, in the task's order. */
  losses(task: EvaluationTask, signal: AbortSignal): Promise<Result<readonly ExampleLoss[]>>;
  /** Every example's gradients once, not necessarily in the task's order; memory is one batch whatever the number of examples. */
  gradients(
    task: GradientTask,
    onExample: (gradients: ExampleGradients) => void,
    signal: AbortSignal,
  ): Promise<Result<void>>;
  curvature(task: CurvatureTask, signal: AbortSignal): Promise<Result<Curvature>>;
}
