import type { Rate } from "../core/quote.ts";
import { assert, ok, type Result, refuse } from "../core/result.ts";

/** What is kept of a payee to pay it by bank, outside the journal: erasing it leaves every proof intact. */
export interface PayeeDetails {
  /** 32 bytes of hex with 0x. */
  readonly payee: string;
  readonly legalName: string;
  /** ISO 3166-1 alpha-2. */
  readonly country: string;
  readonly taxId?: string;
  /** ISO 13616, without spaces. */
  readonly iban: string;
  /** ISO 9362. */
  readonly bic?: string;
  /** Tax withheld from what is paid, in hundredths of a percent. */
  readonly withholdingBps: number;
}

/** One payee's part of a payout. Amounts of money are whole minor units (cents). */
export interface PayoutLine {
  readonly payee: string;
  /** What leaves the payee's settled balance: exactly what `gross` is worth, rounded up by less than a nano. */
  readonly nano: bigint;
  readonly gross: number;
  readonly withheld: number;
  readonly net: number;
  /** As they were when the payout was made; absent where nobody was paid by bank. */
  readonly details?: PayeeDetails;
}

export type PayoutStatus = "open" | "paid" | "cancelled";

/** A payout of settled balances by bank: made once, sent as a file, then marked as paid or cancelled. Never changed otherwise. */
export interface Payout {
  /** Counts from 1 without gaps. */
  readonly number: number;
  readonly createdMs: number;
  /** ISO 4217; two decimals. */
  readonly currency: string;
  /** Nano for one unit of the currency. */
  readonly nanoPerUnit: number;
  /** The newest epoch whose credits are in it. */
  readonly epoch: number;
  readonly status: PayoutStatus;
  /** The bank's reference once it is paid, the reason once it is cancelled. */
  readonly reference: string;
  readonly lines: readonly PayoutLine[];
  /** Balances that left with a datanet for another ledger: no bank is asked, and the lines have nano alone. */
  readonly movedTo?: MovedTo;
  /** When it was paid, and the dollar's rate then. */
  readonly paid?: PaidAt;
}

export interface PaidAt extends Rate {
  readonly atMs: number;
}

export interface MovedTo {
  readonly datanet: string;
  /** Who took them over, as was said. */
  readonly to: string;
}

/** ISO 4217 for where no currency is involved. */
export const NO_CURRENCY = "XXX";

/** Where payouts and payees' details are kept. What fails throws a `RefusalError`. */
export interface PayoutStore {
  details(payee: string): Promise<PayeeDetails | undefined>;
  allDetails(): Promise<readonly PayeeDetails[]>;
  putDetails(details: PayeeDetails): Promise<void>;
  /** Forgets them; payouts that were made keep their copy, as tax law asks. */
  removeDetails(payee: string): Promise<boolean>;
  payouts(): Promise<readonly Payout[]>;
  payout(number: number): Promise<Payout | undefined>;
  /** Refuses `conflict` where the number is taken: somebody else made one at the same time. */
  addPayout(payout: Payout): Promise<Result<Payout>>;
  /** Refuses `conflict` unless it is open. */
  endPayout(number: number, end: PayoutEnd): Promise<Result<Payout>>;
}

export type PayoutEnd =
  | { readonly status: "paid"; readonly reference: string; readonly paid: PaidAt }
  | { readonly status: "cancelled"; readonly reference: string };

/** A payee with something to be paid. */
export interface Due {
  readonly payee: string;
  /** Settled and neither claimed nor in an open payout. */
  readonly nano: bigint;
}

export interface PayoutTerms {
  readonly nanoPerUnit: number;
  /** Smaller parts wait for a later payout; they are never lost. */
  readonly minimum: number;
}

export interface PayoutPlan {
  readonly lines: readonly PayoutLine[];
  /** Who waits, and why: too little yet, or nobody has said where to pay. */
  readonly waiting: readonly { readonly payee: string; readonly nano: bigint; readonly why: "minimum" | "details" }[];
}

