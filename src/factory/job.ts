import type { Hex } from "../core/bytes.ts";
import type { Prices } from "../core/quote.ts";
import { type Refusal, type Result, refuse } from "../core/result.ts";
import type { LegRole } from "../core/route.ts";
import type { TrainingOptions } from "../models/training/task.ts";
import type { Compared } from "./compared.ts";
import type { Estimate, TrainingPrices } from "./estimate.ts";
import type { Evaluation } from "./evaluation.ts";

/** A training that somebody ordered, as it is kept: everything that is needed to do it again, and what came of it. */
export interface Job {
  /** `ftjob-` and 24 hex digits. */
  readonly id: string;
  readonly account: string;
  readonly createdMs: number;
  /** Of the order, so that the same idempotency key with another order is told apart. */
  readonly orderHash: Hex;
  readonly status: JobStatus;
  readonly base: { readonly name: string; readonly hash: Hex };
  readonly source: TrainingSource;
  readonly options: TrainingOptions;
  readonly heldOutShare: number;
  /** As it was ordered; absent: nobody scaled the usual rate. */
  readonly rateMultiplier?: number;
  readonly suffix?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  /** How the result is to be served once it is there; absent: not at all. */
  readonly deploy?: DeployWish;
  readonly estimate: Estimate;
  /** As they were when it was ordered: another price counts for other jobs. */
  readonly prices: TrainingPrices;
  /** The API key that it was ordered with, whose limits it counts against. */
  readonly keyId?: string;
  readonly paid: readonly Payment[];
  /** What has been done and is not in the journal yet. */
  readonly owed?: Owed;
  readonly startedMs?: number;
  readonly finishedMs?: number;
  readonly error?: Refusal;
  readonly progress?: Progress;
  /** The base's loss on the held-out examples that checkpoints are measured by, nats a token: before anything was learnt. */
  readonly baseLoss?: number;
  /** The same for each of their records: its sum, in nats. */
  readonly baseLosses?: readonly number[];
  readonly checkpoints: readonly Checkpoint[];
  readonly result?: JobResult;
  readonly evaluations: readonly Evaluation[];
  readonly deployments: readonly Deployment[];
}

export const jobStatuses = ["queued", "running", "paused", "succeeded", "failed", "cancelled"] as const;
export type JobStatus = (typeof jobStatuses)[number];

export type TrainingSource =
  | { readonly kind: "file"; readonly file: string; readonly validation?: string }
  | { readonly kind: "datanets"; readonly datanets: readonly DatanetRef[] };

export interface DatanetRef {
  readonly name: string;
  readonly version: number;
  /** The version's id: what its asset is registered by. */
  readonly id: Hex;
  readonly licence: string;
  readonly records: number;
}

export interface DeployWish {
  readonly name?: string;
  readonly royalty?: Prices;
  /** Part of the model's own share that flows to what it was made from. */
  readonly parentsBps?: number;
  /** Also where nothing was gained over its base. */
  readonly anyway?: boolean;
}

export interface Progress {
  readonly step: number;
  readonly steps: number;
  /** Mean nats a token of the last step. */
  readonly loss?: number;
  readonly tokensPerSecond?: number;
}

export interface Checkpoint {
  readonly step: number;
  readonly timeMs: number;
  readonly trainLoss?: number;
  readonly heldOutLoss?: number;
  /** Beside the base on the same records. */
  readonly compared?: Compared;
  /** Its weights lie in the job's folder and can be served; older ones are dropped. */
  readonly isKept: boolean;
}

export interface JobResult {
  /** sha256 over the result's tensors: the same data, options, seed, base and build give the same. */
  readonly hash: Hex;
  readonly kind: "adapter" | "model";
  readonly steps: number;
  readonly trainedTokens: number;
  readonly heldOutLoss?: number;
  readonly reason: "done" | "early_stop" | "imported";
  /** What computed it: program, runtime and threads. */
  readonly build: string;
}

/** What one stretch of a training was charged: from where the one before it ended to where it was done, set aside, cancelled or broken off. */
export interface Payment {
  /** 16-byte id of its receipt, and the receipt's place in the journal. */
  readonly receipt: Hex;
  readonly seq: number;
  readonly timeMs: number;
  /** What the receipt names as its model: the base, or the base on these datanets. */
  readonly asset: Hex;
  /** The step that this pays up to, and the tokens that were learnt since the one before. */
  readonly step: number;
  readonly tokens: number;
  /** Nano. */
  readonly cost: number;
  readonly dataFee: number;
  /** Nano of both lines, by whom they went to. */
  readonly credited: Readonly<Partial<Record<LegRole, number>>>;
}

/** Tokens that were learnt and not charged yet. */
export interface Owed {
  /** Up to which step. */
  readonly step: number;
  readonly tokens: number;
  /** It ran on another machine: its cost was paid there, what the terms ask for is due here. */
  readonly isElsewhere?: true;
}

/** A served model that a job made. */
export interface Deployment {
  readonly name: string;
  /** The checkpoint that is served; absent: the result. */
  readonly step?: number;
  /** 32-byte asset id. */
  readonly asset: Hex;
  readonly hash: Hex;
  readonly royalty: Prices;
  readonly parentsBps: number;
  readonly createdMs: number;
}

export interface JobEvent {
  /** From 1, without gaps. */
  readonly number: number;
  readonly timeMs: number;
  readonly level: "info" | "warn" | "error";
  readonly message: string;
  /** Figures, where the event carries some. */
  readonly data?: Readonly<Record<string, number | string>>;
}

export function isOver({ status }: Pick<Job, "status">): boolean {
  return status === "succeeded" || status === "failed" || status === "cancelled";
}

/** Why nothing more can be done with a job that is over. */
export function overAlready({ status }: Pick<Job, "status">): Result<never> {
  const what = status === "cancelled" ? "was cancelled" : `has ${status}`;
  return refuse("conflict", `the job ${what} already`);
}

/** Whether something is still to be done about it: a job that is over may owe. */
export function isOpen(job: Pick<Job, "status" | "owed">): boolean {
  return !isOver(job) || job.owed !== undefined;
}
