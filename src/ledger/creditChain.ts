import { assetKinds } from "../core/asset.ts";
import { CREDIT_CHAIN_ID, creditAssetId, creditLedgerId } from "../core/move.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { AssetRegistration, Chain } from "./chain.ts";

/** No contract: see {@link creditDomain}. */
const NOWHERE = new Uint8Array(20);

/**
 * The record system of a ledger on credit: none. Assets get ids, epochs close, and what would need a contract is refused with what to use instead.
 * Balances are the node's promises; everything else, the journal and its verifier included, is as on a chain.
 */
export function creditChain(node: Uint8Array): Chain {
  const settlement = NOWHERE;
  return {
    ...{ chainId: CREDIT_CHAIN_ID, settlement, node },
    contracts: { token: NOWHERE, registry: NOWHERE, policy: NOWHERE, escrow: NOWHERE, settlement },
    identities: { chainId: CREDIT_CHAIN_ID, registry: NOWHERE },
    block: () => Promise.resolve(0),
    openLedger: () => Promise.resolve(ok(creditLedgerId(node))),
    registerAsset: (asset) => Promise.resolve(ok(assetIdOf(node, asset))),
    ownerOf: () => Promise.resolve(ok(node)),
    publishPolicy: () => Promise.resolve(noChain("a policy is published in the journal alone")),
    deposit: () => Promise.resolve(noChain("accounts are credited with: openledger account credit")),
    movements: () => Promise.resolve(ok([])),
    propose: () => Promise.resolve(noChain("epochs are funded with: openledger epoch fund")),
    finalise: () => Promise.resolve(noChain("epochs are settled with: openledger epoch settle")),
    epoch: () => Promise.resolve(ok(undefined)),
    claimed: () => Promise.resolve(ok(0n)),
    claims: () => Promise.resolve(ok([])),
    claim: () => Promise.resolve(noChain("what is settled is paid out with: openledger payout create")),
    balance: () => Promise.resolve(ok(0n)),
    // The notice stands in the datanet's own list of bindings, which is public at the node.
    noticeBinding: () => Promise.resolve(ok("credit")),
    finaliseBinding: () => Promise.resolve(ok("credit")),
    entitledTo: () => Promise.resolve(ok(undefined)),
  };
}

/** 32 bytes: see {@link creditAssetId}. */
export function assetIdOf(node: Uint8Array, { kind, contentRoot, salt }: AssetRegistration): Uint8Array {
  return creditAssetId(node, assetKinds.indexOf(kind), contentRoot, salt);
}

function noChain(hint: string): Result<never> {
  return refuse("conflict", "this ledger runs on credit, without a chain", { hint });
}
