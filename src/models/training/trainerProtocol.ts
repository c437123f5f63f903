import type { Result } from "../../core/result.ts";
import type {
  Curvature,
  CurvatureTask,
  EvaluationTask,
  ExampleGradients,
  ExampleLoss,
  GradientTask,
} from "./evaluation.ts";
import type { TrainingEvent, TrainingTask } from "./task.ts";

/** What a trainer's parent and its child process say to each other, as structured clones. The child works on one task; a task's `done` is its last message. */
export type ToTrainer =
  | { readonly type: "setup"; readonly threads: number }
  | { readonly type: "work"; readonly id: number; readonly work: Work }
  | { readonly type: "cancel"; readonly id: number };

export type Work =
  | { readonly kind: "train"; readonly task: TrainingTask }
  | { readonly kind: "losses"; readonly task: EvaluationTask }
  | { readonly kind: "gradients"; readonly task: GradientTask }
  | { readonly kind: "curvature"; readonly task: CurvatureTask };

export type FromTrainer =
  | { readonly type: "ready" }
  | { readonly type: "progress"; readonly id: number; readonly progress: Progress }
  | { readonly type: "done"; readonly id: number; readonly result: Result<Done> };

export type Progress =
  | { readonly kind: "event"; readonly event: TrainingEvent }
  | { readonly kind: "example"; readonly example: ExampleGradients };

export type Done =
  | { readonly kind: "nothing" }
  | { readonly kind: "losses"; readonly losses: readonly ExampleLoss[] }
  | { readonly kind: "curvature"; readonly curvature: Curvature };
