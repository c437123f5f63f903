import { compareBytes, equalBytes, fromHex, isAddressId, toHex, utf8 } from "../core/bytes.ts";
import { hmacSha256 } from "../core/hash.ts";
import { CREDIT_CHAIN_ID } from "../core/move.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { settleNotice } from "../datanets/binding.ts";
import { identityPayeeId } from "../datanets/identity.ts";
import type { DatanetStore } from "../datanets/store.ts";
import type { Chain } from "../ledger/chain.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { scopeOf } from "./modelShelf.ts";
import { type Provenance, saltOf } from "./provenance.ts";

/** Registers what the journal knows, parents before children, each under its id and for its owner. What has no address as its owner the node holds for it. */
export async function carryAssets(
  chain: Chain,
  { assets }: Pick<Ledger, "assets">,
  say: (text: string) => void,
): Promise<Result<void>> {
  const list = assets.list().toSorted((a, b) => a.seq - b.seq);
  for (const [i, { id, kind, contentRoot, terms, parents, owner: now, nextOwner }] of list.entries()) {
    if (i % 10 === 0) say(`registering assets: ${i} of ${list.length}`);
    const owner = nextOwner ?? now;
    const sorted = parents.toSorted((a, b) => compareBytes(a.id, b.id));
    const registered = await chain.registerAsset({
      ...{ kind, contentRoot, terms, parents: sorted, salt: saltOf(contentRoot, sorted) },
      uri: `openledger:asset/${toHex(id)}`,
      ...(isAddressId(owner) ? { owner: owner.slice(12) } : {}),
    });
    if (!registered.ok) return registered;
    if (!equalBytes(registered.value, id))
      return refuse("conflict", `asset ${toHex(id)} has an id that this node cannot have given it`);
  }
  return ok(undefined);
}

interface Bindings extends Provenance {
  readonly store: DatanetStore;
  readonly nowMs: () => number;
}

/** Gives notice on the chain of every identity that was bound or is about to be; one that was noticed there keeps its time. */
export async function carryBindings(parts: Bindings & { readonly say: (text: string) => void }): Promise<Result<void>> {
  const { chain, ledger, store, nowMs, say } = parts;
  for (const { name } of await store.datanets()) {
    const scope = await scopeOf(store, parts, name);
    for (const binding of await store.bindings(name)) {
      const { identity, to, proofHash } = settleNotice(binding, nowMs());
      if (to === null) continue;
      say(`giving notice of ${identity}`);
      const noticed = await chain.noticeBinding(ledger.id, {
        ...{ chainId: Number(scope.chainId), registry: scope.registry, datanet: scope.datanet },
        tag: hmacSha256(scope.secret, utf8(identity)),
        ...{ account: fromHex(to), proofHash: fromHex(proofHash) },
      });
      if (!noticed.ok) return noticed;
    }
  }
  return ok(undefined);
}

/** Identities that were bound on credit are bound on the chain too, once its own notice is over. */
export class CarriedBindings {
  readonly #parts: Bindings;
  readonly #done = new Set<string>();

  constructor(parts: Bindings) {
    this.#parts = parts;
  }

  async finalise(): Promise<Result<void>> {
    const { chain, ledger, store } = this.#parts;
    if (chain.identities.chainId === chain.chainId || chain.chainId === CREDIT_CHAIN_ID) return ok(undefined);
    for (const { name } of await store.datanets()) {
      const bound = (await store.bindings(name)).filter(({ state, to }) => state === "bound" && to !== null);
      for (const { identity, to } of bound) {
        const payee = identityPayeeId(await scopeOf(store, this.#parts, name), identity);
        if (this.#done.has(toHex(payee))) continue;
        const entitled = await chain.entitledTo(ledger.id, payee);
        if (!entitled.ok) return entitled;
        const final =
          entitled.value === undefined
            ? await chain.finaliseBinding(ledger.id, payee, fromHex(to!))
            : ok("final already");
        if (final.ok) this.#done.add(toHex(payee));
        // A notice that still runs, or was contested, holds up no other.
        else if (final.error.code === "chain_unavailable") return final;
      }
    }
    return ok(undefined);
  }
}
