import type { ExecutionRow } from "../protocol/executions.ts";

const REASONS_MAX = 20;
const ROWS_NAMED = 3;

/** What a person is told of refused rows: each reason once, with the first rows that it is of. `total` also counts those that were not kept. */
export function refusedLines(refused: readonly ExecutionRow[], total: number): string[] {
  const byReason = new Map<string, number[]>();
  for (const { row, reason = "", hint } of refused) {
    const text = hint === undefined ? reason : `${reason} – ${hint}`;
    byReason.set(text, [...(byReason.get(text) ?? []), row]);
  }
  const shown = [...byReason].slice(0, REASONS_MAX);
  const lines = shown.map(([text, rows]) => `${rowsText(rows)}: ${text}`);
  const left = total - shown.reduce((sum, [, rows]) => sum + rows.length, 0);
  return left > 0 ? [...lines, `and ${left} more`] : lines;
}

function rowsText(rows: readonly number[]): string {
  if (rows.length === 1) return `row ${rows[0]}`;
  const named = rows.slice(0, ROWS_NAMED).join(", ");
  return rows.length > ROWS_NAMED ? `${rows.length} rows, ${named} …` : `rows ${named}`;
}
