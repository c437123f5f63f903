import { equalBytes, fromHex, type Hex, toHex } from "../core/bytes.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { contributorsOf } from "../datanets/contributors.ts";
import { identityPayeeId } from "../datanets/identity.ts";
import type { RecordLineage } from "../datanets/outputs.ts";
import type { DatanetRecord } from "../datanets/record.ts";
import type { DatanetStore } from "../datanets/store.ts";
import { modelBom } from "../factory/bom.ts";
import { modelCard } from "../factory/card.ts";
import { weightsOf } from "../factory/estimate.ts";
import { gainOf } from "../factory/gain.ts";
import type { DatanetRef, Job } from "../factory/job.ts";
import type { BaseFacts, DatanetFacts, ModelFacts, TrainingFacts } from "../factory/modelFacts.ts";
import { usualName } from "../factory/order.ts";
import type { Base, JobFolders } from "../factory/ports.ts";
import type { Gateway } from "../gateway/gateway.ts";
import type { ModelLibrary as Library } from "../gateway/modelLibrary.ts";
import type {
  BaseView,
  ExportFormat,
  ExportView,
  MeasurementView,
  MeasureOrder,
  RegisterBase,
  ServeBase,
} from "../protocol/models.ts";
import type { ServedModelView } from "../protocol/service.ts";
import type { BaseShelf } from "./factoryBases.ts";
import { joinLicences } from "./licences.ts";
import type { ModelExports } from "./modelExports.ts";
import { type ModelManifest, type ModelShelf, scopeOf } from "./modelShelf.ts";
import type { NeuralManifest } from "./neuralModels.ts";
import type { NeuralShelf } from "./neuralShelf.ts";
import type { Provenance } from "./provenance.ts";

export interface LibraryParts {
  readonly bases: BaseShelf;
  readonly folders: Pick<JobFolders, "weights">;
  readonly exports: ModelExports;
  readonly shelf: NeuralShelf;
  readonly gateway: Gateway;
  readonly datanets: DatanetStore;
  readonly provenance: Provenance;
  /** The ∞-gram models. */
  readonly indexes: () => Pick<ModelShelf, "list" | "index"> | undefined;
  /** Undefined where there is no such job. */
  readonly job: (id: string) => Promise<Job | undefined>;
}

/** What is known of each model, gathered from where it lies, and what is written from it. */
export class ModelLibrary implements Library {
  readonly #parts: LibraryParts;

  constructor(parts: LibraryParts) {
    this.#parts = parts;
  }

