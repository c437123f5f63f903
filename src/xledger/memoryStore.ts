import { toHex } from "../core/bytes.ts";
import { decodeEntry } from "../core/entry.ts";
import { ok, refuse } from "../core/result.ts";
import type { AppendBatch, LedgerStore } from "./ports.ts";

export function memoryStore(): LedgerStore {
  let term = 0;
  const rows: AppendBatch[] = [];
  const entries = () => rows.flatMap((row) => row.entries);
  return {
    async takeOver() {
      term += 1;
      const all = entries();
      return ok({ term, lastSeq: all.length - 1, accounts: rows.flatMap((r) => r.accounts), keys: rows.flatMap((r) => r.keys),
        movements: rows.flatMap((r) => r.movements).map((m) => ({ kind: m.kind, party: m.party, amount: BigInt(m.amount) })),
        epochMarks: rows.flatMap((r) => r.epochMarks),
        epochEnds: all.flatMap((e) => { const d = decodeEntry(e.bytes); return d.ok && d.value.kind === "epoch" ? [d.value.epoch.end] : []; }),
        checkpoint: rows.findLast((r) => r.checkpoint !== undefined)?.checkpoint });
    },
    async append(batch) {
      if (batch.term !== term) return refuse("writer_fenced", "a newer writer has the ledger");
      rows.push(batch);
      return ok(undefined);
    },
    async lastSeq() { return ok(entries().length - 1); },
    async *entries(_ledger, from, until) { for (const { seq, bytes } of entries().slice(from, until)) yield { seq, bytes }; },
    async receipt(_ledger, id) {
      const row = entries().find((e) => e.receipt !== undefined && toHex(e.receipt) === toHex(id));
      const opening = rows.flatMap((r) => r.openings).find((o) => toHex(o.receipt) === toHex(id))?.opening;
      return row === undefined ? undefined : { seq: row.seq, bytes: row.bytes, opening };
    },
    async receipts(_ledger, query) { return entries().filter((e) => e.kind === 6 && e.seq < query.beforeSeq).reverse().slice(0, query.limit); },
    async idempotency(_ledger, account, key) { return rows.flatMap((r) => r.idempotency).find((i) => i.account === account && i.key === key); },
    async hasMovement(_ledger, reference) { return rows.some((r) => r.movements.some((m) => m.reference === reference)); },
    async epochLeaves(_ledger, epoch) { return rows.flatMap((r) => r.epochLeaves).find((l) => l.epoch === epoch); },
  };
}
