import type { Result } from "../core/result.ts";
import type { Account, ApiKey, EpochStatus } from "./ledger.ts";

/** What a ledger takes from the machine that it runs on; the composition root hands it in. */
export interface LedgerWorld {
  /** Milliseconds since 1970. */
  nowMs(): number;
  randomBytes(size: number): Uint8Array;
  warn(message: string): void;
}

export interface Signer {
  /** Signs a 32-byte digest with the ledger's secp256k1 key: 65 bytes, r ‖ s ‖ v. */
  sign(digest: Uint8Array): Uint8Array;
}

/** Where ledgers are kept. Every ledger has one live writer, fenced by a term. */
export interface LedgerStore {
  /** Commits term + 1 and only then reads how far the journal got: older terms can append nothing from then on. */
  takeOver(ledger: Uint8Array): Promise<Result<Takeover>>;
  /** All in one transaction, or nothing. Refuses with `writer_fenced` for a term that is over, and with `store_unavailable`. */
  append(batch: AppendBatch): Promise<Result<void>>;
  /** The seq of the last durable entry; −1 for an empty journal. */
  lastSeq(ledger: Uint8Array): Promise<Result<number>>;
  /** Entries [from, until) in order. */
  entries(ledger: Uint8Array, from: number, until: number): AsyncIterable<StoredEntry>;
  receipt(ledger: Uint8Array, id: Uint8Array): Promise<StoredReceipt | undefined>;
  /** Newest first. */
  receipts(ledger: Uint8Array, query: ReceiptQuery): Promise<readonly StoredEntry[]>;
  idempotency(ledger: Uint8Array, account: string, key: string): Promise<IdempotencyRow | undefined>;
  hasMovement(ledger: Uint8Array, reference: string): Promise<boolean>;
  epochLeaves(ledger: Uint8Array, epoch: number): Promise<EpochLeaves | undefined>;
}

/** What a new writer starts from. */
export interface Takeover {
  readonly term: number;
  /** −1 for an empty journal. */
  readonly lastSeq: number;
  readonly checkpoint: StateCheckpoint | undefined;
  readonly accounts: readonly Account[];
  readonly keys: readonly StoredKey[];
  readonly movements: readonly MovementSum[];
  readonly epochMarks: readonly EpochMark[];
  /** Seqs at which closed epochs end, ascending. */
  readonly epochEnds: readonly number[];
}

/** One durable commit. */
export interface AppendBatch {
  readonly ledger: Uint8Array;
  readonly term: number;
  readonly entries: readonly EntryRow[];
  readonly openings: readonly { readonly receipt: Uint8Array; readonly opening: string }[];
  readonly idempotency: readonly (IdempotencyRow & { readonly account: string; readonly key: string })[];
  readonly accounts: readonly Account[];
  readonly keys: readonly StoredKey[];
  readonly movements: readonly MovementRow[];
  readonly epochMarks: readonly EpochMark[];
  readonly epochLeaves: readonly EpochLeaves[];
  readonly checkpoint: StateCheckpoint | undefined;
}

export interface StoredEntry {
  readonly seq: number;
  readonly bytes: Uint8Array;
}

export interface EntryRow extends StoredEntry {
  /** The kind's number in the journal, from 1. */
  readonly kind: number;
  /** 16-byte receipt id, for entries of kind receipt. */
  readonly receipt: Uint8Array | undefined;
}

export interface StoredReceipt extends StoredEntry {
  readonly opening?: string;
}

export interface ReceiptQuery {
  readonly beforeSeq: number;
  readonly limit: number;
  /** 16-byte account pseudonym; omitted for all accounts. */
  readonly pseudonym?: Uint8Array;
}

export interface IdempotencyRow {
  readonly bodyHash: Uint8Array;
  readonly receipt: Uint8Array;
  readonly response: string | undefined;
}

/** The state before entry `seq`. */
export interface StateCheckpoint {
  readonly seq: number;
  readonly state: Uint8Array;
}

/** An API key with the keyed hash of its secret. */
export interface StoredKey extends ApiKey {
  readonly hash: Uint8Array;
}

export type MovementKind = "grant" | "deposit" | "withdrawal";

/** Money moved in or out, once for each reference. */
export interface MovementRow {
  readonly kind: MovementKind;
  readonly reference: string;
  /** An account id for a grant, else the payer's id in hex. */
  readonly party: string;
  readonly amount: number;
  readonly block: number;
  readonly note: string;
  readonly timeMs: number;
}

export interface MovementSum {
  readonly kind: MovementKind;
  readonly party: string;
  readonly amount: bigint;
}

export interface EpochMark {
  readonly epoch: number;
  readonly status: EpochStatus;
  readonly reference: string;
}

/** The packed leaves of an epoch's trees. */
export interface EpochLeaves {
  readonly epoch: number;
  readonly postings: Uint8Array;
  readonly payouts: Uint8Array;
  readonly debits: Uint8Array;
}
