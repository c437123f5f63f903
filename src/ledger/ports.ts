import type { Refusal, Result } from "../core/result.ts";
import type { AuditHead, AuditRow } from "./audit.ts";
import type { Account, ApiKey, EpochStatus, Spending } from "./ledger.ts";
import type { Organisation } from "./organisations.ts";

/** What a ledger needs from the world, handed in by the composition root. */
export interface LedgerWorld {
  /** Milliseconds since 1970. */
  nowMs(): number;
  randomBytes(size: number): Uint8Array;
  /** Something that an operator of the node should know, such as the writer having been fenced. */
  warn(message: string): void;
}

/** Signs with the ledger's secp256k1 key: 32-byte digest in, r ‖ s ‖ v (65 bytes) out. */
export interface Signer {
  sign(digest: Uint8Array): Uint8Array;
}

/** `mayPass`: the same batch may be taken later, once there is room or the server is back. */
export interface StoreRefusal extends Refusal {
  readonly mayPass?: true;
}

/**
 * Where a ledger is durable. One live writer per ledger: `takeOver` commits the next term, and every append checks it.
 * All of a batch is committed, or nothing of it.
 */
export interface LedgerStore {
  /** Makes the ledger if it is new, commits its next term, and only then reads how far the journal got. */
  takeOver(ledger: Uint8Array): Promise<Result<Takeover>>;
  /** Refuses with `writer_fenced` when the term is not the ledger's latest, `store_unavailable` when the outcome is not known. */
  append(batch: AppendBatch): Promise<Result<void, StoreRefusal>>;
  /**
   * After an append whose outcome is not known (`store_unavailable`): waits until no transaction of it is under way, and says what came of it,
   * by comparing the stored bytes. Refuses with `writer_fenced` where another writer has taken over, `store_unavailable` where it cannot tell yet.
   */
  settle(batch: AppendBatch): Promise<Result<"written" | "absent", StoreRefusal>>;
  entries(ledger: Uint8Array, from: number, until: number): AsyncIterable<StoredEntry>;
  receipt(ledger: Uint8Array, id: Uint8Array): Promise<StoredReceipt | undefined>;
  receipts(
    ledger: Uint8Array,
    query: { readonly beforeSeq: number; readonly limit: number; readonly pseudonym?: Uint8Array },
  ): Promise<readonly StoredEntry[]>;
  idempotency(ledger: Uint8Array, account: string, key: string): Promise<IdempotencyRow | undefined>;
  /** Those of an account's keys that are there, in any order. */
  idempotencies(ledger: Uint8Array, account: string, keys: readonly string[]): Promise<readonly IdempotencyRow[]>;
  /** The rows of reported executions that name this receipt. */
  reported(ledger: Uint8Array, receipt: Uint8Array): Promise<readonly IdempotencyRow[]>;
  /** The rows of reported executions beside which one of these texts stands; at most 200. */
  caused(ledger: Uint8Array, responses: readonly string[]): Promise<readonly IdempotencyRow[]>;
  /** The movement that was booked under this reference, so that the same reference with another amount can be refused. */
  movement(ledger: Uint8Array, reference: string): Promise<MovementRow | undefined>;
  /** Nano that corrections have refunded of a receipt so far, in the order of their entries. */
  corrections(ledger: Uint8Array, receipt: Uint8Array): Promise<readonly StoredEntry[]>;
  epochLeaves(ledger: Uint8Array, epoch: number): Promise<EpochLeaves | undefined>;
  /** What metered keys spent on the days [from, until), by day and key. */
  spending(ledger: Uint8Array, from: number, until: number): Promise<readonly Spending[]>;
  /** Rows of an audit log after the number `after`, in their order. */
  audits(
    ledger: Uint8Array,
    log: string,
    query: { readonly after: number; readonly limit: number },
  ): Promise<readonly AuditRow[]>;
}

export interface Takeover {
  readonly term: number;
  readonly lastSeq: number;
  readonly accounts: readonly Account[];
  readonly keys: readonly StoredKey[];
  readonly movements: readonly MovementSum[];
  readonly organisations: readonly Organisation[];
  /** The last row of each audit log. */
  readonly auditHeads: readonly AuditHead[];
  readonly epochMarks: readonly EpochMark[];
  readonly epochEnds: readonly number[];
  readonly checkpoint: { readonly seq: number; readonly state: Uint8Array } | undefined;
}

export interface StoredEntry {
  readonly seq: number;
  readonly bytes: Uint8Array;
}

export interface StoredReceipt extends StoredEntry {
  readonly opening: string | undefined;
}

export interface StoredKey extends ApiKey {
  readonly hash: Uint8Array;
}

export type MovementKind = "grant" | "deposit" | "withdrawal";

export interface MovementRow {
  readonly kind: MovementKind;
  readonly reference: string;
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

export interface IdempotencyRow {
  readonly account: string;
  readonly key: string;
  readonly bodyHash: Uint8Array;
  readonly receipt: Uint8Array;
  readonly response: string | undefined;
}

export interface EpochMark {
  readonly epoch: number;
  readonly status: EpochStatus;
  readonly reference: string;
}

/** The packed leaves of an epoch's payout and debit trees. */
export interface EpochLeaves {
  readonly epoch: number;
  readonly payouts: Uint8Array;
  readonly debits: Uint8Array;
}

export interface EntryRow {
  readonly seq: number;
  readonly kind: number;
  /** 16 bytes: a receipt's own id, or the id of the receipt that a correction names. */
  readonly receipt: Uint8Array | undefined;
  readonly bytes: Uint8Array;
}

export interface AppendBatch {
  readonly ledger: Uint8Array;
  readonly term: number;
  readonly entries: readonly EntryRow[];
  readonly openings: readonly { readonly receipt: Uint8Array; readonly opening: string }[];
  readonly idempotency: readonly IdempotencyRow[];
  readonly accounts: readonly Account[];
  readonly keys: readonly StoredKey[];
  readonly movements: readonly MovementRow[];
  readonly organisations: readonly Organisation[];
  readonly audits: readonly AuditRow[];
  /** To be added to what is there: at most one row for a key and day. */
  readonly spending: readonly Spending[];
  readonly epochMarks: readonly EpochMark[];
  readonly epochLeaves: readonly EpochLeaves[];
  readonly checkpoint: { readonly seq: number; readonly state: Uint8Array } | undefined;
}
