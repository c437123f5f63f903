import { toHex } from "../core/bytes.ts";
import { decodeEntry, type Entry } from "../core/entry.ts";
import { amountOf } from "../core/receipt.ts";
import { assert } from "../core/result.ts";

export const eventTypes = [
  "executed",
  "compensated",
  "distributed",
  "settled",
  "claimed",
  "corrected",
  "refused",
] as const;
export type EventType = (typeof eventTypes)[number];

/** Something that happened on a ledger, as a CloudEvent 1.0 in its JSON form says it. The same event always has the same id: receivers can tell a repetition. */
export interface LedgerEvent {
  readonly specversion: "1.0";
  /** Ledger-wide: entry and type for what the journal says, a number of its own for the rest. */
  readonly id: string;
  /** `openledger:` and the ledger's id. */
  readonly source: string;
  /** `org.openledger.` and the type. */
  readonly type: string;
  /** RFC 3339. */
  readonly time: string;
  /** Hex of the account's pseudonym that paid, where one did. */
  readonly subject?: string;
  readonly datacontenttype: "application/json";
  /** Amounts are nano OPEN: numbers below 2^53, decimal texts where they are totals. */
  readonly data: Readonly<Record<string, unknown>>;
}

/** What the journal cannot say, kept beside it so that it can be replayed too. */
export interface KeptEvent {
  /** Counts from 1 in the order in which they are kept. */
  readonly number: number;
  readonly type: EventType;
  readonly timeMs: number;
  readonly subject: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** The events of one journal entry, in their order; none for most kinds of entry. */
export function eventsOf(bytes: Uint8Array, payeeId: (number: number) => Uint8Array | undefined): LedgerEvent[] {
  const decoded = decodeEntry(bytes);
  assert(decoded.ok, "an entry of our own journal decodes");
  const entry = decoded.value;
  const make = (type: EventType, data: LedgerEvent["data"], subject?: Uint8Array): LedgerEvent =>
    eventOf(entry.ledger, `${entry.seq}-${type}`, type, entry.timeMs, data, subject && toHex(subject));
  const name = (number: number): string => toHex(payeeId(number) ?? new Uint8Array(32));
  switch (entry.kind) {
    case "receipt":
      return receiptEvents(entry, make, name);
    case "correction": {
      const { receipt, receiptSeq, reason, refund, legs, account } = entry.correction;
      const moved = legs.map(({ payee, role, amount }) => ({ payee: name(payee), role, amount }));
      return [
        make(
          "corrected",
          { seq: entry.seq, receipt: toHex(receipt), receiptSeq, reason, refund, legs: moved },
          account,
        ),
      ];
    }
    case "poolSplit": {
      const { pool, epoch, amount } = entry.split;
      return [make("distributed", { seq: entry.seq, pool: name(pool), epoch, amount })];
    }
    default:
      return [];
  }
}

/** A kept event in the form in which it is sent. */
export function keptEvent(ledger: Uint8Array, { number, type, timeMs, subject, data }: KeptEvent): LedgerEvent {
  return eventOf(ledger, `kept-${number}`, type, timeMs, data, subject === "" ? undefined : subject);
}

type Make = (type: EventType, data: LedgerEvent["data"], subject?: Uint8Array) => LedgerEvent;

function receiptEvents(
  { seq, receipt }: Extract<Entry, { kind: "receipt" }>,
  make: Make,
  name: (number: number) => string,
): LedgerEvent[] {
  const { id, model, operator, usage, fee, flags, account } = receipt;
  const executed = make(
    "executed",
    {
      ...{ seq, receipt: toHex(id), model: toHex(model), operator: name(operator), usage },
      ...{ cost: fee.cost, royalty: fee.royalty, amount: amountOf(receipt), reported: flags.reported },
    },
    account,
  );
  const credits = receipt.legs
    .filter(({ role, amount }) => role === "contributor" && amount > 0)
    .map(({ payee, weight, amount }) => ({ payee: name(payee), weight, amount }));
  if (credits.length === 0) return [executed];
  return [executed, make("compensated", { seq, receipt: toHex(id), credits }, account)];
}

function eventOf(
  ledger: Uint8Array,
  id: string,
  type: EventType,
  timeMs: number,
  data: LedgerEvent["data"],
  subject: string | undefined,
): LedgerEvent {
  return {
    ...{ specversion: "1.0", id, source: `openledger:${toHex(ledger)}`, type: `org.openledger.${type}` },
    time: new Date(timeMs).toISOString(),
    ...(subject === undefined ? {} : { subject }),
    ...{ datacontenttype: "application/json", data },
  };
}
