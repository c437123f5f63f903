import { createRequire } from "node:module";
import { join } from "node:path";
import type { Corpus } from "../attribution/corpus.ts";
import { noPrices, type Prices } from "../core/quote.ts";
import { type Result, unwrap } from "../core/result.ts";
import type { DatanetStore } from "../datanets/store.ts";
import type { TrainingPrices } from "../factory/estimate.ts";
import type { Answers } from "../factory/evaluation.ts";
import { Factory } from "../factory/factory.ts";
import type { DatanetRef, Job } from "../factory/job.ts";
import { type LoadedSource, loadSource } from "../factory/source.ts";
import type { FactoryStore } from "../factory/store.ts";
import type { Gateway } from "../gateway/gateway.ts";
import { field } from "../models/formats/json.ts";
import { houseModelFolder } from "../models/houseModelFile.ts";
import { LlamaEngine } from "../upstream/llama.ts";
import { ChildEvaluator, ChildTrainer } from "../upstream/trainer.ts";
import type { CombinationShelf } from "./combinationShelf.ts";
import { EngineAnswers, placeOfName } from "./factoryAnswers.ts";
import { BaseShelf } from "./factoryBases.ts";
import { FactoryFolders } from "./factoryFolders.ts";
import { corpusOf } from "./grounding.ts";
import { Grounds } from "./grounds.ts";
import type { MeaningShelf } from "./meaningShelf.ts";
import { ModelExports } from "./modelExports.ts";
import { NeuralInfluence } from "./neuralInfluence.ts";
import { NeuralShelf } from "./neuralShelf.ts";
import type { Provenance } from "./provenance.ts";
import { RemoteOperators } from "./remoteOperators.ts";

export interface FactoryPartParts {
  readonly data: string;
  readonly datanets: DatanetStore;
  readonly provenance: Provenance;
  readonly gateway: Gateway;
  readonly combinations: CombinationShelf;
  readonly meanings?: MeaningShelf | undefined;
  readonly nowMs: () => number;
  readonly operator: Uint8Array;
  /** 32 bytes: who is paid for what other servers run, where nobody else is named. */
  readonly node: Uint8Array;
  readonly cost: Prices;
  /** Files and jobs. */
  readonly store: FactoryStore;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly say: (text: string) => void;
}

/** Nano a million tokens that are learnt: each is read forwards and backwards, where an answer only reads it forwards. */
const COST_PER_MILLION = 300_000_000;
/** What a datanet's terms add to that. */
const DATA_FEE_PER_MILLION = 200_000_000;

/** What trains, measures and serves neural models. Nothing native is loaded before the first training, measurement or question. */
export class FactoryPart {
  readonly bases: BaseShelf;
  readonly folders: FactoryFolders;
  readonly trainer = new ChildTrainer();
  readonly evaluator = new ChildEvaluator();
  readonly answers: Answers;
  readonly shelf: NeuralShelf;
  readonly factory: Factory;
  readonly exports: ModelExports;
  readonly remote: RemoteOperators;
  readonly #grounds: Grounds;
  readonly #engine: LlamaEngine;
  readonly #store: FactoryStore;
  readonly #asker = new ChildEvaluator();
  readonly #influence: NeuralInfluence;
  readonly #source: (job: Job) => Promise<Result<LoadedSource>>;

  constructor(parts: FactoryPartParts) {
    const { data, datanets, provenance } = parts;
    this.bases = new BaseShelf(data, houseModelFolder());
    this.folders = new FactoryFolders(data);
    this.#grounds = new Grounds(data, datanets, provenance, { meanings: parts.meanings });
    const engine = new LlamaEngine({
      cacheFolder: join(data, "models", "llama.cpp"),
      find: (name) => placeOfName(name) ?? this.shelf.find(name),
    });
    this.#engine = engine;
    this.answers = new EngineAnswers(engine);
    const { bases, folders } = this;
    const { store, nowMs, randomBytes } = parts;
    this.#store = store;
    this.#source = (job) => loadSource({ datanets, store, pause }, job.source, job.heldOutShare);
    this.exports = new ModelExports({ data, bases, source: this.#source });
    const { trainer, evaluator, answers } = this;
    this.#influence = new NeuralInfluence({
      ...{ trainer, evaluator, asker: this.#asker, policy: parts.combinations.policy, say: parts.say },
      jobs: { job: (id) => store.job(id), source: this.#source },
    });
    const influence = this.#influence;
    this.shelf = new NeuralShelf({ ...parts, bases, folders, grounds: this.#grounds, engine, influence });
    const shop = this.shelf;
    this.factory = new Factory({
      ...{ store, trainer, evaluator, answers, bases, datanets, folders, shop, nowMs, randomBytes, pause },
      ...{ prices: trainingPrices, build: buildName(), corpus: (name, version) => this.corpus(name, version) },
    });
    const placeOf = (model: string) => this.shelf.find(model);
    this.remote = new RemoteOperators({ data, gateway: parts.gateway, node: parts.node, fetch, placeOf });
  }

  /** What a library of models shows. */
  get shown() {
    const { bases, folders, shelf, exports } = this;
    return { bases, folders, shelf, exports, job: (id: string) => this.#store.job(id) };
  }

  /** Of a datanet version's records. */
  async corpus(datanet: string, version: number): Promise<Corpus> {
    return corpusOf(unwrap(await this.#grounds.of([{ name: datanet, version }])).index);
  }

  /** Serves again what was served, and goes on with what was being trained. */
  async restore(say: (text: string) => void): Promise<Result<void>> {
    const restored = await this.shelf.restore(say);
    return restored.ok ? this.factory.start() : restored;
  }

  /** Begins trainings that wait, if the store was away before. */
  pump(): void {
    this.factory.pump();
  }

  async close(): Promise<void> {
    await this.factory.close();
    const all = [this.#influence, this.trainer, this.evaluator, this.#asker, this.#engine, this.remote];
    await Promise.all(all.map((one) => one.close()));
  }
}

function trainingPrices(datanets: readonly DatanetRef[]): TrainingPrices {
  const royalty = datanets.length === 0 ? noPrices : { ...noPrices, inPerMillion: DATA_FEE_PER_MILLION };
  return { cost: { ...noPrices, inPerMillion: COST_PER_MILLION }, royalty };
}

/** What else than data and options a result's bits follow from. */
function buildName(): string {
  const { version, platform, arch } = process;
  return `node ${version} ${platform}-${arch}, onnxruntime ${packageVersion("onnxruntime-node")}, 1 thread`;
}

function packageVersion(name: string): string {
  const manifest: unknown = createRequire(import.meta.url)(`${name}/package.json`);
  return String(field(manifest, "version"));
}

function pause(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
