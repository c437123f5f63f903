import { type AssetRecord, flowsToOwnerAlone, royaltyVector } from "../core/asset.ts";
import { assert } from "../core/result.ts";
import { DatanetPools } from "./datanetPools.ts";
import { keyOf } from "./keyOf.ts";
import type { KnownAsset } from "./stateImage.ts";

/** The assets of a ledger, as its journal says them. */
export class KnownAssets {
  /** Grows with every asset and pool. */
  version = 0;
  readonly #assets = new Map<string, KnownAsset>();
  readonly #datanetPools = new DatanetPools();

  get(id: Uint8Array): KnownAsset | undefined {
    return this.#assets.get(keyOf(id));
  }

  all(): readonly KnownAsset[] {
    return [...this.#assets.values()];
  }

  add(record: AssetRecord, seq: number): void {
    const known = this.get(record.id);
    if (known !== undefined) return this.keep({ ...known, nextOwner: record.owner });
    const vector = royaltyVector(record.id, record.terms, record.parents, (id) => this.get(id)?.vector);
    assert(vector.ok, "an asset that is journalled has known parents");
    const measures = this.#measuredBy(record);
    this.keep({
      ...{ record, vector: vector.value, seq, royaltyPayee: record.owner },
      ...(measures === undefined ? {} : { measures }),
    });
  }

  /** The open epoch was closed: what was transferred in it is its new owners'. Pools follow when they are published again. */
  turnOwners(): void {
    for (const { nextOwner, ...asset } of this.#assets.values()) {
      if (nextOwner === undefined) continue;
      const record = { ...asset.record, owner: nextOwner };
      const royaltyPayee = flowsToOwnerAlone(record.id, asset.vector) ? nextOwner : asset.royaltyPayee;
      this.keep({ ...asset, record, royaltyPayee });
    }
  }

  /** An asset's pool of ancestors is where its royalty goes from now on; a prior or context pool is its datanet's. */
  repool(subject: Uint8Array, pool: number): void {
    const asset = this.get(subject);
    const own = this.#datanetPools.of(subject);
    if (asset !== undefined) this.keep({ ...asset, royaltyPayee: pool });
    else if (own !== undefined) this.keep({ ...this.get(own.datanet)!, [own.role]: pool });
  }

  keep(asset: KnownAsset): void {
    this.version += 1;
    this.#assets.set(keyOf(asset.record.id), asset);
    this.#datanetPools.note(asset);
  }

  /** The one datanet that a model was made from, by its seq: then its contributors' legs measure that datanet. */
  #measuredBy(model: AssetRecord): number | undefined {
    const datanets = model.parents.filter((parent) => this.get(parent.id)?.record.assetKind === "datanet");
    return datanets.length === 1 ? this.get(datanets[0]!.id)!.seq : undefined;
  }
}
