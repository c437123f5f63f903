import { documentFormat, documentRecords } from "./document.ts";
import { ByteBudget, isLeftOut, listFiles, openFolder, readText } from "./importFiles.ts";
import { type Import, type ImportLimits, importLimits } from "./importing.ts";
import { electLicence } from "./licence.ts";
import type { Author, RecordContent } from "./record.ts";

/** The documents of a folder by one author under one licence: what somebody has on disk and wants to contribute. One group. */
export interface FolderImport {
  readonly folder: string;
  /** SPDX expression; a folder cannot say it for itself. */
  readonly licence: string;
  readonly authors: readonly Author[];
  /** What the records' source starts with, for example `repo@commit`; undefined: the label. */
  readonly source?: string;
  readonly label: string;
  /** ISO 8601 for every record; undefined: none. */
  readonly date?: string;
  readonly limits?: ImportLimits;
  readonly licences?: readonly string[];
  /** Also source code, not documents only. */
  readonly withCode?: boolean;
}

export async function* importFolder(options: FolderImport): Import {
  const limits = options.limits ?? importLimits;
  const root = await openFolder(options.folder);
  if (!root.ok) return yield { kind: "refused", refusal: root.error };
  const licence = electLicence(options.licence, options.licences);
  if (!licence.ok) return yield { kind: "refused", refusal: licence.error };
  const accept = (path: string) => {
    const format = documentFormat(path);
    return format !== undefined && (format !== "code" || options.withCode === true);
  };
  const { paths, isCut } = await listFiles(root.value, accept, limits.filesMax);
  if (isCut)
    yield { kind: "leftOut", what: options.label, reason: `the import is limited to ${limits.filesMax} files` };
  const budget = new ByteBudget(limits.totalBytesMax);
  const records: RecordContent[] = [];
  for (const [done, path] of paths.entries()) {
    yield { kind: "progress", done, total: paths.length, label: path };
    const found = await readText(root.value, path, limits, budget);
    if (isLeftOut(found)) {
      yield { kind: "leftOut", what: path, reason: found.reason };
      continue;
    }
    const source = `${options.source ?? options.label} ${path}`;
    const date = options.date ?? null;
    records.push(
      ...documentRecords({ path, text: found.text, source, licence: licence.value, date, authors: options.authors }),
    );
  }
  if (records.length > 0) yield { kind: "group", group: { label: options.label, licence: licence.value, records } };
  yield { kind: "progress", done: paths.length, total: paths.length, label: "" };
}
