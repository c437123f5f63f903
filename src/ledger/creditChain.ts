import { assetKinds } from "../core/asset.ts";
import { concat, utf8 } from "../core/bytes.ts";
import { keccak256 } from "../core/hash.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { AssetRegistration, Chain } from "./chain.ts";

/** What a ledger without a chain signs for: chain 0 and the zero contract, which no EVM chain has (EIP-155). */
export const CREDIT_CHAIN_ID = 0;
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
    block: () => Promise.resolve(0),
    openLedger: () => Promise.resolve(ok(creditLedgerId(node))),
    registerAsset: (asset) => Promise.resolve(ok(creditAssetId(node, asset))),
    ownerOf: () => Promise.resolve(ok(node)),
    publishPolicy: () => Promise.resolve(noChain("a policy is published in the journal alone")),
    deposit: () => Promise.resolve(noChain("accounts are credited with: openledger account credit")),
    movements: () => Promise.resolve(ok([])),
    propose: () => Promise.resolve(noChain("epochs are funded with: openledger epoch fund")),
    finalise: () => Promise.resolve(noChain("epochs are settled with: openledger epoch settle")),
    epoch: () => Promise.resolve(ok(undefined)),
    claimed: () => Promise.resolve(ok(0n)),
    claim: () => Promise.resolve(noChain("what is settled is paid out with: openledger payout create")),
    balance: () => Promise.resolve(ok(0n)),
    // The notice stands in the datanet's own list of bindings, which is public at the node.
    noticeBinding: () => Promise.resolve(ok("credit")),
    finaliseBinding: () => Promise.resolve(ok("credit")),
    entitledTo: () => Promise.resolve(ok(undefined)),
  };
}

/** 32 bytes: the same node always has the same ledger. */
export function creditLedgerId(node: Uint8Array): Uint8Array {
  return keccak256(utf8("openledger credit ledger"), node);
}

/** 32 bytes: the same content by the same node is the same asset. */
function creditAssetId(node: Uint8Array, { kind, contentRoot, salt }: AssetRegistration): Uint8Array {
  return keccak256(
    concat(utf8("openledger credit asset"), node, Uint8Array.of(assetKinds.indexOf(kind)), contentRoot, salt),
  );
}

function noChain(hint: string): Result<never> {
  return refuse("conflict", "this ledger runs on credit, without a chain", { hint });
}
