import { join } from "node:path";
import type { Corpus } from "../attribution/corpus.ts";
import type { Prices } from "../core/quote.ts";
import { type Result, unwrap } from "../core/result.ts";
import type { DatanetStore } from "../datanets/store.ts";
import type { Answers } from "../factory/evaluation.ts";
import { Factory } from "../factory/factory.ts";
import type { Job } from "../factory/job.ts";
import { type LoadedSource, loadSource } from "../factory/source.ts";
import type { FactoryStore } from "../factory/store.ts";
import type { TariffDesk } from "../factory/tariff.ts";
import { TrainingTurns } from "../factory/trainingTurns.ts";
import type { Gateway } from "../gateway/gateway.ts";
import { nextTurn } from "../host/turn.ts";
import { houseModelFolder } from "../models/houseModelFile.ts";
import { LlamaEngine } from "../upstream/llama.ts";
import { ChildEvaluator, ChildTrainer } from "../upstream/trainer.ts";
import { buildName } from "./buildName.ts";
import { citedParts } from "./citedRecords.ts";
import type { CombinationShelf } from "./combinationShelf.ts";
import { findVersionIn } from "./declaredVersions.ts";
import { EngineAnswers, placeOfName } from "./factoryAnswers.ts";
import { BaseShelf } from "./factoryBases.ts";
import { FactoryFolders } from "./factoryFolders.ts";
import { corpusOf } from "./grounding.ts";
import { Grounds } from "./grounds.ts";
import type { learntRecords } from "./learntShares.ts";
import type { MeaningShelf } from "./meaningShelf.ts";
import { ModelExports } from "./modelExports.ts";
import { NeuralInfluence } from "./neuralInfluence.ts";
import { NeuralReliability } from "./neuralReliability.ts";
import { NeuralShelf } from "./neuralShelf.ts";
import type { Provenance } from "./provenance.ts";
import { RemoteOperators } from "./remoteOperators.ts";
import { TrainingLedger } from "./trainingLedger.ts";
import { loadUpstream } from "./upstream.ts";

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
  readonly tariff: TariffDesk;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly say: (text: string) => void;
}

/** Receipts of so many jobs, the newest, have a name for people. */
const JOBS_NAMED_MAX = 1_000;

/** What trains, measures and serves neural models. Nothing native is loaded before the first training, measurement or question. */
export class FactoryPart {
  readonly bases: BaseShelf;
  readonly folders: FactoryFolders;
  readonly trainer = new ChildTrainer();
  readonly evaluator = new ChildEvaluator();
  readonly answers: Answers;
  readonly shelf: NeuralShelf;
  readonly books: TrainingLedger;
  readonly factory: Factory;
  readonly exports: ModelExports;
  readonly remote: RemoteOperators;
  readonly #grounds: Grounds;
  readonly #engine: LlamaEngine;
  readonly #store: FactoryStore;
  readonly #asker = new ChildEvaluator();
  readonly #influence: NeuralInfluence;
  readonly #reliability: NeuralReliability;
  readonly #source: (job: Job) => Promise<Result<LoadedSource>>;

  constructor(parts: FactoryPartParts) {
    const { data, datanets, provenance } = parts;
    this.bases = new BaseShelf(data, houseModelFolder());
    this.folders = new FactoryFolders(data);
    this.#grounds = new Grounds(data, datanets, provenance, {
      meanings: parts.meanings,
      keepPpm: parts.combinations.policy.lineage.keepPpm,
    });
    const engine = new LlamaEngine({
      cacheFolder: join(data, "models", "llama.cpp"),
      find: (name) => placeOfName(name) ?? this.shelf.find(name),
    });
    this.#engine = engine;
    this.answers = new EngineAnswers(engine);
    const { bases, folders } = this;
    const { store, nowMs, randomBytes } = parts;
    this.#store = store;
    this.#source = (job) => loadSource({ datanets, store, pause: nextTurn }, job.source, job.heldOutShare);
    this.exports = new ModelExports({ data, bases, nowMs, source: this.#source, pause: nextTurn });
    const { evaluator, answers } = this;
    const { first, behind } = new TrainingTurns(this.trainer);
    const jobs = { job: (id: string) => store.job(id), source: this.#source };
    const { say, combinations } = parts;
    this.#influence = new NeuralInfluence({
      ...{ trainer: behind, evaluator, asker: this.#asker, policy: combinations.policy, jobs, say, pause: nextTurn },
    });
    this.#reliability = new NeuralReliability({ trainer: behind, engine, jobs, say });
    const methods = { influence: this.#influence, reliability: this.#reliability };
    this.shelf = new NeuralShelf({ ...parts, bases, folders, grounds: this.#grounds, engine, ...methods });
    const shop = this.shelf;
    this.books = new TrainingLedger({
      ...{ floor: parts.gateway.floor, provenance, bases, operator: parts.operator, combinations: parts.combinations },
      ...{ find: findVersionIn(datanets, provenance), keepPpm: parts.combinations.policy.lineage.keepPpm },
      upstream: (learnt) => loadUpstream(datanets, provenance.ledger.books, ...namesAndRecords(learnt)),
      cited: (learnt) => citedParts(datanets, ...namesAndRecords(learnt), parts.combinations.policy.lineage.keepPpm),
    });
    this.factory = new Factory({
      ...{
        store,
        trainer: first,
        evaluator,
        answers,
        bases,
        datanets,
        folders,
        shop,
        nowMs,
        randomBytes,
        pause: nextTurn,
      },
      ...{
        books: this.books,
        tariff: parts.tariff,
        build: buildName(),
        corpus: (name, version) => this.corpus(name, version),
      },
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
    if (!restored.ok) return restored;
    await this.exports.tidy();
    this.books.restore(await this.#store.jobs(undefined, { limit: JOBS_NAMED_MAX }));
    return this.factory.start();
  }

  /** Begins trainings that wait, if the store was away before. */
  pump(): void {
    this.factory.pump();
  }

  async close(): Promise<void> {
    await this.factory.close();
    const all = [
      this.#influence,
      this.#reliability,
      this.trainer,
      this.evaluator,
      this.#asker,
      this.#engine,
      this.remote,
    ];
    await Promise.all(all.map((one) => one.close()));
  }
}

function namesAndRecords(learnt: ReturnType<typeof learntRecords>) {
  const datanets = [...new Set(learnt.map(({ version }) => version.datanet))];
  return [datanets, learnt.map(({ record }) => record)] as const;
}
