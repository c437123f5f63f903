import type { Corpus } from "../attribution/corpus.ts";
import type { Hex } from "../core/bytes.ts";
import type { Result } from "../core/result.ts";
import type { DatanetStore } from "../datanets/store.ts";
import type { Tokenizer } from "../models/bpe.ts";
import type { LlamaShape } from "../models/llama.ts";
import type { Answers } from "./evaluation.ts";
import type { Evaluator } from "./evaluator.ts";
import type { Deployment, Job } from "./job.ts";
import type { TrainingBooks } from "./payment.ts";
import type { FactoryStore } from "./store.ts";
import type { TariffDesk } from "./tariff.ts";
import type { Trainer } from "./trainer.ts";

/** All that the factory reaches; the composition root hands it in. */
export interface FactoryPorts {
  readonly store: FactoryStore;
  readonly trainer: Trainer;
  readonly evaluator: Evaluator;
  readonly answers: Answers;
  readonly bases: Bases;
  readonly datanets: Pick<DatanetStore, "datanet" | "version" | "versionRecords">;
  readonly folders: JobFolders;
  readonly shop: Shop;
  readonly books: TrainingBooks;
  readonly tariff: TariffDesk;
  /** Of a datanet version's records, for grounding. */
  corpus(datanet: string, version: number): Promise<Corpus>;
  /** Names the program, the runtime and its threads: what a result's hash follows from beside data and options. */
  readonly build: string;
  nowMs(): number;
  randomBytes(size: number): Uint8Array;
  /** Lets whoever waits have a turn. */
  pause(): Promise<void>;
}

/** Models to train on. */
export interface Bases {
  list(): Promise<readonly string[]>;
  /** Refuses `model_not_found`, and what cannot be trained. */
  find(name: string): Promise<Result<Base>>;
}

export interface Base {
  readonly name: string;
  /** A Hugging Face folder. */
  readonly folder: string;
  readonly shape: LlamaShape;
  readonly tokenizer: Tokenizer;
  /** sha256 of configuration, tokenizer and weights. */
  readonly hash: Hex;
  readonly licence: string;
}

/** Where jobs have their weights. */
export interface JobFolders {
  /** The trainer's folder for a job. */
  training(job: string): string;
  /** The folder of what can be served: the result, or a kept checkpoint. */
  weights(job: Pick<Job, "id" | "options">, step: number | undefined): string;
  /** Keeps what was learnt by the checkpoint that the trainer has just written, as the result would lie; to be called at once, for the next one replaces it. */
  keepCheckpoint(job: Job, base: Base, step: number): Promise<Result<void>>;
  dropCheckpoint(job: string, step: number): Promise<void>;
  /** Removes what only a training that goes on needs. */
  tidy(job: string): Promise<void>;
  /** Bytes that are left on the disk that holds them. */
  freeBytes(): Promise<number>;
  /** Checks a PEFT adapter and makes it the job's result; its hash. */
  putAdapter(job: Job, base: Base, files: AdapterFiles): Promise<Result<Hex>>;
}

export interface AdapterFiles {
  readonly config: Uint8Array;
  readonly weights: Uint8Array;
  /** What lay beside them: which job's they are. */
  readonly provenance?: Uint8Array;
}

/** Registers models as assets and serves them. */
export interface Shop {
  /** Whether callers can already name a model so. */
  isTaken(name: string): boolean;
  deploy(job: Job, base: Base, order: DeployOrder): Promise<Result<Deployment>>;
  /** Another royalty from the next request on. */
  reprice(deployment: Deployment): Promise<Result<void>>;
}

export type DeployOrder = Pick<Deployment, "name" | "royalty" | "parentsBps"> & { readonly step?: number };
