import { compareBytes, equalBytes, toHex } from "./bytes.ts";
import { keccak256 } from "./hash.ts";
import { type PackedReader, PackedWriter } from "./packed.ts";
import { noPrices, type Prices, type PriceUnit } from "./quote.ts";
import { assert, ok, type Result, refuse } from "./result.ts";
import type { Share } from "./route.ts";
import { splitSystematic } from "./split.ts";

/**
 * An asset: a content-addressed thing with an owner and parents. A parent exists before its child, so the provenance graph is acyclic by construction.
 * Its flattened royalty vector says, once and for ever, how a royalty on it flows to itself and to everything that it was made from.
 */
export const assetKinds = ["datanet", "context", "model", "agent", "tool"] as const;
export type AssetKind = (typeof assetKinds)[number];

export interface Parent {
  /** 32-byte asset id. */
  readonly id: Uint8Array;
  readonly weight: number;
}

export interface Terms {
  readonly unit: PriceUnit;
  /** What a use of this asset adds to a fee. */
  readonly royalty: Prices;
  /** The part of its own share that flows to its parents, in basis points. */
  readonly parentsBps: number;
  /** SPDX identifier, at most 32 ASCII characters. */
  readonly licence: string;
}

export interface AssetRecord {
  readonly id: Uint8Array;
  readonly assetKind: AssetKind;
  /** Payee number of the owner. The same record again with another owner is a transfer, which counts from the entry that closes the open epoch. */
  readonly owner: number;
  readonly contentRoot: Uint8Array;
  readonly terms: Terms;
  /** See {@link vectorRoot}. */
  readonly vectorRoot: Uint8Array;
  readonly parents: readonly Parent[];
}

export interface VectorShare {
  readonly id: Uint8Array;
  readonly weight: number;
}

/** Every royalty vector sums to this. */
export const VECTOR_TOTAL = 1_000_000_000;
export const PARENTS_MAX = 16;
export const ANCESTORS_MAX = 1_024;

export const freeTerms: Terms = { unit: "nano", royalty: noPrices, parentsBps: 0, licence: "NOASSERTION" };

/**
 * The royalty vector of a new asset: `parentsBps` of the whole flows to the parents by weight, and through each by its own vector; the rest stays.
 * Whole numbers that sum to {@link VECTOR_TOTAL}, ascending by asset id. `vectorOf` gives a parent's vector, undefined for an unknown parent.
 */
export function royaltyVector(
  id: Uint8Array,
  terms: Pick<Terms, "parentsBps">,
  parents: readonly Parent[],
  vectorOf: (id: Uint8Array) => readonly VectorShare[] | undefined,
): Result<VectorShare[]> {
  if (parents.length > PARENTS_MAX)
    return refuse("rule_violated", `an asset has at most ${PARENTS_MAX} parents, got ${parents.length}`);
  const toParents = parents.length === 0 ? 0 : Math.floor((VECTOR_TOTAL * terms.parentsBps) / 10_000);
  const weights = new Map<string, { id: Uint8Array; weight: number }>();
  add(weights, id, VECTOR_TOTAL - toParents);
  const parts =
    toParents === 0
      ? []
      : splitSystematic(
          toParents,
          parents.map((parent) => parent.weight),
          0,
        );
  for (const [i, parent] of parents.entries()) {
    const vector = vectorOf(parent.id);
    if (vector === undefined)
      return refuse("not_found", `parent ${toHex(parent.id)} is not registered`, {
        hint: "register a parent before its child",
      });
    if (toParents === 0) continue;
    const shares = splitSystematic(
      parts[i]!,
      vector.map((share) => share.weight),
      0,
    );
    for (const [j, share] of vector.entries()) add(weights, share.id, shares[j]!);
  }
  if (weights.size - 1 > ANCESTORS_MAX)
    return refuse("rule_violated", `an asset has at most ${ANCESTORS_MAX} ancestors, got ${weights.size - 1}`);
  const vector = [...weights.values()].filter((share) => share.weight > 0).sort((a, b) => compareBytes(a.id, b.id));
  assert(vector.reduce((sum, share) => sum + share.weight, 0) === VECTOR_TOTAL, "a royalty vector keeps its total");
  return ok(vector);
}

