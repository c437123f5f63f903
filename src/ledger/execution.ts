import type { PayeeType } from "../core/entry.ts";
import type { Quote, Rate, Usage } from "../core/quote.ts";
import type { ReceiptFlags } from "../core/receipt.ts";
import type { Refusal } from "../core/result.ts";

/** What ran and what it costs, as a receipt will say it. Payees are 32-byte ids here; the writer assigns seq, payee numbers and route amounts. */
export interface ExecutionDraft {
  readonly flags: ReceiptFlags;
  readonly operator: Uint8Array;
  /** 32-byte asset id of the model. */
  readonly model: Uint8Array;
  readonly quote: Quote;
  readonly rate: Rate;
  readonly usage: Usage;
  readonly promptHash: Uint8Array;
  readonly answerHash: Uint8Array;
  readonly evidenceRoot: Uint8Array;
  readonly indexId: Uint8Array;
  readonly methodsHash: Uint8Array;
  /** Undefined for a model without a datanet. With `unattributed` the weights sum to 1,000,000. */
  readonly contributors?: { readonly shares: readonly PayeeShare[]; readonly unattributed: number };
}

export interface PayeeShare {
  readonly payee: Uint8Array;
  readonly type: PayeeType;
  readonly weight: number;
}

/** An execution that somebody else's gateway served. Source and id together name it, once and for ever. */
export interface ReportedDraft extends ExecutionDraft {
  readonly source: string;
  readonly id: string;
  /** 16 bytes over all that its source says of it but its texts. */
  readonly bodyHash: Uint8Array;
  readonly account: string;
  /** Id, of the same source, of the execution that caused it. */
  readonly parent?: string;
  /** A later word on a row that was booked: amends its fee by a correction. */
  readonly isAmendment?: boolean;
}

/** Whether a reported execution needs the account's credit, or is booked first and paid for later. */
export type ReportedCredit = "prepaid" | "arrears";

/** What became of one reported execution. `amount` is what it changed in nano, without its children. */
export type ReportedOutcome =
  | {
      readonly outcome: "booked" | "corrected";
      readonly receipt: Uint8Array;
      readonly seq: number;
      readonly amount: number;
      /** The receipt's or the correction's entry, as it stands in the journal. */
      readonly entry: Uint8Array;
    }
  | { readonly outcome: "known"; readonly receipt: Uint8Array }
  | { readonly outcome: "refused"; readonly refusal: Refusal };
