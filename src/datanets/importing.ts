import { ok, type Refusal, type Result } from "../core/result.ts";
import type { RecordContent } from "./record.ts";

/**
 * What every importer yields: groups of records that make one contribution each, what was left out and why, and how far it has come.
 * A refusal ends the import; what a single file does wrong is left out and never ends it.
 */
export interface ImportedGroup {
  /** What these records are: a package, a repository, a file. */
  readonly label: string;
  /** SPDX expression that covers every record of the group. */
  readonly licence: string;
  readonly records: readonly RecordContent[];
  /** Documents that say what they are called and what they build on, by the places of their records. */
  readonly documents?: readonly DraftDocument[];
}

/** A document as others cite it, its records named by their places. */
export interface DraftDocument {
  readonly id: string;
  readonly records: readonly number[];
  readonly cites: readonly string[];
}

export interface LeftOut {
  readonly what: string;
  readonly reason: string;
}

export type ImportEvent =
  | { readonly kind: "group"; readonly group: ImportedGroup }
  | ({ readonly kind: "leftOut" } & LeftOut)
  | { readonly kind: "progress"; readonly done: number; readonly total: number | null; readonly label: string }
  | { readonly kind: "refused"; readonly refusal: Refusal };

export type Import = AsyncGenerator<ImportEvent, void, undefined>;

export interface ImportLimits {
  readonly fileBytesMax: number;
  readonly filesMax: number;
  /** Over all files of the import. */
  readonly totalBytesMax: number;
}

export const importLimits: ImportLimits = {
  fileBytesMax: 2 * 1024 * 1024,
  filesMax: 20_000,
  totalBytesMax: 512 * 1024 * 1024,
};

export interface ImportReport {
  readonly groups: readonly ImportedGroup[];
  readonly leftOut: readonly LeftOut[];
  readonly records: number;
}

export type Progress = (done: number, total: number | null, label: string) => void;

/** Runs an import to its end. */
export async function collectImport(
  events: Import,
  onProgress: Progress = () => undefined,
): Promise<Result<ImportReport>> {
  const groups: ImportedGroup[] = [];
  const leftOut: LeftOut[] = [];
  for await (const event of events) {
    if (event.kind === "refused") return { ok: false, error: event.refusal };
    if (event.kind === "group") groups.push(event.group);
    if (event.kind === "leftOut") leftOut.push({ what: event.what, reason: event.reason });
    if (event.kind === "progress") onProgress(event.done, event.total, event.label);
  }
  return ok({ groups, leftOut, records: groups.reduce((sum, group) => sum + group.records.length, 0) });
}
