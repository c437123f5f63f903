import { deserialize } from "node:v8";
import type { AssetRecord, VectorShare } from "../core/asset.ts";
import type { Hex } from "../core/bytes.ts";
import type { Domain } from "../core/eip712.ts";
import type { BindingRecord, PayeeType } from "../core/entry.ts";
import type { EpochRecord } from "../core/epoch.ts";
import type { FeePolicy } from "../core/policy.ts";
import type { Share } from "../core/route.ts";
import type { Accruals } from "./accruals.ts";

/** An asset with what changes about it: its owner (`record.owner` is the present one), where its royalty goes, and a datanet's prior pool. */
export interface KnownAsset {
  readonly record: AssetRecord;
  readonly vector: readonly VectorShare[];
  readonly seq: number;
  readonly royaltyPayee: number;
  /** Who owns it from the close of the open epoch on, where it was transferred. */
  readonly nextOwner?: number;
  readonly prior?: number;
  /** Of a datanet: the pool of those who made its context, once what it changed was measured. */
  readonly context?: number;
  /** Seq of the one datanet that a model was made from: what its receipts' evidence earns measures that datanet. */
  readonly measures?: number;
}

export interface EpochState {
  readonly record: EpochRecord;
  readonly seq: number;
  readonly timeMs: number;
}

/** That the ledger moved to a chain: see {@link ../core/move.ts}. */
export interface MovedState {
  /** Whatever is signed from `seq` on is signed for it. */
  readonly domain: Domain;
  readonly seq: number;
  /** The first epoch on the chain. */
  readonly epoch: number;
}

export const STATE_VERSION = 6;

/** A {@link BookState} as a checkpoint keeps it. */
export interface StateImage {
  readonly version: number;
  readonly size: number;
  readonly timeMs: number;
  readonly beganMs: number;
  readonly receiptCount: number;
  readonly accruals: ReturnType<Accruals["columns"]>;
  readonly payees: readonly { readonly id: Uint8Array; readonly type: PayeeType }[];
  readonly assets: readonly KnownAsset[];
  readonly pools: ReadonlyMap<number, readonly Share[]>;
  readonly bindings: ReadonlyMap<number, BindingRecord>;
  readonly families: readonly (readonly [Uint8Array, { total: number; last: Uint8Array }])[];
  readonly spent: readonly (readonly [Uint8Array, bigint])[];
  readonly debited: ReadonlyMap<Hex, bigint>;
  readonly poolOf: readonly (readonly [Uint8Array, number])[];
  readonly refunded: readonly (readonly [Uint8Array, number])[];
  readonly epochs: readonly EpochState[];
  readonly policy: FeePolicy | undefined;
  readonly moved: MovedState | undefined;
  readonly methods: readonly string[];
}

export function readImage(bytes: Uint8Array): StateImage | undefined {
  try {
    const image: unknown = deserialize(bytes);
    return isImage(image) ? image : undefined;
  } catch {
    return undefined;
  }
}

/** We wrote it, in the same transaction as the entries before it; only its version can be another. */
function isImage(value: unknown): value is StateImage {
  return typeof value === "object" && value !== null && "version" in value && value.version === STATE_VERSION;
}
