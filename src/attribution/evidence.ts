import { compareBytes, concat } from "../core/bytes.ts";
import { keccak256 } from "../core/hash.ts";
import { PackedReader, PackedWriter } from "../core/packed.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { CharRange } from "../models/bpe.ts";

/** Why a contribution is credited. The position in the list is the code in the packed form. */
export const evidenceKinds = ["span", "passage", "influence", "lineage", "prior"] as const;
export type EvidenceKind = (typeof evidenceKinds)[number];

export interface Evidence {
  readonly kind: EvidenceKind;
  /** 32-byte id of the credited record, and its number in the index. */
  readonly record: Uint8Array;
  readonly recordNumber: number;
  /** Where in the output, in UTF-16 code units. */
  readonly output: CharRange;
  /** Where in the credited record, in UTF-16 code units; empty where only a near-duplicate of it holds the text. */
  readonly source: CharRange;
  /** Whole units of 1/256 bit of the output that this explains; no unit is counted twice. */
  readonly weight: number;
}

/** A way to find evidence: the number of the version changes whenever the same input would give other evidence. */
export interface Method {
  /** Printable ASCII without spaces. */
  readonly id: string;
  readonly version: number;
}

const EVIDENCE_ITEM_BYTES = 53;
const EVIDENCE_VERSION = 1;

/**
 * The evidence of one output: u8 version, u32 total units of the output, u32 count, then items of 53 bytes in ascending order of their
 * bytes: u8 kind, bytes32 record, u32 output from, until, u32 source from, until, u32 weight.
 */
export function packEvidence(evidence: readonly Evidence[], totalUnits: number): Uint8Array {
  const items = evidence.map(packItem).sort(compareBytes);
  const head = new PackedWriter(9).u8(EVIDENCE_VERSION).u32(totalUnits).u32(items.length).finish();
  return concat(head, ...items);
}

/** Reads {@link packEvidence}; refuses `invalid_request`. `numberOf` gives a record's number in the index, or undefined. */
export function parseEvidence(
  bytes: Uint8Array,
  numberOf: (record: Uint8Array) => number | undefined,
): Result<{ evidence: Evidence[]; totalUnits: number }> {
  const reader = new PackedReader(bytes);
  const version = reader.u8();
  const totalUnits = reader.u32();
  const count = reader.u32();
  if (version !== EVIDENCE_VERSION || bytes.length !== 9 + count * EVIDENCE_ITEM_BYTES)
    return refuse("invalid_request", "This is not packed evidence of version 1.");
  const evidence: Evidence[] = [];
  for (let i = 0; i < count; i++) {
    const kind = evidenceKinds[reader.u8()];
    const record = reader.raw(32);
    const recordNumber = numberOf(record);
    const output = { from: reader.u32(), until: reader.u32() };
    const source = { from: reader.u32(), until: reader.u32() };
    const weight = reader.u32();
    if (kind === undefined || recordNumber === undefined || output.from > output.until || source.from > source.until)
      return refuse("invalid_request", `Item ${i} of the packed evidence is not valid for this index.`);
    evidence.push({ kind, record, recordNumber, output, source, weight });
  }
  return reader.isWhole ? ok({ evidence, totalUnits }) : refuse("invalid_request", "The packed evidence is cut short.");
}

/** keccak256 of {@link packEvidence}: what a receipt holds. */
export function evidenceRoot(evidence: readonly Evidence[], totalUnits: number): Uint8Array {
  return keccak256(packEvidence(evidence, totalUnits));
}

/** One item of {@link packEvidence}: 53 bytes. */
export function packItem(item: Evidence): Uint8Array {
  return new PackedWriter(EVIDENCE_ITEM_BYTES)
    .u8(evidenceKinds.indexOf(item.kind))
    .raw(item.record, 32)
    .u32(item.output.from)
    .u32(item.output.until)
    .u32(item.source.from)
    .u32(item.source.until)
    .u32(item.weight)
    .finish();
}
