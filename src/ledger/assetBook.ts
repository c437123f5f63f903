import { flowsToOwnerAlone, royaltyShares, royaltyVector, vectorRoot } from "../core/asset.ts";
import { compareBytes, equalBytes } from "../core/bytes.ts";
import { contextSubject, declaredSubject } from "../core/pool.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { WEIGHT_TOTAL_MAX } from "../core/split.ts";
import type { Batch } from "./batch.ts";
import type { BookState } from "./bookState.ts";
import type { PayeeShare } from "./execution.ts";
import type { AssetInput, AssetState, Assets } from "./ledger.ts";
import { mergeShares, numberOf, publishPool } from "./payees.ts";
import type { KnownAsset } from "./stateImage.ts";
import type { Writer } from "./writer.ts";

/** Assets of the ledger, and the pools through which a royalty flows to an asset's owner and to its ancestors'. */
export class AssetBook implements Assets {
  readonly #writer: Writer;
  readonly #state: BookState;

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
      publishRoyalty(this.#state, batch, asset);
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

  declare(model: Uint8Array, shares: readonly PayeeShare[]): Promise<Result<Uint8Array>> {
    return this.#writer.run((batch) => {
      if (this.#state.asset(model) === undefined)
        return refuse("model_not_found", "the model is not registered on this ledger");
      return this.#publish(batch, declaredSubject(model), shares, "declared");
    });
  }

  creditContext(datanet: Uint8Array, shares: readonly PayeeShare[]): Promise<Result<Uint8Array>> {
    return this.#writer.run((batch) => {
      if (this.#state.asset(datanet)?.record.assetKind !== "datanet")
        return refuse("not_found", "the datanet version is not registered on this ledger");
      return this.#publish(batch, contextSubject(datanet), shares, "context");
    });
  }

  transfer(id: Uint8Array, owner: Uint8Array): Promise<Result<AssetState>> {
    return this.#writer.run((batch) => {
      const asset = this.#state.asset(id);
      if (asset === undefined) return refuse("not_found", "there is no such asset on this ledger");
      const last = this.#state.payee(asset.nextOwner ?? asset.record.owner)!;
      if (equalBytes(last.id, owner)) return ok(() => this.#view(asset));
      const number = numberOf(this.#state, batch, owner, "party");
      batch.add({ kind: "asset", asset: { ...asset.record, owner: number } });
      return ok(() => this.#view(this.#state.asset(id)!));
    });
  }

  /** A pool of these shares; the present one where it is these already. */
  #publish(batch: Batch, subject: Uint8Array, shares: readonly PayeeShare[], what: string): Result<() => Uint8Array> {
    const total = shares.reduce((sum, { weight }) => sum + weight, 0);
    const isWhole = shares.every(
      ({ payee, weight }) => payee.length === 32 && Number.isSafeInteger(weight) && weight > 0,
    );
    if (!isWhole || total <= 0 || total > WEIGHT_TOTAL_MAX)
      return refuse("invalid_request", `${what} weights are whole, above 0, and sum to at most 2^32`);
    const members = shares.map(({ payee, type, weight }) => ({
      payee: numberOf(this.#state, batch, payee, type),
      weight,
    }));
    const pool = publishPool(this.#state, batch, subject, mergeShares(members));
    return ok(() => this.#state.payee(pool)!.id);
  }

  #isSame(known: KnownAsset, input: AssetInput): boolean {
    return known.record.assetKind === input.kind && equalBytes(known.record.contentRoot, input.contentRoot);
  }

  #view({ record, seq, royaltyPayee, nextOwner }: KnownAsset): AssetState {
    const { id, assetKind: kind, contentRoot, terms, parents } = record;
    const idOf = (payee: number): Uint8Array => this.#state.payee(payee)!.id;
    return {
      ...{ id, kind, owner: idOf(record.owner), contentRoot, terms, parents, seq, royaltyPayee: idOf(royaltyPayee) },
      ...(nextOwner === undefined ? {} : { nextOwner: idOf(nextOwner) }),
    };
  }
}

/** The pool through which a royalty reaches the present owners of all that the asset was made from; none where that is its own owner alone. */
export function publishRoyalty(state: BookState, batch: Batch, { record, vector }: KnownAsset): void {
  if (flowsToOwnerAlone(record.id, vector)) return;
  publishPool(
    state,
    batch,
    record.id,
    royaltyShares(vector, (id) => state.asset(id)!.record.owner),
  );
}
