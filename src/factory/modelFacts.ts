import type { TrustedMethod } from "../attribution/policy.ts";
import type { Hex } from "../core/bytes.ts";
import type { Prices } from "../core/quote.ts";
import type { RecordLineage } from "../datanets/outputs.ts";
import type { LlamaShape } from "../models/llama.ts";
import type { TrainingOptions } from "../models/training/task.ts";
import type { Evaluation } from "./evaluation.ts";
import type { Gain } from "./gain.ts";
import type { JobResult } from "./job.ts";

/** All that is known of a model: what its card and its bill of materials are written from. */
export interface ModelFacts {
  readonly name: string;
  /** `adapter` and `model` come from jobs, a `base` from elsewhere; an `index` is an ∞-gram model. */
  readonly kind: "adapter" | "model" | "base" | "index";
  /** sha256 over what it computes from. */
  readonly hash: Hex;
  /** Absent for what is not served. */
  readonly asset?: Hex;
  readonly licence: string;
  readonly createdMs: number;
  readonly base?: BaseFacts;
  readonly datanets: readonly DatanetFacts[];
  /** Trained on an uploaded file, of which nothing more is known. */
  readonly file?: string;
  readonly training?: TrainingFacts;
  readonly evaluations: readonly Evaluation[];
  /** Attributes its answers, in the order in which the methods run; absent where nobody is known to be credited. */
  readonly methods?: readonly TrustedMethod[];
  readonly terms?: { readonly royalty: Prices; readonly parentsBps: number };
}

export interface BaseFacts {
  readonly name: string;
  readonly hash: Hex;
  /** Absent before anything that stands on it was served or trained. */
  readonly asset?: Hex;
  readonly licence: string;
  readonly shape: LlamaShape;
  readonly source?: string;
  readonly madeFrom: readonly SourceFacts[];
  /** Measured, by name. */
  readonly figures: Readonly<Record<string, number>>;
}

/** What a base was made from, where that is no datanet of this node. */
export interface SourceFacts {
  readonly name: string;
  readonly licence: string;
  readonly source: string;
  readonly records: number;
  readonly contributors: number;
  /** sha256 over the ids of the records: 32 bytes. */
  readonly hash: string;
}

export interface DatanetFacts {
  readonly name: string;
  readonly version: number;
  readonly id: Hex;
  /** Of its records, and the asset that the version is; absent where the datanet has gone. */
  readonly contentRoot?: Hex;
  readonly asset?: Hex;
  readonly licence: string;
  readonly summary: string;
  readonly records: number;
  /** Most contributed text first. */
  readonly contributors: readonly ContributorFacts[];
  /** Records that repeat earlier answers, declared or found. */
  readonly lineage: readonly RecordLineage[];
}

export interface ContributorFacts {
  /** 32-byte payee id: the same person in another datanet has another. */
  readonly payee: Hex;
  readonly name: string;
  readonly records: number;
}

export interface TrainingFacts {
  readonly job: string;
  /** The checkpoint, where it is not the result. */
  readonly step?: number;
  readonly options: TrainingOptions;
  readonly examples: number;
  readonly heldOut: number;
  readonly result?: JobResult;
  readonly gain?: Gain;
}