  async bases(): Promise<readonly BaseView[]> {
    const { bases } = this.#parts;
    const views: BaseView[] = [];
    for (const name of await bases.list()) {
      const base = await bases.find(name);
      if (base.ok) views.push(await this.#baseView(base.value));
    }
    return views;
  }

  async registerBase({ name, folder, licence }: RegisterBase): Promise<Result<BaseView>> {
    const base = await this.#parts.bases.register({ name, folder, ...(licence === undefined ? {} : { licence }) });
    return base.ok ? ok(await this.#baseView(base.value)) : base;
  }

  async serveBase(name: string, { as = name, royalty }: ServeBase): Promise<Result<ServedModelView>> {
    const { bases, shelf, gateway } = this.#parts;
    const base = await bases.find(name);
    if (!base.ok) return base;
    const served = await shelf.serveBase(base.value, { name: as, ...(royalty === undefined ? {} : { royalty }) });
    return served.ok ? gateway.modelView(as) : served;
  }

  async measurement(model: string): Promise<Result<MeasurementView>> {
    const { shelf } = this.#parts;
    const open = await shelf.open(model);
    if (!open.ok) return open;
    const methods = (shelf.methods(model) ?? []).map(({ method, reliabilityPpm, basis }) => {
      const { id, version, kind, measures } = method;
      return { id, version, kind, measures, reliabilityPpm, basis };
    });
    return ok({ model, methods, open: [...open.value] });
  }

  async measure(model: string, { influence = false }: MeasureOrder): Promise<Result<MeasurementView>> {
    const asked = await this.#parts.shelf.measure(model, influence ? "influence" : "matches");
    return asked.ok ? this.measurement(model) : asked;
  }

  async card(model: string): Promise<Result<string>> {
    const facts = await this.facts(model);
    return facts.ok ? ok(modelCard(facts.value)) : facts;
  }

  async bom(model: string): Promise<Result<object>> {
    const facts = await this.facts(model);
    return facts.ok ? ok(modelBom(facts.value)) : facts;
  }

  async jobCard(id: string): Promise<Result<string>> {
    const facts = await this.jobFacts(id);
    return facts.ok ? ok(modelCard(facts.value)) : facts;
  }

  async jobBom(id: string): Promise<Result<object>> {
    const facts = await this.jobFacts(id);
    return facts.ok ? ok(modelBom(facts.value)) : facts;
  }

  async exportModel(model: string, format: "hf" | "gguf"): Promise<Result<ExportView>> {
    const facts = await this.facts(model);
    if (!facts.ok) return facts;
    const place = this.#parts.shelf.find(model) ?? { base: "" };
    return this.#parts.exports.model(model, { facts: facts.value, place }, format);
  }

  async exportJob(id: string, format: ExportFormat): Promise<Result<ExportView>> {
    const { exports, folders, bases } = this.#parts;
    const job = await this.#parts.job(id);
    if (job === undefined) return refuse("not_found", `there is no job ${id.slice(0, 80)}`);
    if (format === "peft") return this.#exportForPeft(job);
    const facts = await this.jobFacts(id);
    if (!facts.ok) return facts;
    const base = await bases.find(job.base.name);
    if (!base.ok) return base;
    const own = folders.weights(job, undefined);
    const place = facts.value.kind === "adapter" ? { base: base.value.folder, adapter: own } : { base: own };
    return exports.model(id, { facts: facts.value, place }, format);
  }

  async #exportForPeft(job: Job): Promise<Result<ExportView>> {
    const base = await this.#baseFacts(job.base.name);
    if (base === undefined) return refuse("model_not_found", `there is no base ${job.base.name}`, { field: "model" });
    return this.#parts.exports.peft(job, { base, datanets: await this.#datanets(datanetsOf(job)) });
  }

  exportedFile(key: string, format: ExportFormat, file: string): Promise<Result<Uint8Array>> {
    return this.#parts.exports.file(key, format, file);
  }

  /** Of a served model. Refuses `model_not_found`. */
  async facts(model: string): Promise<Result<ModelFacts>> {
    const { shelf, gateway, indexes } = this.#parts;
    const neural = shelf.manifest(model);
    if (neural !== undefined) return ok(await this.#neuralFacts(neural));
    const index = indexes()
      ?.list()
      .find(({ name }) => name === model);
    if (index !== undefined) return this.#indexFacts(index);
    const served = gateway.catalog.find(model);
    return served.ok ? refuse("not_found", `nothing is written about the model ${model}`) : served;
  }

  /** Of a job's result, whether it is served or not. */
  async jobFacts(id: string): Promise<Result<ModelFacts>> {
    const job = await this.#parts.job(id);
    if (job === undefined) return refuse("not_found", `there is no job ${id.slice(0, 80)}`);
    if (job.result === undefined) return refuse("conflict", "the job has no result yet");
    const base = await this.#baseFacts(job.base.name);
    const refs = datanetsOf(job);
    return ok({
      ...{ name: usualName(job), kind: job.result.kind, hash: job.result.hash, createdMs: job.createdMs },
      licence: joinLicences([base?.licence ?? "NOASSERTION", ...refs.map(({ licence }) => licence)]),
      ...(base === undefined ? {} : { base }),
      ...(job.source.kind === "file" ? { file: job.source.file } : {}),
      ...{ datanets: await this.#datanets(refs), training: trainingOf(job, undefined), evaluations: job.evaluations },
    });
  }

  async #neuralFacts(manifest: NeuralManifest): Promise<ModelFacts> {
    const { name, kind, hash, asset, licence, createdMs, royalty, parentsBps, step, datanets } = manifest;
    const [job, base] = [await this.#jobOf(manifest), await this.#baseFacts(manifest.base.name)];
    const methods = this.#parts.shelf.methods(name);
    const isOfStep = (evaluation: { readonly step?: number }): boolean => evaluation.step === step;
    return {
      ...{ name, kind, hash, asset, licence, createdMs, terms: { royalty, parentsBps } },
      ...(base === undefined ? {} : { base }),
      ...(methods === undefined ? {} : { methods }),
      ...(job?.source.kind === "file" ? { file: job.source.file } : {}),
      ...(job === undefined ? {} : { training: trainingOf(job, step) }),
      ...{ datanets: await this.#datanets(datanets), evaluations: job?.evaluations.filter(isOfStep) ?? [] },
    };
  }

  async #indexFacts({ name, datanet, version, asset, royalty, createdMs }: ModelManifest): Promise<Result<ModelFacts>> {
    const { datanets, provenance, indexes } = this.#parts;
    const [net, built] = [await datanets.datanet(datanet), await datanets.version(datanet, version)];
    const state = provenance.ledger.assets.get(fromHex(asset));
    const id = indexes()?.index(name)?.id;
    if (net === undefined || built === undefined || state === undefined || id === undefined)
      return refuse("not_found", `the datanet of ${name} is not here any more`);
    const ref = { name: datanet, version, id: built.id, licence: net.licence, records: built.records.length };
    return ok({
      ...{ name, kind: "index", hash: toHex(id), asset: toHex(state.id), licence: net.licence, createdMs },
      ...{ datanets: await this.#datanets([ref]), evaluations: [] },
      terms: { royalty, parentsBps: state.terms.parentsBps },
    });
  }

  async #jobOf({ job }: NeuralManifest): Promise<Job | undefined> {
    return job === undefined ? undefined : this.#parts.job(job);
  }

  async #baseFacts(name: string): Promise<BaseFacts | undefined> {
    const base = await this.#parts.bases.find(name);
    if (!base.ok) return undefined;
    const { source, madeFrom, figures } = await this.#parts.bases.notes(base.value);
    const { hash, licence, shape } = base.value;
    const asset = this.#assetOf("model", hash);
    return {
      ...{ name, hash, licence, shape, madeFrom, figures },
      ...(asset === undefined ? {} : { asset }),
      ...(source === undefined ? {} : { source }),
    };
  }

  #assetOf(kind: "model" | "datanet", contentRoot: Hex): Hex | undefined {
    const root = fromHex(contentRoot);
    const { assets } = this.#parts.provenance.ledger;
    const found = assets.list().find((one) => one.kind === kind && equalBytes(one.contentRoot, root));
    return found && toHex(found.id);
  }

  async #baseView(base: Base): Promise<BaseView> {
    const { name, hash, licence, shape } = base;
    const { madeFrom } = await this.#parts.bases.notes(base);
    return {
      ...{ name, hash, licence, weights: weightsOf(shape), layers: shape.layers, hidden: shape.hidden },
      ...{ contextTokens: shape.contextTokens, vocabulary: shape.vocabulary },
      madeFrom: madeFrom.map(({ name, licence, records, contributors }) => ({ name, licence, records, contributors })),
    };
  }

