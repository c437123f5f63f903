import type { AppendBatch } from "../ledger/ports.ts";

type Insert = [text: string, values: readonly unknown[]];

/** What a batch changes of organisations, and what it notes. */
export function organisationInserts({ ledger, organisations, audits }: AppendBatch): Insert[] {
  const list: Insert[] = [];
  for (const organisation of organisations) {
    list.push([
      "INSERT INTO ledger.organisation (ledger, id, organisation) VALUES ($1, $2, $3) ON CONFLICT (ledger, id) DO UPDATE SET organisation = excluded.organisation",
      [ledger, organisation.id, JSON.stringify(organisation)],
    ]);
  }
  for (const { log, number, hash, ...row } of audits) {
    list.push([
      "INSERT INTO ledger.audit (ledger, log, number, hash, row) VALUES ($1, $2, $3, $4, $5)",
      [ledger, log, number, hash, JSON.stringify(row)],
    ]);
  }
  return list;
}

/** What metered keys spent in a batch, as columns. */
export function spendingColumns(rows: AppendBatch["spending"]): readonly unknown[] {
  return [
    rows.map(({ day }) => day),
    rows.map(({ key }) => key),
    rows.map(({ nano }) => nano),
    rows.map(({ receipts }) => receipts),
    rows.map(({ tokens }) => tokens),
  ];
}
