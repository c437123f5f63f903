import { fromHex } from "../core/bytes.ts";
import type { Result } from "../core/result.ts";
import type { Base } from "../factory/ports.ts";
import type { AssetState } from "../ledger/ledger.ts";
import type { BaseNotes } from "./factoryBases.ts";
import { type Provenance, registerAsset, termsOf } from "./provenance.ts";

/** Of a base's part, so much flows to what it was made from. */
const PARENTS_BPS = 3_000;

/**
 * A base as an asset, and what it was made from as its parents. The node that registers them holds them for whoever they belong to: a source's
 * asset can be transferred to its community, and its part of every royalty goes there from then on.
 */
export async function registerBase(
  provenance: Provenance,
  base: Base,
  { madeFrom }: BaseNotes,
): Promise<Result<AssetState>> {
  const parents: { readonly id: Uint8Array; readonly weight: number }[] = [];
  for (const { hash, licence, source } of madeFrom) {
    const registered = await registerAsset(provenance, {
      ...{ kind: "datanet", contentRoot: fromHex(hash), parents: [], terms: termsOf(licence, 0), uri: source },
    });
    if (!registered.ok) return registered;
    parents.push({ id: registered.value.id, weight: 1 });
  }
  const terms = termsOf(base.licence, parents.length === 0 ? 0 : PARENTS_BPS);
  const uri = `openledger:base/${base.name}`;
  return registerAsset(provenance, { kind: "model", contentRoot: fromHex(base.hash), terms, parents, uri });
}
