import type { RefusalCode } from "../core/result.ts";

/** Requests of an account that were refused for one reason, between two looks. */
export interface RefusedRequests {
  readonly account: string;
  readonly code: RefusalCode;
  readonly count: number;
  /** Of the first of them. */
  readonly message: string;
  readonly fromMs: number;
  readonly untilMs: number;
}

/** Accounts and reasons that are kept apart between two looks; what comes beyond is not told of. */
const REASONS_MAX = 10_000;

/** Counts refusals, since writing each down would make a flood of them dear to us and cheap to whoever sends it. */
export class RefusalTally {
  #rows = new Map<string, RefusedRequests>();

  add(account: string, code: RefusalCode, message: string, nowMs: number): void {
    const place = `${account} ${code}`;
    const known = this.#rows.get(place);
    if (known !== undefined) this.#rows.set(place, { ...known, count: known.count + 1, untilMs: nowMs });
    else if (this.#rows.size < REASONS_MAX)
      this.#rows.set(place, { account, code, count: 1, message: message.slice(0, 300), fromMs: nowMs, untilMs: nowMs });
  }

  /** Rows that were taken and could not be told of. */
  putBack(rows: readonly RefusedRequests[]): void {
    for (const row of rows) {
      const place = `${row.account} ${row.code}`;
      const later = this.#rows.get(place);
      this.#rows.set(place, {
        ...{ ...row, count: row.count + (later?.count ?? 0), untilMs: later?.untilMs ?? row.untilMs },
      });
    }
  }

  /** What was counted since the last time. */
  take(): readonly RefusedRequests[] {
    const rows = [...this.#rows.values()];
    this.#rows = new Map();
    return rows;
  }
}
