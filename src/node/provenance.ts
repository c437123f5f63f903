import type { AssetKind, Parent, Terms } from "../core/asset.ts";
import { compareBytes, equalBytes, fromHex, type Hex, padAddress } from "../core/bytes.ts";
import { keccak256 } from "../core/hash.ts";
import { noPrices } from "../core/quote.ts";
import type { Result } from "../core/result.ts";
import type { Chain } from "../ledger/chain.ts";
import type { AssetState, Ledger } from "../ledger/ledger.ts";

/** What the node makes is registered twice: on chain, which is the record, and in the journal, which routes by it. */
export interface Provenance {
  readonly chain: Chain;
  readonly ledger: Ledger;
}

export interface NewAsset {
  readonly kind: AssetKind;
  readonly contentRoot: Uint8Array;
  readonly parents: readonly Parent[];
  readonly terms: Terms;
  readonly uri: string;
  /** 32-byte payee id of the owner; the node where it is left out. On a chain it is always the node. */
  readonly owner?: Uint8Array;
}

/** Registers the asset if it is new; the same content by the same owner is the same asset. */
export async function registerAsset({ chain, ledger }: Provenance, asset: NewAsset): Promise<Result<AssetState>> {
  const parents = asset.parents.toSorted((a, b) => compareBytes(a.id, b.id));
  const { kind, contentRoot, terms, uri, owner = padAddress(chain.node) } = asset;
  const id = await chain.registerAsset({ kind, contentRoot, terms, uri, parents, salt: saltOf(contentRoot, parents) });
  if (!id.ok) return id;
  return ledger.assets.register({
    id: id.value,
    kind: asset.kind,
    owner,
    contentRoot: asset.contentRoot,
    terms: asset.terms,
    parents,
  });
}

/** What distinguishes assets of the same content: what they were made from, ascending by id. */
export function saltOf(contentRoot: Uint8Array, parents: readonly Parent[]): Uint8Array {
  return keccak256(contentRoot, ...parents.map((parent) => parent.id));
}

export function termsOf(licence: string, parentsBps: number, royalty = noPrices): Terms {
  const ascii = licence.replaceAll(/[^\x21-\x7e]/g, "-").slice(0, 32);
  return { unit: "nano", royalty, parentsBps, licence: ascii };
}

/** Context and datanet version as assets: the context is a parent of the version, and is paid in its own role. */
export async function registerVersion(
  provenance: Provenance,
  version: {
    readonly id: Hex;
    readonly contentRoot: Hex;
    readonly context: Hex;
    readonly datanet: string;
    readonly number: number;
  },
  licence: string,
): Promise<Result<AssetState>> {
  const context = await registerAsset(provenance, {
    ...{ kind: "context", contentRoot: fromHex(version.context), parents: [], terms: termsOf("Apache-2.0", 0) },
    uri: `openledger:context/${version.context}`,
  });
  if (!context.ok) return context;
  return registerAsset(provenance, {
    ...{ kind: "datanet", contentRoot: fromHex(version.id), terms: termsOf(licence, 0) },
    parents: [{ id: context.value.id, weight: 1 }],
    uri: `openledger:datanet/${version.datanet}@${version.number}`,
  });
}

/** For people: where a model's own share goes, if that is `payee` and not its owner alone. */
export function makersLabel(
  { ledger }: Provenance,
  { name, asset }: { readonly name: string; readonly asset: Uint8Array },
  payee: Uint8Array,
): string | undefined {
  const state = ledger.assets.get(asset);
  if (state === undefined || !equalBytes(state.royaltyPayee, payee) || equalBytes(state.owner, payee)) return undefined;
  return `who made ${name}, and what it was made from`;
}
