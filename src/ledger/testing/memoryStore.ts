import { equalBytes } from "../../core/bytes.ts";
import { decodeEntry } from "../../core/entry.ts";
import { ok, refuse } from "../../core/result.ts";
import type { Spending } from "../ledger.ts";
import type { AppendBatch, LedgerStore } from "../ports.ts";

/** A ledger store in memory, for tests: it forgets everything with the process. */
export function memoryStore(): LedgerStore {
  let term = 0;
  const batches: AppendBatch[] = [];
  const entries = () => batches.flatMap((batch) => batch.entries);
  const reportedRows = () =>
    batches.flatMap((batch) => batch.idempotency).filter(({ account }) => account === "reported");
  return {
    takeOver: async () => {
      term += 1;
      const all = entries();
      const checkpoint = batches.findLast((batch) => batch.checkpoint !== undefined)?.checkpoint;
      return ok({
        ...{ term, lastSeq: all.length - 1, checkpoint },
        accounts: batches.flatMap((batch) => batch.accounts),
        keys: batches.flatMap((batch) => batch.keys),
        movements: batches.flatMap((batch) => batch.movements.map((row) => ({ ...row, amount: BigInt(row.amount) }))),
        organisations: lastOf(
          batches.flatMap((batch) => batch.organisations),
          ({ id }) => id,
        ),
        auditHeads: lastOf(
          batches.flatMap((batch) => batch.audits),
          ({ log }) => log,
        ).map(({ log, number, hash }) => ({ log, number, hash })),
        epochMarks: batches.flatMap((batch) => batch.epochMarks),
        epochEnds: all.flatMap(({ bytes }) => epochEnd(bytes)),
      });
    },
    append: async (batch) => {
      if (batch.term !== term) return refuse("writer_fenced", "a newer writer has the ledger");
      batches.push(batch);
      return ok(undefined);
    },
    settle: async (batch) => {
      if (batches.includes(batch)) return ok("written");
      if ((batch.entries[0]?.seq ?? 0) > entries().length) return refuse("data_folder_damaged", "set back");
      return batch.term === term ? ok("absent") : refuse("writer_fenced", "a newer writer has the ledger");
    },
    entries: async function* (_ledger, from, until) {
      yield* entries().slice(from, until);
    },
    receipt: async (_ledger, id) => {
      const row = entries().find(
        (entry) => entry.kind === 6 && entry.receipt !== undefined && equalBytes(entry.receipt, id),
      );
      const opening = batches
        .flatMap((batch) => batch.openings)
        .find(({ receipt }) => equalBytes(receipt, id))?.opening;
      if (row === undefined) return undefined;
      return { seq: row.seq, bytes: row.bytes, opening };
    },
    receipts: async (_ledger, { beforeSeq, limit, pseudonym }) =>
      entries()
        .filter((entry) => entry.kind === 6 && entry.seq < beforeSeq)
        .filter(({ bytes }) => pseudonym === undefined || equalBytes(bytes.subarray(164, 180), pseudonym))
        .toReversed()
        .slice(0, limit),
    idempotency: async (_ledger, account, key) =>
      batches.flatMap((batch) => batch.idempotency).find((row) => row.account === account && row.key === key),
    idempotencies: async (_ledger, account, keys) => {
      const wanted = new Set(keys);
      return batches
        .flatMap((batch) => batch.idempotency)
        .filter((row) => row.account === account && wanted.has(row.key));
    },
    reported: async (_ledger, receipt) => reportedRows().filter((row) => equalBytes(row.receipt, receipt)),
    caused: async (_ledger, responses) =>
      reportedRows()
        .filter(({ response }) => response !== undefined && responses.includes(response))
        .sort((a, b) => (a.key < b.key ? -1 : 1))
        .slice(0, 200),
    movement: async (_ledger, reference) =>
      batches.flatMap((batch) => batch.movements).find((row) => row.reference === reference),
    corrections: async (_ledger, receipt) =>
      entries().filter(
        (entry) => entry.kind === 9 && entry.receipt !== undefined && equalBytes(entry.receipt, receipt),
      ),
    epochLeaves: async (_ledger, epoch) =>
      batches.flatMap((batch) => batch.epochLeaves).find((row) => row.epoch === epoch),
    spending: async (_ledger, from, until) =>
      summed(batches.flatMap((batch) => batch.spending)).filter(({ day }) => day >= from && day < until),
    audits: async (_ledger, log, { after, limit }) =>
      batches
        .flatMap((batch) => batch.audits)
        .filter((row) => row.log === log && row.number > after)
        .slice(0, limit),
  };
}

/** The last of each name, in the order in which the names came. */
function lastOf<T>(rows: readonly T[], nameOf: (row: T) => string): T[] {
  return [...new Map(rows.map((row) => [nameOf(row), row])).values()];
}

function summed(rows: readonly Spending[]): Spending[] {
  const sums = new Map<string, Spending>();
  for (const row of rows) {
    const place = `${String(row.day).padStart(9)} ${row.key}`;
    const { nano, receipts, tokens } = sums.get(place) ?? { nano: 0, receipts: 0, tokens: 0 };
    const sum = { nano: nano + row.nano, receipts: receipts + row.receipts, tokens: tokens + row.tokens };
    sums.set(place, { day: row.day, key: row.key, ...sum });
  }
  return [...sums].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
}

function epochEnd(bytes: Uint8Array): number[] {
  const entry = decodeEntry(bytes);
  return entry.ok && entry.value.kind === "epoch" ? [entry.value.epoch.end] : [];
}
