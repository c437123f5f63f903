import { toHex, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";

/** The log of what is done to the node itself. */
export const NODE_LOG = "node";

/** One administrative act. A log is a chain: each row's hash is over the row and the hash before it, so that none can be changed or left out unseen. */
export interface AuditRow {
  /** An organisation's id, or {@link NODE_LOG}. */
  readonly log: string;
  /** Counts from 1 without gaps. */
  readonly number: number;
  readonly timeMs: number;
  readonly request: string;
  /** The key that acted, and the member it belongs to; empty where there is none. */
  readonly key: string;
  readonly member: string;
  readonly action: string;
  /** What it was done to. */
  readonly target: string;
  /** JSON, or empty. Never a secret. */
  readonly before: string;
  readonly after: string;
  /** Hex of 32 bytes; of the first row's predecessor, zeros. */
  readonly previous: string;
  readonly hash: string;
}

export type AuditHead = Pick<AuditRow, "log" | "number" | "hash">;

/** What the first row of a log follows. */
export const firstPrevious = toHex(new Uint8Array(32));

/** Over the fields in their order, each with its length: no two rows have the same bytes. */
export function auditHash(row: Omit<AuditRow, "hash">): string {
  const { previous, log, number, timeMs, request, key, member, action, target, before, after } = row;
  const fields = [previous, log, String(number), String(timeMs), request, key, member, action, target, before, after];
  return toHex(sha256(utf8(fields.map((field) => `${Buffer.byteLength(field)}:${field}`).join(""))));
}

/** The number of the first row that does not follow from the one before it; undefined where all do. `before` is the hash that the first follows. */
export function firstBroken(rows: readonly AuditRow[], before: string | undefined): number | undefined {
  let previous = before ?? firstPrevious;
  let number = rows[0]?.number ?? 1;
  if (before === undefined && number !== 1) return number;
  for (const row of rows) {
    if (row.number !== number || row.previous !== previous || auditHash(row) !== row.hash) return row.number;
    previous = row.hash;
    number += 1;
  }
  return undefined;
}
