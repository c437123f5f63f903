import { equalBytes, toHex, utf8 } from "../core/bytes.ts";
import { decodeEntry } from "../core/entry.ts";
import { hmacSha256 } from "../core/hash.ts";
import { ownOf, type Receipt } from "../core/receipt.ts";
import { assert, ok, type Result, refuse } from "../core/result.ts";
import type { Batch } from "./batch.ts";
import { asCorrected, chargeLegs, correctionsOf, givenBack, moreOf, refundLegs } from "./correcting.ts";
import type { ReportedCredit, ReportedDraft, ReportedOutcome } from "./execution.ts";
import type { IdempotencyRow, LedgerStore } from "./ports.ts";
import type { Purses } from "./purses.ts";
import { isLaterWord, noteText, REPORTED, reportedKey } from "./reportedRows.ts";
import { nestingOf, type Priced, type Routing } from "./routing.ts";
import type { Writer } from "./writer.ts";

/** One reported execution on its way into the books. */
interface Row {
  readonly draft: ReportedDraft;
  /** Source and id as one text. */
  readonly key: string;
  /** The same with its other name, where it has one. */
  readonly alias: string | undefined;
  /** 16 bytes: the id of its receipt, now and whenever it is sent again. */
  readonly receipt: Uint8Array;
  outcome: ReportedOutcome | undefined;
}

interface Amendment {
  readonly row: Row;
  readonly seq: number;
  readonly receipt: Receipt;
}

export interface ReportingParts {
  readonly writer: Writer;
  readonly purses: Purses;
  readonly store: LedgerStore;
  readonly routing: Routing;
  /** 32 bytes that never leave the node: without them nobody can tell from its id which execution a receipt is of. */
  readonly secret: Uint8Array;
}

/**
 * Books what others' gateways served. The receipt's id follows from source and id, so a row that comes again is known whoever sends it and however often;
 * a later word on it is a correction, and only where it says that it is one.
 */
export class Reporting {
  readonly #parts: ReportingParts;
  /** Keys that are on their way, and what to wait for. */
  readonly #running = new Map<string, Promise<unknown>>();

  constructor(parts: ReportingParts) {
    this.#parts = parts;
  }

  /** 16 bytes: its receipt, now and whenever it is sent again. */
  receiptOf(source: string, id: string): Uint8Array {
    return this.#receiptId(reportedKey(source, id));
  }

  async report(drafts: readonly ReportedDraft[], credit: ReportedCredit): Promise<Result<readonly ReportedOutcome[]>> {
    const rows = drafts.map((draft): Row => {
      const key = reportedKey(draft.source, draft.id);
      const alias = draft.alias === undefined ? key : reportedKey(draft.source, draft.alias);
      return {
        draft,
        key,
        alias: alias === key ? undefined : alias,
        receipt: this.#receiptId(key),
        outcome: undefined,
      };
    });
    const repeated = new Map<Row, Row>();
    for (let left: readonly Row[] = rows; left.length > 0; ) {
      const { now, later, same } = firstWords(left);
      for (const [row, first] of same) repeated.set(row, first);
      const done = await this.#alone(now, credit);
      if (!done.ok) return done;
      left = later;
    }
    for (const [row, first] of repeated) row.outcome = againOf(first.outcome);
    return ok(rows.map(({ outcome }) => outcome!));
  }

  /** Books rows of different keys, while nobody else books any of them. */
  async #alone(rows: readonly Row[], credit: ReportedCredit): Promise<Result<void>> {
    const keys = rows.flatMap(({ key, alias }) => (alias === undefined ? [key] : [key, alias]));
    for (;;) {
      const busy = keys.find((key) => this.#running.has(key));
      if (busy === undefined) break;
      await this.#running.get(busy);
    }
    const booking = this.#book(rows, credit);
    for (const key of keys) this.#running.set(key, booking);
    try {
      return await booking;
    } finally {
      for (const key of keys) this.#running.delete(key);
    }
  }

  async #book(rows: readonly Row[], credit: ReportedCredit): Promise<Result<void>> {
    const { store, writer } = this.#parts;
    const keys = rows.flatMap((row) => [
      ...[row.key, ...(row.alias === undefined ? [] : [row.alias])],
      ...(row.draft.isAmendment ? [amendedKey(row)] : []),
    ]);
    const found = await store.idempotencies(writer.state.ledger, REPORTED, keys);
    const known = new Map(found.map((row) => [row.key, row]));
    const fresh: Row[] = [];
    const amendments: Amendment[] = [];
    for (const row of rows) {
      const before = known.get(row.key);
      if (before === undefined) fresh.push(row);
      else if (!isAmending(row, before, known)) row.outcome = knownOf(row, before);
      else amendments.push(await this.#amendmentOf(row, before.receipt));
    }
    if (fresh.length + amendments.length === 0) return ok(undefined);
    return writer.run((batch) => {
      for (const amendment of amendments) amendment.row.outcome = this.#amend(batch, amendment, credit);
      this.#journal(batch, fresh, credit, new Set([...known.keys(), ...rows.map(({ key }) => key)]));
      return ok(() => undefined);
    });
  }

