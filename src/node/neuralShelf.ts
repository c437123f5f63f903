import { relative, resolve } from "node:path";
import type { TrustedMethod } from "../attribution/policy.ts";
import { equalBytes, fromHex, type Hex, toHex } from "../core/bytes.ts";
import type { Engine } from "../core/engine.ts";
import type { Prices } from "../core/quote.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { DatanetRef, Deployment, Job } from "../factory/job.ts";
import { deployDefaults } from "../factory/order.ts";
import type { Base, Bases, DeployOrder, JobFolders, Shop } from "../factory/ports.ts";
import type { ServedModel } from "../gateway/catalog.ts";
import type { Gateway } from "../gateway/gateway.ts";
import type { AssetState } from "../ledger/ledger.ts";
import { encode } from "../models/bpe.ts";
import { registerBase } from "./baseAssets.ts";
import type { CombinationShelf } from "./combinationShelf.ts";
import type { BaseNotes } from "./factoryBases.ts";
import { type Ground, groundModel } from "./grounding.ts";
import type { Grounds } from "./grounds.ts";
import { joinLicences } from "./licences.ts";
import type { Measured } from "./measuringStage.ts";
import { type MeasuringParts, NeuralMeasuring, type OpenMeasuring } from "./neuralMeasuring.ts";
import { type ModelPlace, type NeuralManifest, NeuralManifests } from "./neuralModels.ts";
import type { MatchTrust } from "./neuralReliability.ts";
import { makersLabel, type Provenance, registerAsset, termsOf } from "./provenance.ts";
import { neuralCombination, readingOf, roomToRead, type ScoringEngine } from "./reading.ts";
import { checkpointHash } from "./weightsHash.ts";

export interface NeuralParts extends MeasuringParts {
  readonly data: string;
  readonly provenance: Provenance;
  readonly gateway: Gateway;
  readonly bases: Bases & { notes(base: Base): Promise<BaseNotes> };
  readonly folders: Pick<JobFolders, "weights">;
  readonly grounds: Grounds;
  readonly engine: Engine & Partial<ScoringEngine>;
  readonly combinations: Pick<CombinationShelf, "policy" | "keep">;
  readonly nowMs: () => number;
  /** 32 bytes: who is paid for running the models. */
  readonly operator: Uint8Array;
  readonly cost: Prices;
}

interface Row {
  readonly manifest: NeuralManifest;
  readonly place: ModelPlace;
  readonly served: ServedModel;
  /** With how its answers are attributed. */
  readonly ground: Ground | undefined;
}

export const NEURAL_OPERATOR = "llama.cpp";
const CONCURRENCY = 8;

