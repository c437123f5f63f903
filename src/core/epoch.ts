import type { PackedReader, PackedWriter } from "./packed.ts";

/**
 * An epoch: the closed range [first, end) of the journal, and what it comes to. The same commitments go on chain,
 * together with the journal's size and root at a checkpoint that contains this entry.
 */
export interface EpochRecord {
  readonly epoch: number;
  readonly first: number;
  readonly end: number;
  readonly postingsRoot: Uint8Array;
  readonly postingsCount: number;
  readonly payoutRoot: Uint8Array;
  readonly payoutCount: number;
  readonly debitRoot: Uint8Array;
  readonly debitCount: number;
  /** Lifetime totals of the ledger, in nano, after this epoch. */
  readonly credits: bigint;
  readonly debits: bigint;
  /** The block at which owners, terms, policy and bindings were read for this epoch. */
  readonly registryBlock: number;
  readonly policyHash: Uint8Array;
}

export const EPOCH_BYTES = 3 * 8 + 3 * (32 + 8) + 2 * 16 + 8 + 32;

export function writeEpoch(to: PackedWriter, epoch: EpochRecord): void {
  to.u64(epoch.epoch)
    .u64(epoch.first)
    .u64(epoch.end)
    .raw(epoch.postingsRoot, 32)
    .u64(epoch.postingsCount)
    .raw(epoch.payoutRoot, 32)
    .u64(epoch.payoutCount)
    .raw(epoch.debitRoot, 32)
    .u64(epoch.debitCount)
    .u128(epoch.credits)
    .u128(epoch.debits)
    .u64(epoch.registryBlock)
    .raw(epoch.policyHash, 32);
}

export function readEpoch(from: PackedReader): EpochRecord {
  return {
    epoch: from.u64(),
    first: from.u64(),
    end: from.u64(),
    postingsRoot: from.raw(32),
    postingsCount: from.u64(),
    payoutRoot: from.raw(32),
    payoutCount: from.u64(),
    debitRoot: from.raw(32),
    debitCount: from.u64(),
    credits: from.u128(),
    debits: from.u128(),
    registryBlock: from.u64(),
    policyHash: from.raw(32),
  };
}