  /** Checks all rows before any is journalled, then journals children before what caused them. `taken`: names that stand for some execution already. */
  #journal(batch: Batch, rows: readonly Row[], credit: ReportedCredit, taken: Set<string>): void {
    const { routing, purses, writer } = this.#parts;
    const allowed = new Map<Row, Priced>();
    for (const row of rows) {
      const priced = routing.price(row.draft);
      const paid = priced.ok ? purses.setAside(row.draft.account, priced.value.own, credit === "arrears") : priced;
      if (priced.ok && paid.ok) allowed.set(row, priced.value);
      else if (!paid.ok) row.outcome = { outcome: "refused", refusal: paid.error };
    }
    for (const [{ draft }, { own }] of allowed) purses.giveBack(draft.account, own);
    for (const { row, parent, root, depth } of placesOf([...allowed.keys()])) {
      const [priced, id] = [allowed.get(row)!, row.receipt];
      const place = { id, root: root.receipt, depth, ...(parent === undefined ? {} : { parent: parent.receipt }) };
      const facts = routing.route(batch, priced, row.draft, {
        ...{ id, nesting: nestingOf(writer.state, place, priced.own) },
        ...{ account: purses.account(row.draft.account)!, payerPayee: 0, earned: 0 },
      });
      const { seq, bytes: entry } = batch.addReceipt(facts, routing.legs);
      this.#name(batch, row, parent !== undefined, taken);
      row.outcome = { outcome: "booked", receipt: id, seq, amount: priced.own, entry };
    }
  }

  /** What the row is known by from now on, and what caused it where the receipts do not say. */
  #name(batch: Batch, { draft, key, alias, receipt }: Row, isNested: boolean, taken: Set<string>): void {
    const { bodyHash, isAmendment, parent, source } = draft;
    const cause = isNested || parent === undefined ? undefined : reportedKey(source, parent);
    const note = noteText({
      ...(isAmendment === true ? { isLater: true } : {}),
      ...(cause === undefined || cause === key ? {} : { cause }),
    });
    batch.idempotency.push({ account: REPORTED, key, bodyHash, receipt, response: note });
    if (alias === undefined || taken.has(alias)) return;
    taken.add(alias);
    const response = noteText({ isAlias: true });
    batch.idempotency.push({ account: REPORTED, key: alias, bodyHash, receipt, response });
  }

  /** Brings what was charged for a receipt to what its source says now. */
  #amend(batch: Batch, { row, seq: receiptSeq, receipt }: Amendment, credit: ReportedCredit): ReportedOutcome {
    const { purses, writer, routing } = this.#parts;
    const { state } = writer;
    const priced = routing.price(row.draft);
    if (!priced.ok) return refused(priced);
    const moved = whatMoved(row.draft, receipt, purses.account(row.draft.account)?.pseudonym, state);
    if (moved !== undefined)
      return refused(
        refuse("conflict", `an amendment cannot change the ${moved} of an execution`, {
          hint: "refund the receipt, and report the execution under a new id",
        }),
      );
    const more = priced.value.own - (ownOf(receipt) - state.refunded(receipt.id));
    if (more === 0) return { outcome: "known", receipt: receipt.id };
    const given = more > 0 ? this.#charge(row.draft.account, more, credit) : givenBack(state, receipt, -more);
    if (!given.ok) return refused(given);
    const legs =
      more > 0
        ? ok(chargeLegs(state, state.size, receipt, moreOf(receipt.fee, priced.value.fee, more)))
        : refundLegs(receipt, -more, (payee) => state.accruals.open(payee) - purses.reservedEarnings(payee));
    if (!legs.ok) return refused(legs);
    const key = amendedKey(row);
    const { seq, bytes: entry } = batch.add({
      kind: "correction",
      correction: {
        ...{ id: this.#receiptId(key), receipt: receipt.id, receiptSeq, reason: "lateMeter", ...given.value },
        ...{ payer: receipt.payer, account: receipt.account, noteHash: new Uint8Array(32), legs: legs.value },
        payerPayee: given.value.earned > 0 ? receipt.payerPayee : 0,
      },
    });
    const { bodyHash } = row.draft;
    batch.idempotency.push({ account: REPORTED, key, bodyHash, receipt: receipt.id, response: String(seq) });
    return { outcome: "corrected", receipt: receipt.id, seq, amount: more, entry };
  }

  #charge(account: string, more: number, credit: ReportedCredit): Result<{ refund: number; earned: number }> {
    const paid = this.#parts.purses.setAside(account, more, credit === "arrears");
    if (!paid.ok) return paid;
    this.#parts.purses.giveBack(account, more);
    return ok({ refund: -more, earned: 0 });
  }

  async #amendmentOf(row: Row, id: Uint8Array): Promise<Amendment> {
    const { store, writer } = this.#parts;
    const stored = await store.receipt(writer.state.ledger, id);
    assert(stored !== undefined, "a row that is known has its receipt");
    const entry = decodeEntry(stored.bytes);
    assert(entry.ok && entry.value.kind === "receipt", "a row of kind receipt holds one");
    const corrections = await correctionsOf(store, writer.state.ledger, id);
    return { row, seq: stored.seq, receipt: asCorrected(entry.value.receipt, corrections) };
  }

  #receiptId(key: string): Uint8Array {
    return hmacSha256(this.#parts.secret, utf8("reported execution"), utf8(key)).slice(0, 16);
  }
}