/** The neural models of this node: bases, and what jobs have made of them, each an asset with its parents, served by one llama.cpp engine. */
export class NeuralShelf implements Shop {
  readonly #parts: NeuralParts;
  readonly #manifests: NeuralManifests;
  readonly #rows = new Map<string, Row>();
  /** What the operator serves: grows while it runs. */
  readonly #names: Record<string, string> = {};
  readonly #measuring: NeuralMeasuring;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: NeuralParts) {
    this.#parts = parts;
    this.#measuring = new NeuralMeasuring(parts);
    this.#manifests = new NeuralManifests(parts.data);
  }

  /** Serves again what an earlier run has served. A model whose base or datanet has gone is left out, and said. */
  async restore(say: (text: string) => void): Promise<Result<void>> {
    const manifests = await this.#manifests.all();
    if (!manifests.ok) return manifests;
    for (const manifest of manifests.value) {
      const placed = await this.#place(manifest);
      if (!placed.ok) say(`the model ${manifest.name} is not served: ${placed.error.message}`);
    }
    return ok(undefined);
  }

  isTaken(name: string): boolean {
    return this.#parts.gateway.catalog.find(name).ok;
  }

  /** Registers what a job has made and serves it. The same again is the same deployment. */
  deploy(job: Job, base: Base, order: DeployOrder): Promise<Result<Deployment>> {
    return this.#inTurn(async () => {
      const hash = await this.#hashOf(job, base, order.step);
      if (!hash.ok) return hash;
      const known = this.#rows.get(order.name)?.manifest;
      if (known !== undefined && known.hash === hash.value && known.job === job.id) return ok(deploymentOf(known));
      if (this.isTaken(order.name)) return taken(order.name);
      const datanets = job.source.kind === "datanets" ? job.source.datanets : [];
      const licence = joinLicences([base.licence, ...datanets.map((datanet) => datanet.licence)]);
      const asset = await this.#register(base, datanets, hash.value, licence, order);
      if (!asset.ok) return asset;
      const { name, royalty, parentsBps, step } = order;
      return this.#serve({
        ...{ name, kind: job.options.adapter === undefined ? "model" : "adapter", hash: hash.value, licence },
        ...{ base: { name: base.name, hash: base.hash }, job: job.id, ...(step === undefined ? {} : { step }) },
        ...{
          weights: relative(this.#parts.data, this.#parts.folders.weights(job, step)),
          asset: toHex(asset.value.id),
          datanets: [...datanets],
        },
        ...{ royalty, parentsBps, createdMs: this.#parts.nowMs() },
      });
    });
  }

  /** Serves a base as it is. */
  serveBase(base: Base, order: { readonly name: string; readonly royalty?: Prices }): Promise<Result<Deployment>> {
    return this.#inTurn(async () => {
      const known = this.#rows.get(order.name)?.manifest;
      if (known !== undefined && known.kind === "base" && known.hash === base.hash) return ok(deploymentOf(known));
      if (this.isTaken(order.name)) return taken(order.name);
      const asset = await this.#base(base);
      if (!asset.ok) return asset;
      return this.#serve({
        ...{ name: order.name, kind: "base", base: { name: base.name, hash: base.hash }, hash: base.hash },
        ...{ asset: toHex(asset.value.id), datanets: [], licence: base.licence },
        ...{ royalty: order.royalty ?? deployDefaults.royalty, parentsBps: asset.value.terms.parentsBps },
        createdMs: this.#parts.nowMs(),
      });
    });
  }

  reprice(deployment: Deployment): Promise<Result<void>> {
    return this.#inTurn(async () => {
      const row = this.#rows.get(deployment.name);
      if (row === undefined)
        return refuse("model_not_found", `the model ${deployment.name} is not served here`, { field: "model" });
      const { royalty } = deployment;
      await this.#manifests.save({ ...row.manifest, royalty });
      this.#put({ ...row, manifest: { ...row.manifest, royalty }, served: { ...row.served, royalty } });
      return ok(undefined);
    });
  }

  /** More is declared of a datanet's records: models that stand on it credit by it from the next request on. */
  refresh(datanet: string): Promise<void> {
    this.#parts.grounds.forget(datanet);
    return this.#inTurn(async () => {
      for (const { manifest } of [...this.#rows.values()])
        if (manifest.datanets.some(({ name }) => name === datanet)) await this.#place(manifest);
    });
  }

  /** Asks for a model to be measured behind its back, influence too or only what matches are worth on it. Refuses what cannot be measured. */
  measure(name: string, what: Measured): Promise<Result<void>> {
    return this.#inTurn(async () => {
      const row = this.#measurable(name);
      if (!row.ok) return row;
      const able = await this.#measuring.check(row.value, what);
      if (!able.ok) return able;
      const { manifest } = this.#rows.get(name)!;
      const measured = manifest.measured ?? what;
      const asked = { ...manifest, measured: what === "influence" ? what : measured };
      await this.#manifests.save(asked);
      return this.#place(asked);
    });
  }

  /** What is asked for of a model and not measured yet. */
  async open(name: string): Promise<Result<readonly OpenMeasuring[]>> {
    const row = this.#measurable(name);
    return row.ok ? ok(await this.#measuring.open(row.value)) : row;
  }

  #measurable(name: string): Result<{ readonly manifest: NeuralManifest; readonly ground: Ground }> {
    const row = this.#rows.get(name);
    if (row?.ground !== undefined) return ok({ manifest: this.#located(row.manifest), ground: row.ground });
    return row === undefined
      ? refuse("model_not_found", `no neural model ${name.slice(0, 128)} is served here`, { field: "name" })
      : refuse("conflict", `${name} stands on no datanet: nobody is credited for what it says`);
  }

  /** Where a served model's weights lie. */
  find(name: string): ModelPlace | undefined {
    return this.#rows.get(name)?.place;
  }

  manifest(name: string): NeuralManifest | undefined {
    return this.#rows.get(name)?.manifest;
  }

  /** What attributes a model's answers, where its engine can tell what they owe to what was read. */
  methods(name: string): readonly TrustedMethod[] | undefined {
    const ground = this.#rows.get(name)?.ground;
    return (ground?.reading?.combination ?? ground?.combination)?.methods;
  }

  labelOf(payee: Uint8Array): string | undefined {
    const { provenance } = this.#parts;
    for (const { ground, served } of this.#rows.values()) {
      const label = ground?.people.labelOf(payee) ?? makersLabel(provenance, served, payee);
      if (label !== undefined) return label;
    }
    return undefined;
  }

  async #register(
    base: Base,
    datanets: readonly DatanetRef[],
    hash: Hex,
    licence: string,
    order: DeployOrder,
  ): Promise<Result<AssetState>> {
    const { provenance } = this.#parts;
    const baseAsset = await this.#base(base);
    if (!baseAsset.ok) return baseAsset;
    // Half of what flows to the parents is the base's, the other half the datanets', in equal parts.
    const parents = [{ id: baseAsset.value.id, weight: Math.max(1, datanets.length) }];
    for (const { name, version, id } of datanets) {
      const asset = provenance.ledger.assets
        .list()
        .find(({ kind, contentRoot }) => kind === "datanet" && equalBytes(contentRoot, fromHex(id)));
      if (asset === undefined) return refuse("conflict", `version ${version} of ${name} is not registered as an asset`);
      parents.push({ id: asset.id, weight: 1 });
    }
    const terms = termsOf(licence.length > 32 ? "LicenseRef-several" : licence, order.parentsBps, order.royalty);
    const uri = `openledger:model/${order.name}`;
    const made = await registerAsset(provenance, {
      ...{ kind: "model", contentRoot: fromHex(hash), parents, terms, uri },
    });
    if (!made.ok || made.value.terms.parentsBps === order.parentsBps) return made;
    return refuse("conflict", `this model passes ${made.value.terms.parentsBps} basis points on, once and for ever`, {
      hint: "what flows to the parents is fixed when a model is first registered",
      field: "parentsBps",
    });
  }

  async #base(base: Base): Promise<Result<AssetState>> {
    return registerBase(this.#parts.provenance, base, await this.#parts.bases.notes(base));
  }

  async #hashOf(job: Job, base: Base, step: number | undefined): Promise<Result<Hex>> {
    if (step === undefined && job.result !== undefined) return ok(job.result.hash);
    if (step === undefined) return refuse("conflict", "the job has no result yet", { hint: "deploy a checkpoint" });
    const hash = await checkpointHash(this.#parts.folders, job, base, step);
    if (hash.ok) return hash;
    return refuse("not_found", `the weights of the checkpoint at step ${step} are not kept`, { field: "step" });
  }

  async #serve(manifest: NeuralManifest): Promise<Result<Deployment>> {
    const placed = await this.#place(manifest);
    if (!placed.ok) return placed;
    await this.#manifests.save(manifest);
    return ok(deploymentOf(manifest));
  }

  async #place(manifest: NeuralManifest): Promise<Result<void>> {
    const { bases, grounds } = this.#parts;
    const base = await bases.find(manifest.base.name);
    if (!base.ok) return base;
    if (base.value.hash !== manifest.base.hash)
      return refuse("conflict", `its base ${manifest.base.name} is another one by now`);
    const ground = manifest.datanets.length === 0 ? undefined : await grounds.of(manifest.datanets);
    if (ground !== undefined && !ground.ok) return ground;
    const { shape, tokenizer, folder } = base.value;
    const located = this.#located(manifest);
    const trust = await this.#parts.reliability?.trust(located);
    const fitted = ground && { ...ground.value, contextTokensMax: roomToRead(shape.contextTokens) };
    const grounded = fitted && { ...fitted, ...this.#evidence(manifest.name, fitted, trust) };
    const explained = grounded && (await this.#explained(grounded, manifest, base.value));
    const served: ServedModel = {
      ...{ name: manifest.name, asset: fromHex(manifest.asset), ownedBy: "this node", createdMs: manifest.createdMs },
      ...{ contextTokens: shape.contextTokens, unit: "nano", royalty: manifest.royalty },
      ...(explained === undefined ? {} : { grounding: groundModel(explained) }),
      countTokens: (text) => encode(tokenizer, text).length,
    };
    const own = located.weights;
    const place: ModelPlace =
      manifest.kind === "model"
        ? { base: own ?? folder }
        : { base: folder, ...(own === undefined ? {} : { adapter: own }) };
    this.#put({ manifest, place, served, ground: explained });
    if (fitted !== undefined) void this.#improve(manifest, base.value, fitted);
    return ok(undefined);
  }

  /** With where its weights lie today. */
  #located({ weights, ...manifest }: NeuralManifest): NeuralManifest {
    return weights === undefined ? manifest : { ...manifest, weights: resolve(this.#parts.data, weights) };
  }

  /** With influence, where it is fitted. Whatever a receipt can name is kept before one does. */
  async #explained(ground: Ground, manifest: NeuralManifest, base: Base): Promise<Ground> {
    const { influence, combinations } = this.#parts;
    const explained = (await influence?.ground(ground, this.#located(manifest), base)) ?? ground;
    for (const combination of [explained.combination, explained.reading?.combination])
      if (combination !== undefined) await combinations.keep(combination);
    return explained;
  }

  /** Serves a model with its influence, and with what matches counted as measured, once that is known; as it is meanwhile. */
  async #improve(manifest: NeuralManifest, base: Base, ground: Ground): Promise<void> {
    if (!(await this.#measuring.improve({ manifest: this.#located(manifest), base, ground }))) return;
    await this.#inTurn(async () => {
      const now = this.#rows.get(manifest.name)?.manifest;
      if (now?.hash === manifest.hash) await this.#place(now);
    });
  }

  /** How its answers are attributed: by what matches, and where it reads records by what its engine says of them. */
  #evidence(name: string, ground: Ground, trust?: MatchTrust): Pick<Ground, "combination" | "reading"> {
    const { engine, combinations } = this.#parts;
    const { policy } = combinations;
    const combination = neuralCombination(policy, trust);
    if (engine.score === undefined || ground.contextTokensMax === 0) return { combination };
    const score: ScoringEngine["score"] = (request, signal) => engine.score!(request, signal);
    return { combination, reading: readingOf(policy, { score }, name, trust?.span) };
  }

  #put(row: Row): void {
    const { gateway, operator: payee, cost, engine } = this.#parts;
    const { name } = row.manifest;
    if (this.#rows.size === 0) {
      const models = this.#names;
      gateway.operators.put({
        name: NEURAL_OPERATOR,
        payee,
        models,
        unit: "nano",
        cost,
        concurrency: CONCURRENCY,
        engine,
      });
    }
    this.#rows.set(name, row);
    this.#names[name] = name;
    gateway.catalog.put(row.served);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work, work);
    this.#turn = done.catch(() => undefined);
    return done;
  }
}

function deploymentOf({ name, step, asset, hash, royalty, parentsBps, createdMs }: NeuralManifest): Deployment {
  return { name, ...(step === undefined ? {} : { step }), asset, hash, royalty, parentsBps, createdMs };
}

function taken(name: string): Result<never> {
  return refuse("already_exists", `there is a model ${name} already`, { field: "name" });
}
