import { type AuditHead, type AuditRow, auditHash, firstPrevious } from "./audit.ts";
import type { Batch } from "./batch.ts";

type Act = Omit<AuditRow, "number" | "previous" | "hash" | "timeMs">;

/** The ends of all logs, to which acts are added. */
export class AuditTrail {
  readonly #heads = new Map<string, { readonly number: number; readonly hash: string }>();

  constructor(heads: readonly AuditHead[]) {
    for (const { log, number, hash } of heads) this.#heads.set(log, { number, hash });
  }

  /** In the batch of what was done: both are durable, or neither. */
  add(batch: Batch, act: Act): void {
    const head = this.#heads.get(act.log) ?? { number: 0, hash: firstPrevious };
    const row = { ...act, number: head.number + 1, timeMs: batch.timeMs, previous: head.hash };
    const hash = auditHash(row);
    this.#heads.set(act.log, { number: row.number, hash });
    batch.audits.push({ ...row, hash });
  }
}