/** Divides what is due into lines and what waits. A part of a cent stays in the payee's settled balance, so that over time nobody loses any. */
export function planPayout(
  due: readonly Due[],
  detailsOf: (payee: string) => PayeeDetails | undefined,
  { nanoPerUnit, minimum }: PayoutTerms,
): PayoutPlan {
  assert(Number.isSafeInteger(nanoPerUnit) && nanoPerUnit > 0, "a rate is whole nano");
  const lines: PayoutLine[] = [];
  const waiting: { payee: string; nano: bigint; why: "minimum" | "details" }[] = [];
  for (const { payee, nano } of due.toSorted((a, b) => (a.payee < b.payee ? -1 : 1))) {
    const gross = Number((nano * 100n) / BigInt(nanoPerUnit));
    const details = detailsOf(payee);
    if (gross < Math.max(1, minimum)) waiting.push({ payee, nano, why: "minimum" });
    else if (details === undefined) waiting.push({ payee, nano, why: "details" });
    else lines.push(lineOf(payee, gross, details, nanoPerUnit));
  }
  return { lines, waiting };
}

function lineOf(payee: string, gross: number, details: PayeeDetails, nanoPerUnit: number): PayoutLine {
  const nano = (BigInt(gross) * BigInt(nanoPerUnit) + 99n) / 100n;
  // Withholding is rounded down: the tax office asks for whole cents of what was paid, never for more than its share.
  const withheld = Math.floor((gross * details.withholdingBps) / 10_000);
  return { payee, nano, gross, withheld, net: gross - withheld, details };
}

/** What payouts have taken from a payee's settled balance: `paid` for good, `open` while the bank is asked. */
export function paidOut(payouts: readonly Payout[], payee: string): { readonly paid: bigint; readonly open: bigint } {
  let paid = 0n;
  let open = 0n;
  for (const { status, lines } of payouts) {
    if (status === "cancelled") continue;
    for (const line of lines) {
      if (line.payee !== payee) continue;
      if (status === "paid") paid += line.nano;
      else open += line.nano;
    }
  }
  return { paid, open };
}

/** Checks details as a bank would: ISO 13616 (length and mod 97), ISO 9362, ISO 3166-1. */
export function checkDetails(details: PayeeDetails): Result<PayeeDetails> {
  const iban = details.iban.replaceAll(/\s/g, "").toUpperCase();
  const wrong = (field: string, message: string) => refuse("invalid_request", message, { field });
  if (!isIban(iban)) return wrong("iban", "this is no IBAN: its check digits do not fit");
  if (details.bic !== undefined && !/^[A-Z]{6}[A-Z0-9]{2}([A-Z0-9]{3})?$/.test(details.bic))
    return wrong("bic", "a BIC has 8 or 11 letters and digits");
  if (!/^[A-Z]{2}$/.test(details.country)) return wrong("country", "a country is two capital letters, as in DE");
  if (details.legalName.trim() === "" || details.legalName.length > 140)
    return wrong("legalName", "a name has 1 to 140 characters");
  const { withholdingBps } = details;
  if (!Number.isInteger(withholdingBps) || withholdingBps < 0 || withholdingBps > 5_000)
    return wrong("withholdingBps", "withholding is 0 to 5000 hundredths of a percent");
  return ok({ ...details, iban, legalName: details.legalName.trim() });
}

/** ISO 13616: letters become numbers from 10, the first four characters go last, and the whole is 1 modulo 97. */
function isIban(iban: string): boolean {
  if (!/^[A-Z]{2}\d{2}[A-Z0-9]{11,30}$/.test(iban)) return false;
  const moved = iban.slice(4) + iban.slice(0, 4);
  let rest = 0;
  for (const character of moved) {
    const value = Number.parseInt(character, 36);
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97;
  }
  return rest === 1;
}