/** Whether a royalty on the asset flows to its owner and to nobody else; otherwise it flows through a pool. */
export function flowsToOwnerAlone(id: Uint8Array, vector: readonly VectorShare[]): boolean {
  return vector.length === 1 && equalBytes(vector[0]!.id, id);
}

/** What each owner gets of a royalty, ascending by payee: the members of its pool. `ownerOf` gives the payee number of an asset's owner. */
export function royaltyShares(vector: readonly VectorShare[], ownerOf: (id: Uint8Array) => number): Share[] {
  const weights = new Map<number, number>();
  for (const { id, weight } of vector) {
    const owner = ownerOf(id);
    weights.set(owner, (weights.get(owner) ?? 0) + weight);
  }
  return [...weights].map(([payee, weight]) => ({ payee, weight })).sort((a, b) => a.payee - b.payee);
}

/** Whether the records say the same of an asset, apart from who owns it. */
export function isSameAsset(a: AssetRecord, b: AssetRecord): boolean {
  const pack = (record: AssetRecord): Uint8Array => {
    const packed = new PackedWriter(assetBytes(record));
    writeAsset(packed, { ...record, owner: 0 });
    return packed.finish();
  };
  return equalBytes(pack(a), pack(b));
}

/** keccak256 over (bytes32 id ‖ u32 weight) of each share, ascending by asset id. */
export function vectorRoot(vector: readonly VectorShare[]): Uint8Array {
  const packed = new PackedWriter(vector.length * 36);
  for (const share of vector) packed.raw(share.id, 32).u32(share.weight);
  return keccak256(packed.finish());
}

export function assetBytes(asset: AssetRecord): number {
  return 32 + 1 + 4 + 32 + 1 + 24 + 2 + 32 + 32 + 1 + 36 * asset.parents.length;
}

export function writeAsset(to: PackedWriter, asset: AssetRecord): void {
  const { terms, parents } = asset;
  assert(parents.length <= PARENTS_MAX, `at most ${PARENTS_MAX} parents`);
  to.raw(asset.id, 32).u8(assetKinds.indexOf(asset.assetKind)).u32(asset.owner).raw(asset.contentRoot, 32);
  to.u8(terms.unit === "nano" ? 0 : 1)
    .u64(terms.royalty.inPerMillion)
    .u64(terms.royalty.outPerMillion)
    .u64(terms.royalty.perCall)
    .u16(terms.parentsBps)
    .ascii(terms.licence, 32)
    .raw(asset.vectorRoot, 32)
    .u8(parents.length);
  for (const parent of parents) to.raw(parent.id, 32).u32(parent.weight);
}

export function readAsset(from: PackedReader): AssetRecord {
  const [id, assetKind, owner, contentRoot] = [from.raw(32), assetKinds[from.u8()], from.u32(), from.raw(32)];
  const unitCode = from.u8();
  if (assetKind === undefined || unitCode > 1) from.fail();
  const royalty = { inPerMillion: from.u64(), outPerMillion: from.u64(), perCall: from.u64() };
  const terms = {
    unit: unitCode === 0 ? "nano" : "microUsd",
    royalty,
    parentsBps: from.u16(),
    licence: from.ascii(32),
  } as const;
  const [vectorRoot, count] = [from.raw(32), from.u8()];
  if (count > PARENTS_MAX) from.fail();
  const parents: Parent[] = [];
  for (let i = 0; i < count && !from.hasFailed; i++) parents.push({ id: from.raw(32), weight: from.u32() });
  return { id, assetKind: assetKind ?? "tool", owner, contentRoot, terms, vectorRoot, parents };
}

function add(weights: Map<string, { id: Uint8Array; weight: number }>, id: Uint8Array, weight: number): void {
  const key = toHex(id);
  const present = weights.get(key);
  if (present === undefined) weights.set(key, { id, weight });
  else present.weight += weight;
}
