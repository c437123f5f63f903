import { equalBytes, fromHex, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { Job } from "../factory/job.ts";
import type { Base, Bases } from "../factory/ports.ts";
import type { AssetState } from "../ledger/ledger.ts";
import { registerBase } from "./baseAssets.ts";
import type { DeclaredVersion, FindVersion } from "./declared.ts";
import type { BaseNotes } from "./factoryBases.ts";
import { joinLicences } from "./licences.ts";
import { type Provenance, registerAsset, termsOf } from "./provenance.ts";

export interface TrainingAssetsParts {
  readonly provenance: Provenance;
  readonly bases: Bases & { notes(base: Base): Promise<BaseNotes> };
  readonly find: FindVersion;
  /** What people call an asset that a receipt will name. */
  readonly onNamed: (name: string, asset: AssetState) => void;
}

/**
 * What the receipt of a training names as its model: the base; or, where it learns from datanets, an asset that says so, whose parents are the base and the
 * datanets. It passes all of its part on, and leads to the contexts that the context's part may be paid to.
 */
export class TrainingAssets {
  readonly #parts: TrainingAssetsParts;

  constructor(parts: TrainingAssetsParts) {
    this.#parts = parts;
  }

  /** A receipt of an earlier run gets back its name. */
  restore(job: Job, id: Uint8Array): void {
    const known = this.#parts.provenance.ledger.assets.get(id);
    if (known !== undefined) this.#name(job, known);
  }

  async versions({ source }: Job): Promise<Result<readonly DeclaredVersion[]>> {
    const versions: DeclaredVersion[] = [];
    if (source.kind === "datanets")
      for (const { name, version } of source.datanets) {
        const found = await this.#parts.find(name, version);
        if (!found.ok) return found;
        versions.push(found.value);
      }
    return ok(versions);
  }

  /** What the receipt names as its model. */
  async of(job: Job): Promise<Result<AssetState>> {
    const base = await this.#base(job);
    const versions = base.ok ? await this.versions(job) : base;
    if (!base.ok) return base;
    if (!versions.ok) return versions;
    const made = versions.value.length === 0 ? base : await this.#training(job, base.value, versions.value);
    if (made.ok) this.#name(job, made.value);
    return made;
  }

  /** A base that was replaced since is still the asset that it was. */
  async #base({ base: { name, hash } }: Job): Promise<Result<AssetState>> {
    const { provenance, bases } = this.#parts;
    const known = this.#known("model", fromHex(hash));
    if (known !== undefined) return ok(known);
    const base = await bases.find(name);
    if (!base.ok) return base;
    if (base.value.hash !== hash)
      return refuse("conflict", `the base ${name} is not the one that the job was ordered for`);
    return registerBase(provenance, base.value, await bases.notes(base.value));
  }

  /** Half of the model's part is the base's, the other half the datanets', as of the models that come of it. */
  async #training(job: Job, base: AssetState, versions: readonly DeclaredVersion[]): Promise<Result<AssetState>> {
    const parents = [
      { id: base.id, weight: versions.length },
      ...versions.map(({ asset }) => ({ id: asset, weight: 1 })),
    ];
    const contentRoot = sha256(utf8("openledger training"), base.contentRoot, ...versions.map(({ asset }) => asset));
    const known = this.#known("tool", contentRoot);
    if (known !== undefined) return ok(known);
    const refs = job.source.kind === "datanets" ? job.source.datanets : [];
    const licence = joinLicences([base.terms.licence, ...refs.map((ref) => ref.licence)]);
    return registerAsset(this.#parts.provenance, {
      ...{ kind: "tool", contentRoot, parents, uri: `openledger:training/${nameOf(job)}`.slice(0, 256) },
      terms: termsOf(licence.length > 32 ? "LicenseRef-several" : licence, 10_000),
    });
  }

  #known(kind: AssetState["kind"], contentRoot: Uint8Array): AssetState | undefined {
    return this.#parts.provenance.ledger.assets
      .list()
      .find((asset) => asset.kind === kind && equalBytes(asset.contentRoot, contentRoot));
  }

  #name(job: Job, asset: AssetState): void {
    this.#parts.onNamed(nameOf(job), asset);
  }
}

function nameOf({ base, source }: Job): string {
  if (source.kind === "file") return base.name;
  return `${base.name} on ${source.datanets.map(({ name, version }) => `${name}@${version}`).join(", ")}`;
}
