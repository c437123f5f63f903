import { join } from "node:path";
import type { Prices } from "../core/quote.ts";
import { type Result, refuse, unwrap } from "../core/result.ts";
import type { DatanetStore } from "../datanets/store.ts";
import type { Answers } from "../factory/evaluation.ts";
import type { Job } from "../factory/job.ts";
import type { LoadedSource } from "../factory/source.ts";
import type { Gateway } from "../gateway/gateway.ts";
import type { CorpusIndex } from "../models/corpusIndex.ts";
import { houseModelFolder } from "../models/houseModelFile.ts";
import { LlamaEngine } from "../upstream/llama.ts";
import { ChildEvaluator, ChildTrainer } from "../upstream/trainer.ts";
import { EngineAnswers, placeOfName } from "./factoryAnswers.ts";
import { BaseShelf } from "./factoryBases.ts";
import { FactoryFolders } from "./factoryFolders.ts";
import { Grounds } from "./grounds.ts";
import { ModelExports } from "./modelExports.ts";
import { NeuralShelf } from "./neuralShelf.ts";
import type { Provenance } from "./provenance.ts";

export interface FactoryPartParts {
  readonly data: string;
  readonly datanets: DatanetStore;
  readonly provenance: Provenance;
  readonly gateway: Gateway;
  readonly nowMs: () => number;
  readonly operator: Uint8Array;
  readonly cost: Prices;
  /** Where jobs are kept; without it nothing that a job has made is written about or exported. */
  readonly jobs?: JobReader;
}

export interface JobReader {
  job(id: string): Promise<Job | undefined>;
  /** A job's examples, as its training reads them. */
  source(job: Job): Promise<Result<LoadedSource>>;
}

/** What trains, measures and serves neural models. Nothing native is loaded before the first training, measurement or question. */
export class FactoryPart {
  readonly bases: BaseShelf;
  readonly folders: FactoryFolders;
  readonly trainer = new ChildTrainer();
  readonly evaluator = new ChildEvaluator();
  readonly answers: Answers;
  readonly shelf: NeuralShelf;
  readonly exports: ModelExports;
  readonly #grounds: Grounds;
  readonly #engine: LlamaEngine;
  readonly #jobs: JobReader;

  constructor(parts: FactoryPartParts) {
    const { data, datanets, provenance } = parts;
    this.bases = new BaseShelf(data, houseModelFolder());
    this.folders = new FactoryFolders(data);
    this.#grounds = new Grounds(data, datanets, provenance);
    const engine = new LlamaEngine({
      cacheFolder: join(data, "models", "llama.cpp"),
      find: (name) => placeOfName(name) ?? this.shelf.find(name),
    });
    this.#engine = engine;
    this.answers = new EngineAnswers(engine);
    const { bases, folders } = this;
    this.#jobs = parts.jobs ?? noJobs;
    this.exports = new ModelExports({ data, bases, source: (job) => this.#jobs.source(job) });
    this.shelf = new NeuralShelf({ ...parts, bases, folders, grounds: this.#grounds, engine });
  }

  /** What a library of models shows. */
  get shown() {
    const { bases, folders, shelf, exports } = this;
    return { bases, folders, shelf, exports, job: (id: string) => this.#jobs.job(id) };
  }

  /** Of a datanet version's records. */
  async index(datanet: string, version: number): Promise<CorpusIndex> {
    return unwrap(await this.#grounds.of([{ name: datanet, version }])).index;
  }

  async close(): Promise<void> {
    await Promise.all([this.trainer.close(), this.evaluator.close(), this.#engine.close()]);
  }
}

const noJobs: JobReader = {
  job: async () => undefined,
  source: async () => refuse("not_found", "this node keeps no jobs"),
};
