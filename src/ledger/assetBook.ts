import { royaltyVector, vectorRoot } from "../core/asset.ts";
import { compareBytes, equalBytes } from "../core/bytes.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { Share } from "../core/route.ts";
import type { BookState } from "./bookState.ts";
import { keyOf } from "./keyOf.ts";
import type { AssetInput, AssetState, Assets } from "./ledger.ts";
import { mergeShares, numberOf, publishPool } from "./payees.ts";
import type { KnownAsset } from "./stateImage.ts";
import type { Batch, Writer } from "./writer.ts";

/** Assets of the ledger, and the pools through which a royalty flows to an asset's owner and to its ancestors'. */
export class AssetBook implements Assets {
  readonly #writer: Writer;
  readonly #state: BookState;
  /** Owners as last seen in the registry, where they are not those of registration. */
  readonly #owners = new Map<string, Uint8Array>();

  constructor(writer: Writer) {
    this.#writer = writer;
    this.#state = writer.state;
  }

  register(input: AssetInput): Promise<Result<AssetState>> {
    return this.#writer.run((batch) => {
      const parents = input.parents.toSorted((a, b) => compareBytes(a.id, b.id));
      const known = this.#state.asset(input.id);
      if (known !== undefined)
        return this.#isSame(known, input)
          ? ok(() => this.#view(known))
          : refuse("already_exists", "an asset with this id and other content is registered");
      const vector = royaltyVector(input.id, input.terms, parents, (id) => this.#state.asset(id)?.vector);
      if (!vector.ok) return vector;
      const owner = numberOf(this.#state, batch, input.owner, "party");
      const { id, kind: assetKind, contentRoot, terms } = input;
      batch.add({
        kind: "asset",
        asset: { id, assetKind, owner, contentRoot, terms, vectorRoot: vectorRoot(vector.value), parents },
      });
      const asset = this.#state.asset(id)!;
      if (vector.value.length > 1) publishPool(this.#state, batch, id, this.#royaltyShares(batch, asset));
      return ok(() => this.#view(this.#state.asset(id)!));
    });
  }

  get(id: Uint8Array): AssetState | undefined {
    const asset = this.#state.asset(id);
    return asset === undefined ? undefined : this.#view(asset);
  }

  list(): readonly AssetState[] {
    return this.#state.assets().map((asset) => this.#view(asset));
  }

  transfer(id: Uint8Array, owner: Uint8Array): Promise<Result<AssetState>> {
    return this.#writer.run((batch) => {
      const asset = this.#state.asset(id);
      if (asset === undefined) return refuse("not_found", "there is no such asset on this ledger");
      if (equalBytes(this.#view(asset).owner, owner)) return ok(() => this.#view(asset));
      this.#owners.set(keyOf(id), owner);
      // Everything made from it pays the new owner from now on.
      for (const heir of this.#state.assets()) {
        if (!heir.vector.some((share) => equalBytes(share.id, id))) continue;
        publishPool(this.#state, batch, heir.record.id, this.#royaltyShares(batch, heir));
      }
      return ok(() => this.#view(this.#state.asset(id)!));
    });
  }

  #royaltyShares(batch: Batch, asset: KnownAsset): Share[] {
    return mergeShares(
      asset.vector.map((share) => {
        const part = this.#state.asset(share.id)!;
        const moved = this.#owners.get(keyOf(share.id));
        const payee = moved === undefined ? part.record.owner : numberOf(this.#state, batch, moved, "party");
        return { payee, weight: share.weight };
      }),
    );
  }

  #isSame(known: KnownAsset, input: AssetInput): boolean {
    return known.record.assetKind === input.kind && equalBytes(known.record.contentRoot, input.contentRoot);
  }

  #view({ record, seq, royaltyPayee }: KnownAsset): AssetState {
    const { id, assetKind: kind, contentRoot, terms, parents } = record;
    const owner = this.#owners.get(keyOf(id)) ?? this.#state.payee(record.owner)!.id;
    return { id, kind, owner, contentRoot, terms, parents, seq, royaltyPayee: this.#state.payee(royaltyPayee)!.id };
  }
}
