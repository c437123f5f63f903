import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { infinigramCombination } from "../attribution/attribute.ts";
import { fromHex, toHex } from "../core/bytes.ts";
import type { Prices, PriceUnit } from "../core/quote.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { Bm25Index } from "../datanets/bm25.ts";
import type { IdentityScope } from "../datanets/identity.ts";
import type { DatanetRecord } from "../datanets/record.ts";
import type { DatanetStore } from "../datanets/store.ts";
import type { ServedModel } from "../gateway/catalog.ts";
import type { Gateway } from "../gateway/gateway.ts";
import { readIfThere, writeAtomically } from "../host/files.ts";
import { nextTurn } from "../host/turn.ts";
import { encode } from "../models/bpe.ts";
import type { CorpusIndex } from "../models/corpusIndex.ts";
import { loadIndex, saveIndex } from "../models/corpusIndexFile.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import type { EmbeddedEngine } from "../upstream/embedded.ts";
import { embeddedInfinigram } from "../upstream/infinigramHost.ts";
import { citedParts } from "./citedRecords.ts";
import type { CombinationShelf } from "./combinationShelf.ts";
import { groundModel } from "./grounding.ts";
import { indexRecords } from "./indexing.ts";
import { type MeaningShelf, meaningsOf } from "./meaningShelf.ts";
import { People } from "./people.ts";
import { makersLabel, type Provenance, registerAsset, termsOf } from "./provenance.ts";
import { loadUpstream } from "./upstream.ts";

/** What is kept of a model beside its index; `<name>.json` in the data folder's `models`. */
const manifestSchema = z.object({
  name: z.string(),
  datanet: z.string(),
  version: z.number().int(),
  asset: z.string(),
  indexFile: z.string(),
  royalty: z.object({ inPerMillion: z.number(), outPerMillion: z.number(), perCall: z.number() }),
  /** What the prices are in. */
  unit: z.enum(["nano", "microUsd"]).default("nano"),
  createdMs: z.number(),
});
export type ModelManifest = z.infer<typeof manifestSchema>;

export interface ShelfParts {
  readonly data: string;
  readonly store: DatanetStore;
  readonly provenance: Provenance;
  readonly gateway: Gateway;
  readonly combinations: CombinationShelf;
  /** Where an embeddings server is configured. */
  readonly meanings?: MeaningShelf | undefined;
  readonly nowMs: () => number;
  /** 32 bytes: who is paid for running embedded models. */
  readonly operator: Uint8Array;
  readonly cost: Prices;
}

export interface NewModel {
  readonly name: string;
  readonly datanet: string;
  readonly version?: number;
  readonly royalty?: Prices;
  readonly unit?: PriceUnit;
  readonly parentsBps?: number;
}

const CONTEXT_TOKENS = 32_768;
/** What the embedded models ask for where nobody says otherwise: as much in dollars as in OPEN at one for one. */
const royaltyDefaults: Readonly<Record<PriceUnit, Prices>> = {
  nano: { inPerMillion: 0, outPerMillion: 2_000_000_000, perCall: 200_000 },
  microUsd: { inPerMillion: 0, outPerMillion: 2_000_000, perCall: 200 },
};
export const embeddedCost: Prices = { inPerMillion: 100_000_000, outPerMillion: 400_000_000, perCall: 20_000 };
const PARENTS_BPS_DEFAULT = 3_000;

/** The ∞-gram models of this node: built from a datanet's version, kept as files, served by one embedded engine. */
export class ModelShelf {
  readonly #parts: ShelfParts;
  readonly #shelf = new Map<
    string,
    { readonly manifest: ModelManifest; readonly index: CorpusIndex; readonly people: People }
  >();
  #last: Promise<unknown> = Promise.resolve();
  #engine: EmbeddedEngine | undefined;

  constructor(parts: ShelfParts) {
    this.#parts = parts;
  }

