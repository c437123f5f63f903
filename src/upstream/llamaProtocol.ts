import type { EngineEvent, EngineRequest, Passage } from "../core/engine.ts";
import type { Refusal, Result } from "../core/result.ts";

/** What the llama.cpp engine and its child process say to each other. One run an `id`; a run's last message ends it. */
export type ToLlama =
  | { readonly type: "setup"; readonly setup: LlamaSetup }
  | { readonly type: "complete"; readonly id: number; readonly model: LlamaModel; readonly request: EngineRequest }
  | { readonly type: "score"; readonly id: number; readonly model: LlamaModel; readonly request: ScoreRequest }
  | { readonly type: "cancel"; readonly id: number };

export type FromLlama =
  | { readonly type: "ready" }
  | { readonly type: "unavailable"; readonly refusal: Refusal }
  | { readonly type: "events"; readonly id: number; readonly events: readonly EngineEvent[]; readonly isOver: boolean }
  | { readonly type: "scored"; readonly id: number; readonly score: Result<Score> };

/** A model as folders that are never written twice: a Hugging Face folder, and a PEFT folder for an adapter of it. */
export interface LlamaModel {
  readonly base: string;
  readonly adapter?: string;
}

/** A text whose likelihood is asked after the prompt that the other fields make, once with each of several sets of passages. */
export type ScoreRequest = Pick<EngineRequest, "model" | "mode" | "messages"> & {
  readonly reads: readonly (readonly Passage[])[];
  readonly text: string;
  /** From when it is asked. Given up as soon as it is plain that it takes longer. */
  readonly withinMs: number;
};

export interface Score {
  /** Sum of log p over the text's tokens, in nats, with each set. */
  readonly logProbabilities: readonly number[];
  /** Of the text. */
  readonly tokens: number;
}

export interface LlamaSetup {
  /** Where the GGUF files are kept that are derived from the folders. Nothing is lost with it. */
  readonly cacheFolder: string;
  /** How weights are held: `auto` is F32 for small models and Q8_0 for large ones. */
  readonly weights: "auto" | "F32" | "F16" | "Q8_0";
  /** Contexts and their adapters may take so much; the base itself is mapped from disk and not counted. One context is always allowed. */
  readonly memoryBytesMax: number;
  /** Requests that one model runs side by side, in one batch. */
  readonly sequences: number;
  /** `auto` measures one against two when a base is loaded. */
  readonly threads: number | "auto";
}
