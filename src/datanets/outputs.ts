import type { Hex } from "../core/bytes.ts";
import { shinglesOf } from "./shingles.ts";

/**
 * Earlier answers, remembered so that a contribution that repeats one is recognised. Of an answer only the hashes of its five-word shingles are kept: enough to
 * compare, not to read.
 */
export interface Output {
  /** 16 bytes of hex. */
  readonly receipt: Hex;
  readonly timeMs: number;
  readonly expiresMs: number;
  /** Ascending hashes of its shingles, at most {@link SKETCH_MAX}: the smallest. */
  readonly sketch: Uint32Array;
}

export interface OutputStore {
  /** Those that are there already are left as they are. */
  remember(outputs: readonly Output[]): Promise<void>;
  /** Given before `beforeMs` and not expired at `nowMs`, sharing an anchor; those with the most first, of equals the earlier; at most `limit`. */
  sharing(
    anchors: readonly number[],
    query: { readonly beforeMs: number; readonly nowMs: number; readonly limit: number },
  ): Promise<readonly Output[]>;
  output(receipt: Hex): Promise<Output | undefined>;
  /** Those of some receipts that are not remembered, in their order. */
  missing(receipts: readonly Hex[]): Promise<readonly Hex[]>;
  /** Forgets what has expired, and the oldest beyond `countMax`. Returns how many. */
  forget(query: { readonly nowMs: number; readonly countMax: number }): Promise<number>;
}

/** That a record repeats an earlier answer, as it stands in its contribution. */
export interface RecordLineage {
  readonly record: Hex;
  /** 16 bytes of hex. */
  readonly receipt: Hex;
  /** Which part of the record: PPM. The parts of one record sum to at most 10^6. */
  readonly partPpm: number;
  /** Said by whoever put it in; otherwise found. */
  readonly isDeclared: boolean;
}

/** Fewer shingles are a phrase that anybody may say. */
export const SHINGLES_MIN = 12;
const SKETCH_MAX = 8_192;
/** One shingle in so many is an anchor, by which answers are looked up: a text of 40 words misses all with probability 0.75^36. */
const ANCHOR_EVERY = 4;
const ANCHORS_MAX = 512;
/** Answers that are compared with one record. */
const CANDIDATES_MAX = 32;
const PPM = 1_000_000;

/** An answer's hashes; undefined for one that is too short to be anybody's. */
export function sketchOf(text: string): Uint32Array | undefined {
  const shingles = shinglesOf(text);
  return shingles.length < SHINGLES_MIN ? undefined : shingles.slice(0, SKETCH_MAX);
}

/** Ascending. Chosen by their value, so that two texts with a stretch in common have its anchors in common (Broder 1997, fingerprints 0 mod m). */
export function anchorsOf(sketch: Uint32Array): number[] {
  const anchors: number[] = [];
  for (const shingle of sketch) {
    if (shingle % ANCHOR_EVERY === 0) anchors.push(shingle);
    if (anchors.length === ANCHORS_MAX) break;
  }
  return anchors;
}

export interface LineageQuery {
  /** When the contribution is put in: answers from then on repeat it, and not the other way about. */
  readonly timeMs: number;
  /** Smaller parts of a record are common phrases: PPM. */
  readonly partMinPpm: number;
  /** Receipts that the contributor says its records come from. */
  readonly declared: readonly Hex[];
}

/**
 * Which earlier answers each record repeats, earliest first: a shingle is the answer's that said it first. What nobody found is divided over the declared answers that
 * were not found, in equal parts: they are taken at their word, since it costs whoever gives it.
 */
export async function findLineage(
  store: OutputStore,
  records: readonly { readonly id: Hex; readonly text: string }[],
  { timeMs, partMinPpm, declared }: LineageQuery,
): Promise<RecordLineage[]> {
  const lineage: RecordLineage[] = [];
  for (const { id, text } of records) {
    const sketch = sketchOf(text);
    const found = sketch === undefined ? [] : await candidatesOf(store, sketch, declared, timeMs);
    const parts = sketch === undefined ? new Map<Hex, number>() : repeatedParts(sketch, found, partMinPpm);
    const silent = declared.filter((receipt) => !parts.has(receipt));
    const left = PPM - [...parts.values()].reduce((sum, part) => sum + part, 0);
    for (const receipt of silent) parts.set(receipt, Math.floor(left / silent.length));
    for (const [receipt, partPpm] of parts)
      if (partPpm > 0) lineage.push({ record: id, receipt, partPpm, isDeclared: declared.includes(receipt) });
  }
  return lineage;
}

async function candidatesOf(
  store: OutputStore,
  sketch: Uint32Array,
  declared: readonly Hex[],
  timeMs: number,
): Promise<Output[]> {
  const query = { beforeMs: timeMs, nowMs: timeMs, limit: CANDIDATES_MAX };
  const candidates = new Map<Hex, Output>();
  for (const output of await store.sharing(anchorsOf(sketch), query)) candidates.set(output.receipt, output);
  for (const receipt of declared) {
    const output = candidates.get(receipt) ?? (await store.output(receipt));
    if (output !== undefined && output.timeMs < timeMs) candidates.set(receipt, output);
  }
  return [...candidates.values()].sort((a, b) => a.timeMs - b.timeMs || (a.receipt < b.receipt ? -1 : 1));
}

/** The part of a record's shingles that each answer said first, where it is no common phrase. Millionths. */
function repeatedParts(sketch: Uint32Array, earliestFirst: readonly Output[], partMinPpm: number): Map<Hex, number> {
  const free = new Set(sketch);
  const parts = new Map<Hex, number>();
  for (const { receipt, sketch: said } of earliestFirst) {
    const shared = [...said].filter((shingle) => free.has(shingle));
    const partPpm = Math.floor((PPM * shared.length) / sketch.length);
    if (shared.length < SHINGLES_MIN || partPpm < partMinPpm) continue;
    for (const shingle of shared) free.delete(shingle);
    parts.set(receipt, partPpm);
  }
  return parts;
}
