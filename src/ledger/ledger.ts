import type { AssetKind, Parent, Terms } from "../core/asset.ts";
import type { Correction } from "../core/correction.ts";
import type { BindingRecord, Entry, PayeeType } from "../core/entry.ts";
import type { EpochRecord } from "../core/epoch.ts";
import type { Nano } from "../core/money.ts";
import type { FeePolicy } from "../core/policy.ts";
import type { Nesting, Receipt } from "../core/receipt.ts";
import type { Refusal, Result } from "../core/result.ts";
import type { Earnings } from "./earnings.ts";
import type { ExecutionDraft, PayeeShare, ReportedBooks } from "./execution.ts";
import type { PeriodBook } from "./period.ts";
import type { TransferDraft, Transferred } from "./transferDraft.ts";

/**
 * A ledger: one node's books, behind one writer. What doors (HTTP, CLI, agents) can do with money goes through this interface.
 * All that returns a promise of a write resolves after the write is durable, never before.
 */
export interface Ledger {
  /** 32 bytes. */
  readonly id: Uint8Array;
  readonly accounts: Accounts;
  readonly earnings: Earnings;
  readonly holds: Holds;
  readonly books: Books;
  readonly epochs: Epochs;
  readonly assets: Assets;
  /** Answers all that is queued, commits, and gives the term back. Further writes are refused with `shutting_down`. */
  close(): Promise<void>;
}

export interface Account {
  /** `acct_` and 24 hex digits. */
  readonly id: string;
  readonly name: string;
  /** 32 bytes: whom the debit tree charges. API-key accounts spend the node's own deposit, so theirs is the node. */
  readonly payer: Uint8Array;
  /** 16 bytes: how receipts name the account. */
  readonly pseudonym: Uint8Array;
  /** 32-byte payee id whose unsettled earnings this account may spend, with those of the identities bound to it: see {@link Earnings}. */
  readonly payee?: Uint8Array;
  /** Deadline of the proof that linked it last. */
  readonly proofDeadlineMs?: number;
  /** Of a payee's own account, the key that the payee's signature made. */
  readonly walletKey?: string;
  /** What other gateways call it, where it stands for one of their payers. */
  readonly external?: string;
  readonly createdMs: number;
}

export interface Balance {
  readonly credited: bigint;
  readonly spent: bigint;
  readonly held: bigint;
  /** credited − spent − held. */
  readonly available: bigint;
  /** Earned in the open epoch by the account's payee and not spent: can be spent at once. */
  readonly earnedAvailable: bigint;
}

export interface KeyLimits {
  readonly requestsPerMinute?: number;
  readonly tokensPerMinute?: number;
  readonly nanoPerDay?: Nano;
  readonly inFlight?: number;
}

/** On behalf of whom in an organisation a key acts. */
export interface KeyScope {
  readonly organisation: string;
  readonly member: string;
  /** A project's key executes and nothing else. */
  readonly project?: string;
}

export interface ApiKey {
  /** `key_` and 24 hex digits. Never the secret. */
  readonly id: string;
  readonly account: string;
  readonly name: string;
  /** The first characters of the secret, for people to tell keys apart. */
  readonly hint: string;
  readonly limits: KeyLimits;
  readonly admin: boolean;
  readonly scope?: KeyScope;
  readonly createdMs: number;
  readonly revokedMs?: number;
}

/** What a key spent on a day, which counts from 1970 in UTC: that on which its money was held. */
export interface Spending {
  readonly day: number;
  readonly key: string;
  readonly nano: number;
  readonly receipts: number;
  readonly tokens: number;
}

export interface Accounts {
  /** An account with the `external` name of one that is there is that one. */
  open(input: { name: string; payer?: Uint8Array; payee?: Uint8Array; external?: string }): Promise<Result<Account>>;
  /** The account that stands for whom other gateways call by this name. */
  findExternal(name: string): Account | undefined;
  get(id: string): Account | undefined;
  list(): readonly Account[];
  balance(id: string): Balance | undefined;
  /** Grants credit from the node's own deposit. Idempotent by `key`. */
  credit(input: { account: string; amount: Nano; key: string; note: string }): Promise<Result<Balance>>;
  /** Books a deposit seen on chain, once however often it is seen: `reference` is chain, transaction and log index. */
  deposit(input: {
    payer: Uint8Array;
    amount: Nano;
    reference: string;
    block: number;
  }): Promise<Result<"booked" | "known">>;
  withdraw(input: {
    payer: Uint8Array;
    amount: Nano;
    reference: string;
    block: number;
  }): Promise<Result<"booked" | "known">>;
  /** `secret` is `ol_…`, shown once; only its keyed hash is stored. */
  createKey(input: {
    account: string;
    name: string;
    limits?: KeyLimits;
    admin?: boolean;
  }): Promise<Result<{ key: ApiKey; secret: string }>>;
  revokeKey(id: string): Promise<Result<ApiKey>>;
  keys(account?: string): readonly ApiKey[];
  /** The live or revoked key of a secret; constant time in the secret. */
  findKey(secret: string): ApiKey | undefined;
  /** Every credit and debit of an account or payee, newest first, each explained by its receipt. */
  statement(query: StatementQuery): Promise<Statement>;
  /** What everybody was credited and charged from `fromMs` to before `untilMs`, equal lines as one, in one pass over those entries. */
  period(fromMs: number, untilMs: number): Promise<PeriodBook>;
}