const DEPTH_MAX = 32;

/** The first row of each key; the others wait, but for those that say the very same. */
function firstWords(rows: readonly Row[]): { now: Row[]; later: Row[]; same: [Row, Row][] } {
  const firsts = new Map<string, Row>();
  const [later, same]: [Row[], [Row, Row][]] = [[], []];
  for (const row of rows) {
    const first = firsts.get(row.key);
    if (first === undefined) firsts.set(row.key, row);
    else if (equalBytes(first.draft.bodyHash, row.draft.bodyHash)) same.push([row, first]);
    else later.push(row);
  }
  return { now: [...firsts.values()], later, same };
}

/** What becomes of a row that says the same as one before it in the same batch. */
function againOf(first: ReportedOutcome | undefined): ReportedOutcome {
  assert(first !== undefined, "the first word of a batch has an outcome");
  return first.outcome === "refused" ? first : { outcome: "known", receipt: first.receipt };
}

/** Each amendment once: the same again is known. */
function amendedKey({ draft }: Row): string {
  return JSON.stringify([draft.source, draft.id, toHex(draft.bodyHash)]);
}

function isAmending(row: Row, before: IdempotencyRow, known: ReadonlyMap<string, IdempotencyRow>): boolean {
  if (equalBytes(before.bodyHash, row.draft.bodyHash)) return false;
  return row.draft.isAmendment === true && !known.has(amendedKey(row));
}

function knownOf({ draft }: Row, before: IdempotencyRow): ReportedOutcome {
  const { receipt } = before;
  if (draft.isAmendment || isLaterWord(before) || equalBytes(before.bodyHash, draft.bodyHash))
    return { outcome: "known", receipt };
  return refused(
    refuse("conflict", "it was booked with other contents", {
      hint: "if this is a later word on it, send it again as an amendment",
    }),
  );
}

function refused({ error }: { readonly error: Extract<Result<never>, { ok: false }>["error"] }): ReportedOutcome {
  return { outcome: "refused", refusal: error };
}

/** What an amendment may not change, where it does. */
function whatMoved(
  draft: ReportedDraft,
  receipt: Receipt,
  account: Uint8Array | undefined,
  state: Writer["state"],
): string | undefined {
  if (account === undefined || !equalBytes(account, receipt.account)) return "payer";
  if (!equalBytes(draft.model, receipt.model)) return "model";
  return state.number(draft.operator) === receipt.operator ? undefined : "operator";
}

interface RowPlace {
  readonly row: Row;
  readonly parent: Row | undefined;
  readonly root: Row;
  readonly depth: number;
}

/**
 * Where each row stands among those of its batch, deepest first. What caused it is one of them, of the same source and account; a row whose cause is not
 * among them is a root. A circle is cut open, and a chain is cut where it is longer than is sensible.
 */
function placesOf(rows: readonly Row[]): RowPlace[] {
  const byKey = new Map(rows.map((row) => [row.key, row]));
  const places = new Map<Row, RowPlace>();
  const causeOf = ({ draft }: Row): Row | undefined => {
    const cause = draft.parent === undefined ? undefined : byKey.get(reportedKey(draft.source, draft.parent));
    return cause?.draft.account === draft.account ? cause : undefined;
  };
  for (const row of rows) {
    const trail: Row[] = [];
    let at: Row | undefined = row;
    while (at !== undefined && !places.has(at) && !trail.includes(at) && trail.length <= DEPTH_MAX) {
      trail.push(at);
      at = causeOf(at);
    }
    // A circle, or a chain that is too long: it is cut here.
    let above = at === undefined || trail.includes(at) ? undefined : places.get(at);
    for (const one of trail.toReversed()) {
      const isCut = above === undefined || above.depth >= DEPTH_MAX;
      const place: RowPlace = isCut
        ? { row: one, parent: undefined, root: one, depth: 0 }
        : { row: one, parent: above!.row, root: above!.root, depth: above!.depth + 1 };
      places.set(one, place);
      above = place;
    }
  }
  return [...places.values()].sort((a, b) => b.depth - a.depth);
}
