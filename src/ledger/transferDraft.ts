import type { PayeeType } from "../core/entry.ts";
import type { Nano } from "../core/money.ts";

/** Balances that another ledger owed, on their way into this one's books. */
export interface TransferDraft {
  /** Who brings them, and is charged. */
  readonly account: string;
  /** sha256 of the statement that says them. */
  readonly source: Uint8Array;
  readonly lines: readonly TransferDraftLine[];
}

export interface TransferDraftLine {
  /** 32-byte payee id, once in a statement. */
  readonly payee: Uint8Array;
  readonly type: Exclude<PayeeType, "pool">;
  readonly amount: Nano;
}

/** What a statement's transfer came to: once, however often it is sent. */
export interface Transferred {
  readonly entries: number;
  readonly nano: bigint;
  /** Entries that were journalled before. */
  readonly known: number;
}
