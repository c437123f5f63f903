import { toHex } from "../core/bytes.ts";
import { decodeEntry, type Entry } from "../core/entry.ts";
import { paidOutside } from "../core/move.ts";
import { splitPool } from "../core/pool.ts";
import { ownOf } from "../core/receipt.ts";
import { assert } from "../core/result.ts";
import { transferAmount, transferId } from "../core/transfer.ts";
import type { BookState } from "./bookState.ts";
import { keyOf } from "./keyOf.ts";
import type { Account, Statement, StatementLine, StatementQuery } from "./ledger.ts";
import { type PeriodBook, PeriodFold } from "./period.ts";
import type { LedgerStore } from "./ports.ts";

const LINES_DEFAULT = 1_000;

/**
 * Every credit and debit of a payee or an account, read from the journal and explained by it, newest first. `earners`: whose credits are the account's,
 * where it is linked to a payee.
 */
export async function statementOf(
  state: BookState,
  store: LedgerStore,
  query: StatementQuery,
  account: Account | undefined,
  earners: readonly number[],
): Promise<Statement> {
  const limit = query.limit ?? LINES_DEFAULT;
  const payees = new Set(query.payee === undefined ? earners : [state.number(query.payee) ?? 0]);
  const pseudonym = account === undefined ? undefined : keyOf(account.pseudonym);
  const lines: StatementLine[] = [];
  let total = 0n;
  let count = 0;
  const from = await firstSince(state, store, query.fromMs ?? 0);
  for await (const { bytes } of store.entries(state.ledger, from, state.size)) {
    const entry = decoded(bytes);
    if (query.untilMs !== undefined && entry.timeMs >= query.untilMs) break;
    for (const line of linesOf(state, entry, payees, pseudonym)) {
      total += BigInt(line.amount);
      count += 1;
      lines.push(line);
      if (lines.length > 2 * limit) lines.splice(0, limit);
    }
  }
  return { lines: lines.slice(-limit).reverse(), total, truncated: count > limit };
}

/** What everybody was credited and charged from `fromMs` to before `untilMs`, in one pass over those entries. */
export async function periodOf(
  state: BookState,
  store: LedgerStore,
  fromMs: number,
  untilMs: number,
): Promise<PeriodBook> {
  const [from, until] = [await firstSince(state, store, fromMs), await firstSince(state, store, untilMs)];
  const fold = new PeriodFold({
    ledger: state.ledger,
    payeeId: (number) => state.payee(number)?.id,
    pool: (number) => state.pool(number),
  });
  for await (const { bytes } of store.entries(state.ledger, from, until)) fold.add(bytes);
  return { from, until, parties: fold.parties() };
}

/** The first entry that is not older than this. Entries never go back in time, so it is found by halving. */
async function firstSince(state: BookState, store: LedgerStore, timeMs: number): Promise<number> {
  let [low, high] = [0, timeMs === 0 ? 0 : state.size];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if ((await timeOf(state, store, middle)) < timeMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

async function timeOf(state: BookState, store: LedgerStore, seq: number): Promise<number> {
  // What is not durable yet is younger than all that is.
  for await (const { bytes } of store.entries(state.ledger, seq, seq + 1)) return decoded(bytes).timeMs;
  return Number.POSITIVE_INFINITY;
}

function decoded(bytes: Uint8Array): Entry {
  const entry = decodeEntry(bytes);
  assert(entry.ok, "an entry of our own journal decodes");
  return entry.value;
}

function* linesOf(
  state: BookState,
  entry: Entry,
  payees: ReadonlySet<number>,
  pseudonym: string | undefined,
): Generator<StatementLine, void> {
  const { seq, timeMs } = entry;
  if (entry.kind === "receipt") {
    const { receipt } = entry;
    const id = toHex(receipt.id);
    for (const leg of receipt.legs) {
      if (payees.has(leg.payee))
        yield { seq, timeMs, kind: "earned", receipt: id, role: leg.role, weight: leg.weight, amount: leg.amount };
    }
    const spent = { seq, timeMs, kind: "spent", receipt: id, weight: 0 } as const;
    if (receipt.earned > 0 && payees.has(receipt.payerPayee))
      yield { ...spent, role: "earnings", amount: -receipt.earned };
    if (keyOf(receipt.account) === pseudonym)
      yield {
        ...spent,
        role: receipt.nesting.depth === 0 ? "payer" : "agent",
        amount: receipt.earned - ownOf(receipt),
      };
  } else if (entry.kind === "correction") {
    const { correction } = entry;
    const id = toHex(correction.receipt);
    for (const leg of correction.legs) {
      if (payees.has(leg.payee))
        yield { seq, timeMs, kind: "correction", receipt: id, role: leg.role, weight: leg.weight, amount: leg.amount };
    }
    if (correction.earned > 0 && payees.has(correction.payerPayee))
      yield { seq, timeMs, kind: "correction", receipt: id, role: "earnings", weight: 0, amount: correction.earned };
    if (keyOf(correction.account) === pseudonym)
      yield { seq, timeMs, kind: "correction", receipt: id, role: "payer", weight: 0, amount: correction.refund };
  } else if (entry.kind === "transfer") {
    const { transfer } = entry;
    const moved = { seq, timeMs, kind: "transfer", receipt: toHex(transferId(transfer)), weight: 0 } as const;
    for (const line of transfer.lines)
      if (payees.has(line.payee)) yield { ...moved, role: "balance", amount: line.amount };
    if (keyOf(transfer.account) === pseudonym) yield { ...moved, role: "payer", amount: -transferAmount(transfer) };
  } else if (entry.kind === "move") {
    const { lines, place } = entry.move;
    const paid = { seq, timeMs, kind: "paid", receipt: toHex(place.settlement), role: "outside", weight: 0 } as const;
    for (const line of lines)
      if (payees.has(line.payee)) for (const nano of paidOutside(line)) yield { ...paid, amount: -nano };
  } else if (entry.kind === "poolSplit") {
    const { split } = entry;
    const members = state.pool(split.pool)!;
    if (!members.some((member) => payees.has(member.payee))) return;
    const id = state.payee(split.pool)!.id;
    const parts = splitPool(state.ledger, split.epoch, id, { payee: split.pool, members }, split.amount);
    const pool = { seq, timeMs, kind: "pool", receipt: toHex(id), role: "pool" } as const;
    for (const [at, { payee, weight }] of members.entries())
      if (payees.has(payee)) yield { ...pool, weight, amount: parts[at]! };
  }
}
