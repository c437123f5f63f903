import type { Hex } from "../core/bytes.ts";
import type { Nano } from "../core/money.ts";
import type { Result } from "../core/result.ts";
import type { Account, ApiKey, EpochStatus } from "./ledger.ts";

/**
 * Where one ledger's books are kept. `testing/storeSuite.ts` says what every implementation must do.
 * Reads throw a `RefusalError` with `store_unavailable` when the store cannot be reached.
 */
export interface LedgerStore {
  /** Makes the ledger if it is new, commits term + 1, and only then reads how far the journal got. Older terms can append nothing from then on. */
  takeOver(): Promise<Result<Takeover>>;
  /** Appends all of it in one transaction, or nothing. */
  append(commit: Commit): Promise<AppendOutcome>;
  /**
   * After an `unknown` outcome: waits until no transaction of that append is under way, and says what came of it.
   * Throws a `RefusalError` while the store cannot be reached.
   */
  settle(commit: Commit): Promise<"written" | "absent" | "fenced">;
  /** Entries [from, until) in order, in chunks of the store's choice. */
  entries(from: number, until: number): AsyncIterable<readonly Uint8Array[]>;
  /** Policies, assets, payees, pool chunks, bindings and epochs in [0, until): what rebuilding needs from before a checkpoint. */
  registryEntries(until: number): AsyncIterable<readonly Uint8Array[]>;
  entry(seq: number): Promise<Uint8Array | undefined>;
  receipt(id: Uint8Array): Promise<{ readonly entry: Uint8Array; readonly opening?: string } | undefined>;
  /** Receipts with seq < beforeSeq, newest first, of one account pseudonym if given. */
  receipts(query: ReceiptQuery): Promise<readonly Uint8Array[]>;
  /** Corrections of a receipt, in order. */
  corrections(receipt: Uint8Array): Promise<readonly Uint8Array[]>;
  /** The first batch entry after `seq`: the one that signs it. */
  batchOf(seq: number): Promise<Uint8Array | undefined>;
  idempotency(account: string, key: string): Promise<StoredIdempotency | undefined>;
  grant(key: string): Promise<Grant | undefined>;
  hasMovement(reference: string): Promise<boolean>;
  correctionKey(key: string): Promise<CorrectionKey | undefined>;
  /** All that is not in the journal and is kept in memory. */
  standing(): Promise<Standing>;
  checkpoint(): Promise<Checkpoint | undefined>;
  markEpoch(mark: EpochMark): Promise<void>;
}

export interface Takeover {
  readonly term: number;
  /** The seq of the next entry. */
  readonly size: number;
}

/** `failed`: certainly nothing was written. `unknown`: the connection was lost while it was being committed. */
export type AppendOutcome =
  | { readonly kind: "written" }
  | { readonly kind: "fenced" }
  | { readonly kind: "failed"; readonly reason: string }
  | { readonly kind: "unknown"; readonly reason: string };

/** One durable commit: entries [first, first + entries.length), the last one a batch entry, and what belongs to them. */
export interface Commit {
  readonly term: number;
  readonly first: number;
  readonly entries: readonly Uint8Array[];
  readonly side: SideRows;
  readonly checkpoint?: Checkpoint;
}

/** Rows beside the journal, written in the same transaction. A commit may also consist of these alone. */
export interface SideRows {
  readonly openings: { readonly receipt: Uint8Array; readonly text: string }[];
  readonly idempotency: StoredIdempotency[];
  readonly accounts: Account[];
  readonly keys: StoredKey[];
  readonly grants: Grant[];
  readonly movements: StoredMovement[];
  readonly owners: OwnerChange[];
  readonly corrections: CorrectionKey[];
}

export function noSideRows(): SideRows {
  return {
    ...{
      openings: [],
      idempotency: [],
      accounts: [],
      keys: [],
      grants: [],
      movements: [],
      owners: [],
      corrections: [],
    },
  };
}

export interface StoredIdempotency {
  readonly account: string;
  readonly key: string;
  readonly bodyHash: Uint8Array;
  readonly receipt: Uint8Array;
  readonly response?: string;
}

/** Writing a key of the same id again replaces it. `digest`: HMAC-SHA-256 of the secret, 32 bytes. */
export interface StoredKey {
  readonly key: ApiKey;
  readonly digest: Uint8Array;
}

export interface Grant {
  readonly key: string;
  readonly account: string;
  readonly amount: Nano;
  readonly note: string;
  readonly timeMs: number;
}

/** A deposit (positive) or a withdrawal (negative) seen on chain. */
export interface StoredMovement {
  readonly reference: string;
  readonly payer: Uint8Array;
  readonly amount: number;
  readonly block: number;
}

export interface OwnerChange {
  readonly asset: Uint8Array;
  readonly owner: Uint8Array;
  /** The first epoch in which the new owner is paid. */
  readonly fromEpoch: number;
}

/** What was asked under a correction's idempotency key, and the entry that it became. */
export interface CorrectionKey {
  readonly key: string;
  /** 32 bytes over what was asked. */
  readonly bodyHash: Uint8Array;
  readonly seq: number;
  readonly note: string;
}

export interface ReceiptQuery {
  readonly limit: number;
  readonly beforeSeq?: number;
  /** 16 bytes. */
  readonly account?: Uint8Array;
}

export interface Standing {
  readonly accounts: readonly Account[];
  readonly keys: readonly StoredKey[];
  readonly granted: ReadonlyMap<string, bigint>;
  readonly deposits: ReadonlyMap<Hex, { readonly deposited: bigint; readonly withdrawn: bigint }>;
  readonly owners: readonly OwnerChange[];
  readonly epochs: readonly EpochMark[];
}

/** The in-memory books as they stood before entry `size`. */
export interface Checkpoint {
  readonly size: number;
  readonly image: Uint8Array;
}

export interface EpochMark {
  readonly epoch: number;
  readonly status: EpochStatus;
  readonly reference: string;
}
