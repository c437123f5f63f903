import type { PayeeType } from "../core/entry.ts";
import type { Quote, Rate, Usage } from "../core/quote.ts";
import type { ReceiptFlags } from "../core/receipt.ts";
import type { Refusal, Result } from "../core/result.ts";

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
  readonly contributors?: { readonly shares: readonly PayeeShare[]; readonly unattributed: number } | undefined;
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
  /** Another name by which executions of other batches may call this one. */
  readonly alias?: string;
  /** A later word on a row that was booked: amends its fee by a correction. */
  readonly isAmendment?: boolean;
}

/** What a source calls an execution. */
export interface ReportedName {
  readonly source: string;
  readonly id: string;
}

/** What a receipt was reported as. */
export interface Reported extends ReportedName {
  /** What caused it, where that came in another batch; its receipt once it is there. */
  readonly causedBy?: ReportedName & { readonly receipt?: Uint8Array };
  /** What it caused that came in other batches. */
  readonly caused: readonly (ReportedName & { readonly receipt: Uint8Array })[];
  /** Entries of the corrections that later words on it are. */
  readonly laterWords: readonly number[];
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

/** The books of what was served elsewhere. */
export interface ReportedBooks {
  /**
   * Books executions that were served elsewhere, each on its own: one that is refused holds up no other, and one that was booked before changes nothing.
   * An outcome for each draft, in their order. Refuses as a whole only where nothing can be written at all.
   */
  report(drafts: readonly ReportedDraft[], credit: ReportedCredit): Promise<Result<readonly ReportedOutcome[]>>;
  /** The receipt that an execution of this source and id has, or will have: 16 bytes. */
  reportedId(source: string, id: string): Uint8Array;
  /** The receipt of a reported execution, by its source's id or another name that the source has for it. */
  findReported(name: ReportedName): Promise<Uint8Array | undefined>;
  /** What a receipt was reported as, and what it is linked to; undefined where it was served here. */
  reportedAs(receipt: Uint8Array): Promise<Reported | undefined>;
}
