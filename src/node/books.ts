import { padAddress } from "../core/bytes.ts";
import type { Domain } from "../core/eip712.ts";
import { creditDomain } from "../core/move.ts";
import type { Result } from "../core/result.ts";
import { openSigner } from "../core/signer.ts";
import { loadSecp256k1 } from "../host/secp256k1.ts";
import { type OpenLedger, openLedger } from "../ledger/openLedger.ts";
import type { LedgerStore } from "../ledger/ports.ts";
import type { ChainPart } from "./chainPart.ts";
import type { Secrets } from "./secrets.ts";

export interface BooksParts {
  readonly part: ChainPart;
  readonly store: LedgerStore;
  readonly secrets: Secrets;
  readonly nowMs: () => number;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly say: (text: string) => void;
}

/** The ledger of a node, on its chain or on credit. */
export async function openBooks(parts: BooksParts): Promise<Result<OpenLedger>> {
  const { part, store, secrets, nowMs, randomBytes, say } = parts;
  const { chain, policy, rpcUrl, isMoved } = part;
  const id = await chain.openLedger();
  if (!id.ok) return id;
  return openLedger({
    ...{ id: id.value, store, secret: secrets.accounts, node: padAddress(chain.node), policy },
    domain: isMoved ? creditDomain : domainOfPart(part),
    world: { nowMs, randomBytes, warn: say },
    signer: openSigner(secrets.signer, await loadSecp256k1()),
    requireDeposit: rpcUrl !== undefined,
    onProgress: (done, total) => say(`reading the journal: ${done} of ${total} entries`),
  });
}

/** What checkpoints are signed for. */
export function domainOfPart({ chain }: ChainPart): Domain {
  return { chainId: chain.chainId, verifyingContract: chain.settlement };
}