  /** Complete: every contributor of every version. What has gone since is named, without its people. */
  async #datanets(refs: readonly DatanetRef[]): Promise<readonly DatanetFacts[]> {
    const { datanets, provenance } = this.#parts;
    const facts: DatanetFacts[] = [];
    for (const { name, version, id, licence, records } of refs) {
      const datanet = await datanets.datanet(name);
      const all = datanet === undefined ? [] : await datanets.versionRecords(name, version);
      const scope = datanet === undefined ? undefined : await scopeOf(datanets, provenance, name);
      const contributors = contributorsOf(all).flatMap((one) =>
        scope === undefined
          ? []
          : [
              {
                payee: toHex(identityPayeeId(scope, one.identity)),
                name: one.names[0] ?? "",
                records: one.records,
              },
            ],
      );
      const lineage = datanet === undefined ? [] : await lineageOf(datanets, name, all);
      const [built, asset] = [await datanets.version(name, version), this.#assetOf("datanet", id)];
      facts.push({
        ...{ name, version, id, licence, records, contributors, lineage, summary: datanet?.summary ?? "" },
        ...(built?.id === id ? { contentRoot: built.contentRoot } : {}),
        ...(asset === undefined ? {} : { asset }),
      });
    }
    return facts;
  }
}

/** What the contributions say of a version's own records. */
async function lineageOf(
  datanets: DatanetStore,
  name: string,
  records: readonly DatanetRecord[],
): Promise<readonly RecordLineage[]> {
  const own = new Set(records.map(({ id, contributionId }) => id + contributionId));
  const contributions = await datanets.contributions(name, "approved");
  return contributions.flatMap(({ id, lineage = [] }) => lineage.filter(({ record }) => own.has(record + id)));
}

function datanetsOf({ source }: Job): readonly DatanetRef[] {
  return source.kind === "datanets" ? source.datanets : [];
}

function trainingOf(job: Job, step: number | undefined): TrainingFacts {
  const { id, options, estimate, result } = job;
  const gain = gainOf(job, step);
  return {
    ...{ job: id, options, examples: estimate.examples, heldOut: estimate.heldOut },
    ...(step === undefined ? {} : { step }),
    ...(result === undefined || step !== undefined ? {} : { result }),
    ...(gain === undefined ? {} : { gain }),
  };
}
