import { toHex } from "../core/bytes.ts";
import type { Rate } from "../core/quote.ts";
import { ok, type Result } from "../core/result.ts";
import type { Chain, ChainClaim, RelayFee } from "./chain.ts";
import type { Ledger } from "./ledger.ts";

/** A claim that was seen on chain, kept once and for ever. Ids, addresses and hashes are hex with 0x. */
export interface KnownClaim {
  /** Chain, transaction and log index: the same claim always has the same. */
  readonly reference: string;
  readonly transaction: string;
  readonly block: number;
  readonly timeMs: number;
  readonly payee: string;
  /** Where the money went. */
  readonly account: string;
  readonly epoch: number;
  /** What left the ledger; the account has it less the fee. */
  readonly nano: bigint;
  readonly cumulative: bigint;
  readonly fee?: RelayFee;
  /** The node's rate when it saw the claim, seconds after it while it runs; 0 nano for a dollar where it had none. */
  readonly rate: Rate & { readonly atMs: number };
}

/** Where claims are kept, and how far the chain was read. What fails throws a `RefusalError`. */
export interface ClaimStore {
  /** The last block that was read; undefined before the first. */
  claimsReadUntil(): Promise<number | undefined>;
  /** Keeps what is not kept yet, an event of each, and how far the chain was read: all of it or nothing. How many were new. */
  addClaims(claims: readonly KnownClaim[], readUntil: number): Promise<number>;
  /** Oldest first. */
  claims(query: ClaimQuery): Promise<readonly KnownClaim[]>;
}

export interface ClaimQuery {
  /** Hex. */
  readonly payee?: string;
  /** Hex; those that this address relayed. */
  readonly relayer?: string;
  /** From here to before `untilMs`. */
  readonly fromMs?: number;
  readonly untilMs?: number;
  readonly limit?: number;
}

export interface ClaimWatchParts {
  readonly ledger: Pick<Ledger, "id" | "epochs">;
  readonly chain: Pick<Chain, "block" | "claims">;
  readonly store: ClaimStore;
  /** Blocks that may still be taken back, and are not read yet. */
  readonly lagBlocks: number;
  readonly rate: () => Rate;
  readonly nowMs: () => number;
}

/** Asked for at once; many RPC endpoints answer no more. */
const BLOCKS_AT_ONCE = 5_000;
/** A node that was away long catches up in several rounds, and looks after the rest of its house in between. */
const READS_A_ROUND = 20;

/** Reads the contract's claims from where it stopped the last time, whoever made them, and keeps each once. */
export class ClaimWatch {
  readonly #parts: ClaimWatchParts;

  constructor(parts: ClaimWatchParts) {
    this.#parts = parts;
  }

  /** How many claims were new. */
  async round(): Promise<Result<number>> {
    const { ledger, chain, store, lagBlocks } = this.#parts;
    // Nobody can claim before an epoch was proposed, and that is after the block at which it read the registry.
    const first = ledger.epochs.list().find(({ record }) => record.registryBlock > 0)?.record.registryBlock;
    if (first === undefined) return ok(0);
    const last = (await chain.block()) - lagBlocks;
    let found = 0;
    let seen = (await store.claimsReadUntil()) ?? first - 1;
    for (let reads = 0; reads < READS_A_ROUND && seen < last; reads++) {
      const until = Math.min(last, seen + BLOCKS_AT_ONCE);
      const claims = await chain.claims(ledger.id, seen + 1, until);
      if (!claims.ok) return claims;
      found += await store.addClaims(this.#known(claims.value), until);
      seen = until;
    }
    return ok(found);
  }

  #known(claims: readonly ChainClaim[]): readonly KnownClaim[] {
    const rate = { ...this.#parts.rate(), atMs: this.#parts.nowMs() };
    return claims.map(({ payee, account, amount, ...rest }) => ({
      ...{ ...rest, payee: toHex(payee), account: toHex(account), nano: amount, rate },
    }));
  }
}

/** What the event of a claim says. */
export function claimedEvent(claim: KnownClaim): Readonly<Record<string, unknown>> {
  const { payee, account, epoch, nano, cumulative, transaction, reference, fee, rate } = claim;
  const paid = nano - (fee?.nano ?? 0n);
  return {
    ...{ reference, transaction, epoch, payee, account, nano: String(nano), cumulative: String(cumulative) },
    ...{ fee: String(fee?.nano ?? 0n), paid: String(paid), nanoPerUsd: rate.nanoPerUsd, rateSource: rate.source },
  };
}
