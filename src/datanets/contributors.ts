import { utf8 } from "../core/bytes.ts";
import type { RecordContent } from "./record.ts";

/** Who is in a set of records, for screens; and how a datanet's prior is weighted over them. */
export interface Contributor {
  readonly identity: string;
  /** Every name that records give this identity, most frequent first. */
  readonly names: readonly string[];
  readonly records: number;
  /** UTF-8 bytes of their texts; a text by several counts in full for each. */
  readonly bytes: number;
}

/** By bytes, most first; equal bytes by identity. */
export function contributorsOf(records: Iterable<RecordContent>): Contributor[] {
  const found = new Map<string, { names: Map<string, number>; records: number; bytes: number }>();
  for (const record of records) {
    const bytes = utf8(record.text).length;
    for (const { identity, name } of record.authors) {
      const entry = found.get(identity) ?? { names: new Map<string, number>(), records: 0, bytes: 0 };
      entry.names.set(name, (entry.names.get(name) ?? 0) + 1);
      entry.records++;
      entry.bytes += bytes;
      found.set(identity, entry);
    }
  }
  return [...found]
    .map(([identity, { names, records, bytes }]) => ({
      identity,
      names: [...names].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1)).map(([name]) => name),
      records,
      bytes,
    }))
    .sort((a, b) => b.bytes - a.bytes || (a.identity < b.identity ? -1 : 1));
}

export interface PriorWeight {
  readonly identity: string;
  /** Whole, at least 1. */
  readonly weight: number;
}

/** The weights of a prior pool sum to at most this and one for each member, which stays below 2^32. */
export const PRIOR_TOTAL = 1_000_000_000;

/**
 * Weights of a datanet's prior pool from trailing measured evidence: what each identity was credited for spans, passages or influence, in nano.
 * Never from record counts, which anybody can raise. Only identities of this version count. Without any evidence the list is empty: there is no
 * prior pool yet, and what cannot be attributed goes to the reserve.
 */
export function priorWeights(
  contributors: readonly Contributor[],
  evidenceNano: ReadonlyMap<string, bigint>,
): PriorWeight[] {
  const measured = contributors
    .map(({ identity }) => ({ identity, nano: evidenceNano.get(identity) ?? 0n }))
    .filter(({ nano }) => nano > 0n);
  const total = measured.reduce((sum, { nano }) => sum + nano, 0n);
  return measured
    .map(({ identity, nano }) => ({ identity, weight: Math.max(1, Number((nano * BigInt(PRIOR_TOTAL)) / total)) }))
    .sort((a, b) => (a.identity < b.identity ? -1 : 1));
}