export interface StatementQuery {
  /** 32-byte payee id, or an account id. */
  readonly payee?: Uint8Array;
  readonly account?: string;
  readonly fromMs?: number;
  readonly untilMs?: number;
  readonly limit?: number;
}

export interface Statement {
  readonly lines: readonly StatementLine[];
  readonly total: bigint;
  /** True when `limit` cut the lines; `total` covers all of them. */
  readonly truncated: boolean;
}

export interface StatementLine {
  readonly seq: number;
  readonly timeMs: number;
  readonly kind: "earned" | "spent" | "pool" | "correction" | "transfer" | "paid";
  /** Hex receipt id, the pool's hex payee id, the transfer's hex id, or for what was paid outside before the ledger moved the contract that it moved to. */
  readonly receipt: string;
  readonly role: string;
  readonly weight: number;
  readonly amount: Nano;
}

/** Money set aside for one execution. Lives in the writer's memory: if the writer dies, the hold is released by that very fact. */
export interface Hold {
  /** Also the id of the receipt that it may become: 16 bytes. */
  readonly id: Uint8Array;
  readonly account: string;
  readonly amount: Nano;
  readonly parent?: Uint8Array;
}

export interface Holds {
  /** Refuses with `insufficient_funds`. A child's hold is carved from its parent's. */
  place(input: { account: string; amount: Nano; parent?: Uint8Array; leaseMs?: number }): Result<Hold>;
  /** Extends the lease; a hold whose holder stops renewing is reaped. */
  renew(id: Uint8Array): boolean;
  release(id: Uint8Array): void;
  count(): number;
  totalHeld(): bigint;
}

/** An execution that we served. */
export interface ReceiptDraft extends ExecutionDraft {
  readonly hold: Uint8Array;
  /** Omitted for a root. */
  readonly nesting?: Nesting;
  /** Opaque to the ledger; kept beside the receipt so that it can be opened later (salts, texts, evidence). JSON. */
  readonly opening?: string | undefined;
  readonly idempotency?: { readonly key: string; readonly bodyHash: Uint8Array; readonly response?: string };
  /** The key whose spending of a day is kept, and that day: see `Spending`. */
  readonly metered?: { readonly key: string; readonly day: number } | undefined;
}

/** A durable receipt and the promise that it will be in the published journal. */
export interface Posted {
  readonly seq: number;
  readonly timeMs: number;
  readonly receipt: Receipt;
  readonly promise: ReceiptPromise;
}

/** Anyone can check it: leaf hash of the entry, audit path in the batch, signature over (first, count, root, deadline). */
export interface ReceiptPromise {
  readonly receipt: Uint8Array;
  readonly amount: Nano;
  readonly seq: number;
  readonly entry: Uint8Array;
  readonly first: number;
  readonly count: number;
  readonly root: Uint8Array;
  readonly path: readonly Uint8Array[];
  readonly deadlineMs: number;
  readonly signature: Uint8Array;
}

export interface Books extends ReportedBooks {
  /** Turns a hold into a receipt. The fee must fit the hold. */
  post(draft: ReceiptDraft): Promise<Result<Posted>>;
  /** Books balances that another ledger owed its payees, once for each source: see {@link transferBalances}. */
  transfer(draft: TransferDraft): Promise<Result<Transferred>>;
  /** Idempotent by `key`, for each account: the same again is the same correction, another under its key is refused. */
  correct(input: {
    receipt: Uint8Array;
    reason: Correction["reason"];
    refund: Nano;
    note: string;
    key: string;
  }): Promise<Result<Entry>>;
  /** What happened under an idempotency key: nothing, still running, another body, or the stored response. */
  idempotency(account: string, key: string, bodyHash: Uint8Array): Promise<Result<IdempotencyState>>;
  /** Marks a key as running in this process; false when it already is. */
  begin(account: string, key: string): boolean;
  abandon(account: string, key: string): void;
  receipt(
    id: Uint8Array,
  ): Promise<{ seq: number; timeMs: number; receipt: Receipt; entry: Uint8Array; opening?: string } | undefined>;
  promise(id: Uint8Array): Promise<ReceiptPromise | undefined>;
  recent(query: { limit: number; beforeSeq?: number; account?: string }): Promise<readonly Omit<Posted, "promise">[]>;
  /** What metered keys spent on the days [from, until). */
  spending(from: number, until: number): Promise<readonly Spending[]>;
  /** Entries [from, until) as they stand in the journal. */
  entries(from: number, until: number): AsyncIterable<Uint8Array>;
  /** Durable size of the journal; why nothing can be written until the ledger is opened again; and why nothing can be until its store takes it. Both undefined as long as it can. */
  size(): number;
  stopped(): Refusal | undefined;
  waiting(): Refusal | undefined;
  payeeNumber(id: Uint8Array): number | undefined;
  payee(number: number): { id: Uint8Array; type: PayeeType } | undefined;
  /** A payee's lifetime credits, and the part credited in the open epoch. */
  accrued(payee: Uint8Array): { lifetime: bigint; open: bigint };
  payees(): Iterable<{ number: number; id: Uint8Array; type: PayeeType; lifetime: bigint; open: bigint }>;
  policy(): FeePolicy;
  setPolicy(policy: FeePolicy): Promise<Result<Entry>>;
  bind(
    input: Omit<BindingRecord, "identity" | "to" | "epoch"> & { identity: Uint8Array; to: Uint8Array },
  ): Promise<Result<Entry>>;
  /** Σ credits, Σ debits, Σ holds, Σ balances, from memory; the laws that relate them are tests. */
  totals(): Totals;
}