  /** Puts back what an earlier run has built. What cannot be loaded is built again from its datanet. */
  async restore(say: (text: string) => void): Promise<Result<void>> {
    await mkdir(this.#folder, { recursive: true });
    for (const file of (await readdir(this.#folder)).filter((name) => name.endsWith(".json")).sort()) {
      const manifest = manifestSchema.safeParse(JSON.parse((await readIfThere(join(this.#folder, file))) ?? "null"));
      if (!manifest.success) return refuse("data_folder_damaged", `${file} in ${this.#folder} cannot be read`);
      const { datanet, version, indexFile, name } = manifest.data;
      const records = await this.#parts.store.versionRecords(datanet, version);
      const loaded = loadIndex(join(this.#folder, indexFile), houseTokenizer());
      if (!loaded.ok) say(`the index of ${name} is built again: ${loaded.error.message}`);
      const index = loaded.ok ? loaded.value : await indexRecords(records);
      await this.#place(manifest.data, records, index);
    }
    return this.#serve();
  }

  /** One at a time: to sort takes memory, and every new model replaces the engine that serves all. */
  create(model: NewModel, say: (text: string) => void): Promise<Result<ModelManifest>> {
    const made = this.#last.then(() => this.#create(model, say));
    this.#last = made.catch(() => undefined);
    return made;
  }

  async #create(model: NewModel, say: (text: string) => void): Promise<Result<ModelManifest>> {
    const { store, provenance, nowMs } = this.#parts;
    if (this.#shelf.has(model.name) || this.#parts.gateway.catalog.find(model.name).ok)
      return refuse("already_exists", `there is a model ${model.name} already`, { field: "name" });
    const datanet = await store.datanet(model.datanet);
    const version = await store.version(model.datanet, model.version);
    if (datanet === undefined || version === undefined) {
      return refuse("not_found", `the datanet ${model.datanet} has no such version`, {
        hint: "publish one first",
        field: "datanet",
      });
    }
    const records = await store.versionRecords(model.datanet, version.number);
    say(`building the ∞-gram index of ${records.length} records`);
    const index = await indexRecords(records);
    const parent = this.#versionAsset(version.id);
    if (parent === undefined)
      return refuse("conflict", `version ${version.number} of ${model.datanet} is not registered as an asset`);
    const { unit = "nano", royalty = royaltyDefaults[unit], parentsBps = PARENTS_BPS_DEFAULT } = model;
    const terms = { ...termsOf(datanet.licence, parentsBps, royalty), unit };
    const asset = await registerAsset(provenance, {
      ...{
        kind: "model",
        contentRoot: index.id,
        terms,
        parents: [{ id: parent, weight: 1 }],
        uri: `openledger:model/${model.name}`,
      },
    });
    if (!asset.ok) return asset;
    const indexFile = `${model.name}-${version.number}.index`;
    const manifest: ModelManifest = {
      ...{ name: model.name, datanet: model.datanet, version: version.number, asset: toHex(asset.value.id), indexFile },
      ...{ royalty, unit, createdMs: nowMs() },
    };
    const saved = saveIndex(join(this.#folder, indexFile), index);
    if (!saved.ok) return saved;
    await writeAtomically(join(this.#folder, `${model.name}.json`), `${JSON.stringify(manifest, undefined, 2)}\n`);
    await this.#place(manifest, records, index);
    const served = await this.#serve();
    return served.ok ? ok(manifest) : served;
  }

  /** More is declared of a datanet's records: models that stand on it credit by it from the next request on. */
  async refresh(datanet: string): Promise<void> {
    for (const { manifest, index } of [...this.#shelf.values()]) {
      if (manifest.datanet !== datanet) continue;
      await this.#place(manifest, await this.#parts.store.versionRecords(datanet, manifest.version), index);
    }
  }

  list(): readonly ModelManifest[] {
    return [...this.#shelf.values()].map(({ manifest }) => manifest);
  }

  index(name: string): CorpusIndex | undefined {
    return this.#shelf.get(name)?.index;
  }

  labelOf(payee: Uint8Array): string | undefined {
    const { provenance } = this.#parts;
    for (const { people, manifest } of this.#shelf.values()) {
      const { name, asset } = manifest;
      const label = people.labelOf(payee) ?? makersLabel(provenance, { name, asset: fromHex(asset) }, payee);
      if (label !== undefined) return label;
    }
    return undefined;
  }

  async close(): Promise<void> {
    await this.#engine?.close();
  }

  get #folder(): string {
    return join(this.#parts.data, "models");
  }

  #versionAsset(version: string): Uint8Array | undefined {
    return this.#parts.provenance.ledger.assets
      .list()
      .find((asset) => asset.kind === "datanet" && toHex(asset.contentRoot) === version)?.id;
  }

  async #place(manifest: ModelManifest, records: readonly DatanetRecord[], index: CorpusIndex): Promise<void> {
    const { store, gateway, provenance, combinations } = this.#parts;
    const datanet = (await store.datanet(manifest.datanet))!;
    const scope = await scopeOf(store, provenance, manifest.datanet);
    const upstream = await loadUpstream(store, provenance.ledger.books, [manifest.datanet], records);
    const people = new People({ scope, records }, ...upstream.answers.values());
    const { keepPpm } = combinations.policy.lineage;
    const cited = await citedParts(store, [manifest.datanet], records, keepPpm);
    if (cited !== undefined) people.citing(cited);
    const meanings = meaningsOf(this.#parts.meanings, records);
    const search = Bm25Index.inTurns(records, nextTurn);
    const combination = infinigramCombination(combinations.policy);
    await combinations.keep(combination);
    this.#shelf.set(manifest.name, { manifest, index, people });
    const served: ServedModel = {
      ...{ name: manifest.name, asset: fromHex(manifest.asset), ownedBy: datanet.name, createdMs: manifest.createdMs },
      ...{ contextTokens: CONTEXT_TOKENS, unit: manifest.unit, royalty: manifest.royalty },
      grounding: groundModel({
        ...{ datanets: [manifest.datanet], records, index, people, combination, upstream, meanings },
        search: () => search,
      }),
      countTokens: (text) => encode(index.tokenizer, text).length,
    };
    gateway.catalog.put(served);
  }

  /** One worker answers for all models; a new set of models is a new worker, and the old one ends when it has nothing more to do. */
  async #serve(): Promise<Result<void>> {
    const { gateway, operator, cost } = this.#parts;
    if (this.#shelf.size === 0) return ok(undefined);
    const engine = embeddedInfinigram(new Map([...this.#shelf].map(([name, { index }]) => [name, index])));
    if (!(await engine.start())) return refuse("upstream_failed", "the embedded engine did not start");
    const before = this.#engine;
    this.#engine = engine;
    const offers = { nano: ["embedded", cost], microUsd: ["embedded-usd", inDollars(cost)] } as const;
    for (const unit of ["nano", "microUsd"] as const) {
      const priced = [...this.#shelf.values()].filter(({ manifest }) => manifest.unit === unit);
      const models = Object.fromEntries(priced.map(({ manifest: { name } }) => [name, name]));
      const [name, asked] = offers[unit];
      if (priced.length === 0) continue;
      gateway.operators.put({ name, payee: operator, models, unit, cost: asked, concurrency: 4, engine });
    }
    await before?.close();
    return ok(undefined);
  }
}

/** A thousandth of the number: nano of an OPEN as millionths of a dollar, at one for one. */
function inDollars({ inPerMillion, outPerMillion, perCall }: Prices): Prices {
  const [into, out, call] = [inPerMillion, outPerMillion, perCall].map((nano) => Math.ceil(nano / 1_000));
  return { inPerMillion: into!, outPerMillion: out!, perCall: call! };
}

/** What the payee ids of a datanet's identities are keyed with. */
export async function scopeOf(store: DatanetStore, { chain }: Provenance, name: string): Promise<IdentityScope> {
  const datanet = (await store.datanet(name))!;
  const secret = (await store.datanetSecret(name))!;
  return { ...chain.identities, datanet: fromHex(datanet.id), secret };
}
