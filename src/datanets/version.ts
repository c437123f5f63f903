import { fromHex, type Hex, toHex } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { leafHash, rootOf } from "../core/merkle.ts";
import { PackedWriter } from "../core/packed.ts";
import { assert, ok, type Result, refuse } from "../core/result.ts";
import type { Contribution } from "./contribution.ts";
import type { Datanet } from "./datanet.ts";
import { DuplicateIndex } from "./duplicates.ts";
import { type DatanetRecord, type RecordRef, recordLeaf } from "./record.ts";

/**
 * A version of a datanet: what was approved, frozen. Records stand in order of registration, each near-duplicate cluster as its first registered.
 * The content root is the RFC 6962 tree over {@link recordLeaf}, so that membership of one record is proved by a path.
 */
export interface DatanetVersion {
  /** SHA-256 over everything below but the time: see {@link versionId}. */
  readonly id: Hex;
  readonly datanet: string;
  readonly datanetId: Hex;
  /** From 1, without gaps. */
  readonly number: number;
  /** Id of the version before; null for the first. */
  readonly parent: Hex | null;
  readonly contentRoot: Hex;
  /** Id of the context asset that structured the records. */
  readonly context: Hex;
  readonly records: readonly RecordRef[];
  /** Approved, but standing behind an earlier record that they repeat. */
  readonly duplicates: readonly DuplicateRef[];
  /** Approved contributions in order of registration. */
  readonly contributions: readonly Hex[];
  /** What was added to its records, in order; left out where nothing was. The context commits to it. */
  readonly annotations?: readonly Hex[];
  readonly createdMs: number;
}

export interface DuplicateRef extends RecordRef {
  /** Id of the record that stands for it. */
  readonly of: Hex;
}

export interface VersionDraft {
  readonly datanet: Datanet;
  readonly previous: DatanetVersion | undefined;
  readonly context: Hex;
  readonly annotations?: readonly Hex[];
  /** Approved, in order of registration, with their records in order. */
  readonly approved: readonly { readonly contribution: Contribution; readonly records: readonly DatanetRecord[] }[];
  readonly timeMs: number;
}

export interface BuiltVersion {
  readonly version: DatanetVersion;
  /** In the version's order. */
  readonly records: readonly DatanetRecord[];
}

/** Refuses a version without records, and one that changes nothing. */
export function buildVersion(draft: VersionDraft): Result<BuiltVersion> {
  const { datanet, previous, context, approved } = draft;
  const clusters = new DuplicateIndex();
  const all: DatanetRecord[] = [];
  const records: DatanetRecord[] = [];
  const duplicates: DuplicateRef[] = [];
  for (const { contribution, records: own } of approved) {
    assert(contribution.status === "approved", "a version holds approved contributions only");
    for (const record of own) {
      const first = clusters.add(record.text);
      all.push(record);
      if (first === all.length - 1) records.push(record);
      else duplicates.push({ id: record.id, contributionId: record.contributionId, of: all[first]!.id });
    }
  }
  if (records.length === 0) {
    return refuse("rule_violated", `datanet ${datanet.name} has no approved records`, {
      hint: "approve a contribution first",
    });
  }
  const refs = records.map(({ id, contributionId }) => ({ id, contributionId }));
  const body = {
    datanet: datanet.name,
    datanetId: datanet.id,
    number: (previous?.number ?? 0) + 1,
    parent: previous?.id ?? null,
    contentRoot: contentRoot(refs),
    context,
    records: refs,
    duplicates,
    contributions: approved.map(({ contribution }) => contribution.id),
    ...(draft.annotations === undefined ? {} : { annotations: draft.annotations }),
    createdMs: draft.timeMs,
  };
  if (previous !== undefined && previous.contentRoot === body.contentRoot && previous.context === context) {
    return refuse("conflict", `nothing has changed since version ${previous.number} of ${datanet.name}`);
  }
  return ok({ version: { id: versionId(body), ...body }, records });
}

/** RFC 6962 SHA-256 root over the records' leaves, in order: 32 bytes. */
export function contentRoot(records: readonly RecordRef[]): Hex {
  return toHex(rootOf(records.map((record) => leafHash(recordLeaf(record)))));
}

/** SHA-256(u8 1 ‖ bytes32 datanet ‖ u32 number ‖ bytes32 parent or zero ‖ bytes32 content root ‖ u32 records ‖ bytes32 context ‖ bytes32 duplicates root). */
export function versionId(version: Omit<DatanetVersion, "id">): Hex {
  const packed = new PackedWriter(1 + 32 + 4 + 32 + 32 + 4 + 32 + 32)
    .u8(1)
    .raw(fromHex(version.datanetId), 32)
    .u32(version.number)
    .raw(version.parent === null ? new Uint8Array(32) : fromHex(version.parent), 32)
    .raw(fromHex(version.contentRoot), 32)
    .u32(version.records.length)
    .raw(fromHex(version.context), 32)
    .raw(duplicatesRoot(version.duplicates), 32);
  return toHex(sha256(packed.finish()));
}

/** What changed from one version's records to another's. Same text elsewhere, or by other hands, is moved; order within a version is not a change. */
export interface VersionDiff {
  readonly added: readonly Hex[];
  readonly removed: readonly Hex[];
  readonly moved: readonly { readonly from: Hex; readonly to: Hex }[];
  readonly unchanged: number;
}

export function diffVersions(from: readonly DatanetRecord[], to: readonly DatanetRecord[]): VersionDiff {
  const [before, after] = [new Set(from.map(({ id }) => id)), new Set(to.map(({ id }) => id))];
  const gone = new Map<string, DatanetRecord[]>();
  for (const record of from) {
    if (after.has(record.id)) continue;
    const same = gone.get(record.text);
    if (same === undefined) gone.set(record.text, [record]);
    else same.push(record);
  }
  const [added, moved] = [[] as Hex[], [] as { from: Hex; to: Hex }[]];
  for (const record of to) {
    if (before.has(record.id)) continue;
    const origin = gone.get(record.text)?.shift();
    if (origin === undefined) added.push(record.id);
    else moved.push({ from: origin.id, to: record.id });
  }
  const removed = [...gone.values()].flat().map(({ id }) => id);
  return { added, removed, moved, unchanged: to.length - added.length - moved.length };
}

function duplicatesRoot(duplicates: readonly DuplicateRef[]): Uint8Array {
  return rootOf(
    duplicates.map((duplicate) =>
      leafHash(new PackedWriter(97).raw(recordLeaf(duplicate), 65).raw(fromHex(duplicate.of), 32).finish()),
    ),
  );
}