export type IdempotencyState =
  | { readonly state: "new" }
  | { readonly state: "done"; readonly receipt: Uint8Array; readonly response?: string };

export interface Totals {
  readonly deposited: bigint;
  readonly granted: bigint;
  readonly debited: bigint;
  readonly credited: bigint;
  readonly held: bigint;
  readonly receipts: number;
}

export interface AssetInput {
  readonly id: Uint8Array;
  readonly kind: AssetKind;
  /** 32-byte payee id of the owner. */
  readonly owner: Uint8Array;
  readonly contentRoot: Uint8Array;
  readonly terms: Terms;
  readonly parents: readonly Parent[];
}

export interface AssetState extends AssetInput {
  readonly seq: number;
  /** Who owns it from the close of the open epoch on, where it was transferred: 32 bytes. */
  readonly nextOwner?: Uint8Array;
  /** The pool that its royalty flows to, as a 32-byte payee id; its owner's id where it has no ancestors. */
  readonly royaltyPayee: Uint8Array;
}

export interface Assets {
  /** Journals the asset and its royalty pool. Known ids with the same content are returned as they are. */
  register(input: AssetInput): Promise<Result<AssetState>>;
  get(id: Uint8Array): AssetState | undefined;
  list(): readonly AssetState[];
  /**
   * Publishes whom a model's owner declares as its contributors, by what weights, as a pool; the 32-byte payee id of that pool. The same again is the same
   * pool, and others are a new one: receipts before it keep the pool that they name.
   */
  declare(model: Uint8Array, shares: readonly PayeeShare[]): Promise<Result<Uint8Array>>;
  /** Publishes who made a datanet version's context, by what it changed; from then on its context part goes to this pool. The pool's 32-byte payee id. */
  creditContext(datanet: Uint8Array, shares: readonly PayeeShare[]): Promise<Result<Uint8Array>>;
  /** An owner seen in the registry. Counts from the entry that closes the open epoch: income until then stays the seller's. */
  transfer(id: Uint8Array, owner: Uint8Array): Promise<Result<AssetState>>;
}

export interface Epochs {
  /** Cuts the journal, splits the pools, builds the trees and journals the `epoch` entry. */
  closeEpoch(input: { registryBlock: number }): Promise<Result<ClosedEpoch>>;
  list(): readonly EpochSummary[];
  /** Records how far an epoch got on chain. */
  mark(epoch: number, status: EpochStatus, reference: string): Promise<void>;
  payout(epoch: number, payee: Uint8Array): Promise<Result<PayoutProof>>;
  posting(epoch: number, index: number): Promise<Result<{ leaf: Uint8Array; proof: readonly Uint8Array[] }>>;
  debit(epoch: number, payer: Uint8Array): Promise<Result<PayoutProof>>;
  open(): { epoch: number; first: number; sinceMs: number };
}

export type EpochStatus = "closed" | "proposed" | "final" | "voided";

export interface EpochSummary {
  readonly record: EpochRecord;
  readonly seq: number;
  readonly timeMs: number;
  readonly status: EpochStatus;
  readonly reference: string;
  /** Closed on credit, before the ledger moved to a chain: its totals are of the past, and what was still owed of them is in the epoch of the move. */
  readonly isPast: boolean;
}

export interface ClosedEpoch {
  readonly record: EpochRecord;
  readonly seq: number;
  /** Journal size whose root goes on chain: it contains the epoch entry. */
  readonly journalSize: number;
}

/** What a payee takes to the contract. */
export interface PayoutProof {
  readonly index: number;
  readonly payee: Uint8Array;
  readonly cumulative: bigint;
  readonly proof: readonly Uint8Array[];
}
