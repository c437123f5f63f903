import type { LoraShape } from "../lora.ts";

/** One conversation or text to learn from. Loss is counted on assistant messages only, or on the whole of `text`. */
export type TrainingExample =
  | { readonly record: string; readonly text: string }
  | {
      readonly record: string;
      readonly messages: readonly { readonly role: "system" | "user" | "assistant"; readonly content: string }[];
    };

/** How to train. */
export interface TrainingOptions {
  /** A full training changes all weights; otherwise an adapter is trained. */
  readonly adapter?: LoraShape;
  readonly epochs: number;
  /** Sequences a step, after gradient accumulation. */
  readonly batchSize: number;
  /** Tokens a sequence, at most the base's context. */
  readonly sequenceTokens: number;
  readonly learningRate: number;
  /** Share of all steps in which the rate rises to its peak. */
  readonly warmUp: number;
  readonly weightDecay: number;
  /** 0 does not clip. */
  readonly gradientNormMax: number;
  readonly seed: number;
  /** Stop after so many evaluations without a better held-out loss; 0 never stops early. */
  readonly patience: number;
  /** Steps between evaluations and checkpoints. */
  readonly checkpointEvery: number;
  /** Whoever ordered the training also wants the curvature that influence needs: asked of the evaluator once the adapter is there, not of the trainer. */
  readonly fitsInfluence: boolean;
}

/** What to train, as folders: a Hugging Face folder for the base, PEFT folders for what comes out. */
export interface TrainingTask {
  /** Checkpoints, the optimiser's state and the result live here; a task that finds its own checkpoint goes on from it. */
  readonly folder: string;
  readonly base: string;
  readonly examples: readonly TrainingExample[];
  readonly heldOut: readonly TrainingExample[];
  readonly options: TrainingOptions;
  /** Ends after this share of its steps, in (0, 1], on the schedule of all of them; absent: all. */
  readonly stepShare?: number;
}

export type TrainingEvent =
  | { readonly type: "started"; readonly steps: number; readonly tokens: number; readonly resumedAt: number }
  | {
      readonly type: "step";
      readonly step: number;
      /** Mean nats a token. */
      readonly loss: number;
      readonly gradientNorm: number;
      readonly learningRate: number;
      readonly tokensPerSecond: number;
    }
  /** At step 0 of the base, before anything is learnt; then of each checkpoint. */
  | {
      readonly type: "evaluated";
      readonly step: number;
      readonly heldOutLoss: number;
      /** Of each held-out record that has something to predict, the sum over its tokens in nats; always in the same order. */
      readonly recordLosses: readonly number[];
    }
  | { readonly type: "checkpoint"; readonly step: number; readonly folder: string }
  | {
      readonly type: "finished";
      readonly folder: string;
      /** sha256 over the result's tensors, in hex: same data, options, seed and build give the same. */
      readonly hash: string;
      readonly steps: number;
      /** Absent without held-out examples. */
      readonly heldOutLoss?: number;
      readonly reason: "done" | "early_stop";
    }
  | { readonly type: "cancelled"; readonly step: number };
