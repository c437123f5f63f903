import type { AssetKind, Parent, Terms } from "../core/asset.ts";
import type { EpochRecord } from "../core/epoch.ts";
import type { FeePolicy } from "../core/policy.ts";
import type { Result } from "../core/result.ts";
import type { PayoutProof } from "./ledger.ts";

/**
 * The record system: what a ledger needs from an EVM chain. Addresses are 20 bytes, ids 32 bytes, amounts nano.
 * Every write resolves once its transaction is mined and outlives the chain's process, and is safe to repeat: what is already done is reported as done.
 */
export interface Chain {
  readonly chainId: number;
  /** The EIP-712 verifying contract: 20 bytes. */
  readonly settlement: Uint8Array;
  readonly contracts: ContractAddresses;
  /** What the payee ids of this ledger's identities name: see `identityPayeeId`. A ledger that began on credit goes on naming no chain. */
  readonly identities: { readonly chainId: number; readonly registry: Uint8Array };
  /** The node's own address: owner of its ledger, its proposer and its payer. */
  readonly node: Uint8Array;
  block(): Promise<number>;
  /** Registers this node's ledger with its bond, once. The id is the journal's ledger id. */
  openLedger(): Promise<Result<Uint8Array>>;
  registerAsset(input: AssetRegistration): Promise<Result<Uint8Array>>;
  ownerOf(asset: Uint8Array): Promise<Result<Uint8Array>>;
  publishPolicy(policy: FeePolicy): Promise<Result<Uint8Array>>;
  deposit(ledger: Uint8Array, amount: bigint): Promise<Result<string>>;
  /** Deposits and withdrawals of a ledger in blocks [from, until]. */
  movements(ledger: Uint8Array, from: number, until: number): Promise<Result<readonly Movement[]>>;
  propose(ledger: Uint8Array, commitment: EpochCommitment): Promise<Result<string>>;
  /** Finalises an epoch whose window has passed; refuses with `epoch_not_final` before. */
  finalise(ledger: Uint8Array, epoch: number): Promise<Result<string>>;
  epoch(ledger: Uint8Array, epoch: number): Promise<Result<ChainEpoch | undefined>>;
  claimed(ledger: Uint8Array, payee: Uint8Array): Promise<Result<bigint>>;
  /** A ledger's claims in blocks [from, until], whoever made them. */
  claims(ledger: Uint8Array, from: number, until: number): Promise<Result<readonly ChainClaim[]>>;
  /** Claims for the payee; the money goes to whoever is entitled to it, never to the sender. */
  claim(
    ledger: Uint8Array,
    epoch: number,
    proof: PayoutProof,
  ): Promise<Result<{ readonly transaction: string; readonly paid: bigint }>>;
  balance(address: Uint8Array): Promise<Result<bigint>>;
  /** Gives public notice that an identity's proof was checked; contestable until it is final. */
  noticeBinding(ledger: Uint8Array, notice: BindingNotice): Promise<Result<string>>;
  /** Refuses with `epoch_not_final` while the notice still runs. */
  finaliseBinding(ledger: Uint8Array, payee: Uint8Array, account: Uint8Array): Promise<Result<string>>;
  /** The address that may claim for a payee: 20 bytes; undefined where nobody may yet. */
  entitledTo(ledger: Uint8Array, payee: Uint8Array): Promise<Result<Uint8Array | undefined>>;
}

/** A payee id's preimage, and whom the identity behind it proved to be. */
export interface BindingNotice {
  readonly chainId: number;
  readonly registry: Uint8Array;
  readonly datanet: Uint8Array;
  /** HMAC of the identity under the datanet's secret: 32 bytes. */
  readonly tag: Uint8Array;
  readonly account: Uint8Array;
  readonly proofHash: Uint8Array;
}

export interface ContractAddresses {
  readonly token: Uint8Array;
  readonly registry: Uint8Array;
  readonly policy: Uint8Array;
  readonly escrow: Uint8Array;
  readonly settlement: Uint8Array;
}

export interface AssetRegistration {
  readonly kind: AssetKind;
  readonly contentRoot: Uint8Array;
  readonly parents: readonly Parent[];
  readonly terms: Terms;
  readonly vectorRoot?: Uint8Array;
  readonly uri: string;
  /** Distinguishes assets with the same content: 32 bytes. */
  readonly salt: Uint8Array;
  /** 20 bytes: its first owner, of a ledger that began on credit; else, and where it is left out, that is the node. */
  readonly owner?: Uint8Array;
}

export interface Movement {
  readonly kind: "deposit" | "withdrawal";
  /** 32-byte payer id. */
  readonly payer: Uint8Array;
  readonly amount: bigint;
  /** Chain id, transaction and log index: the same movement always has the same reference. */
  readonly reference: string;
  readonly block: number;
}

/** What a relay took out of a payout for its gas, and how that was reckoned: gas × wei × rate, within what the payee agreed to. */
export interface RelayFee {
  readonly relayer: string;
  readonly nano: bigint;
  readonly gasUsed: number;
  readonly gasPriceWei: bigint;
  /** Millionths of an OPEN for one ETH. */
  readonly microOpenPerEth: number;
}

/** A payout that a payee has got. */
export interface ChainClaim {
  readonly payee: Uint8Array;
  /** Where the money went: 20 bytes. */
  readonly account: Uint8Array;
  readonly epoch: number;
  readonly amount: bigint;
  readonly cumulative: bigint;
  /** What a relay took out of it in the same transaction. */
  readonly fee?: RelayFee;
  /** As a movement's. */
  readonly reference: string;
  readonly transaction: string;
  readonly block: number;
  readonly timeMs: number;
}

/** What is posted for an epoch: the journal's epoch entry, and the checkpoint that contains it. */
export interface EpochCommitment {
  readonly record: EpochRecord;
  readonly journalSize: number;
  readonly journalRoot: Uint8Array;
  /** 65 bytes over the EIP-712 `Checkpoint`. */
  readonly checkpointSignature: Uint8Array;
}

export interface ChainEpoch {
  readonly status: "proposed" | "final" | "voided";
  readonly journalSize: number;
  readonly journalRoot: Uint8Array;
  readonly postingsRoot: Uint8Array;
  readonly postingsCount: number;
  readonly payoutRoot: Uint8Array;
  readonly payoutCount: number;
  readonly debitRoot: Uint8Array;
  readonly debitCount: number;
  readonly credits: bigint;
  readonly debits: bigint;
  readonly registryBlock: number;
  readonly policyHash: Uint8Array;
  /** Seconds since 1970 from which it can be finalised. */
  readonly finalFrom: number;
}
