import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import path from "node:path";
import type { Hex } from "../core/bytes.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { type Annotation, annotationsRoot } from "./annotation.ts";
import { ANNOTATIONS, type ContextAsset } from "./context.ts";
import type { Contribution } from "./contribution.ts";
import type { Datanet } from "./datanet.ts";
import { parseAnnotations, parseContribution, parseDatanetMetadata, parseVersion } from "./exchange.ts";
import { ByteBudget, isLeftOut, openFolder, readText } from "./importFiles.ts";
import { isLongLine, linesIn } from "./lines.ts";
import { type DatanetRecord, isObject, parseRecord } from "./record.ts";
import type { DatanetStore } from "./store.ts";
import type { DatanetVersion } from "./version.ts";

/** Taking a datanet in from an export folder: same ids, same authors, same versions. All of it is checked before any of it is stored. */
export interface ImportedDatanet {
  readonly datanet: Datanet;
  readonly records: number;
  readonly contributions: number;
  readonly versions: number;
}

const LINE_BYTES_MAX = 512 * 1024 * 1024;
const METADATA_BYTES_MAX = 64 * 1024 * 1024;

/** `secret`: a new one of this node. Payee ids are keyed by it, so they are this ledger's own; identities stay the same. */
export async function importExport(
  store: DatanetStore,
  folder: string,
  secret: Uint8Array,
): Promise<Result<ImportedDatanet>> {
  const read = await readExport(folder);
  if (!read.ok) return read;
  const { datanet, contexts, records, contributions, annotations, versions } = read.value;
  const created = await store.createDatanet(datanet, secret);
  if (!created.ok) return created;
  for (const contribution of contributions) {
    const added = await store.addContribution({ contribution, records: records.get(contribution.id)! });
    if (!added.ok) return added;
  }
  for (const annotation of annotations) {
    const added = await store.addAnnotation(annotation);
    if (!added.ok) return added;
  }
  for (const version of versions) {
    const context = contexts.find(({ id }) => id === version.context)!;
    const own = recordsOf(version, records)!;
    const added = await store.addVersion({ version, records: own }, context);
    if (!added.ok) return added;
  }
  const count = [...records.values()].reduce((sum, own) => sum + own.length, 0);
  return ok({ datanet, records: count, contributions: contributions.length, versions: versions.length });
}

export interface ReadExport {
  readonly datanet: Datanet;
  readonly contexts: readonly ContextAsset[];
  /** By contribution, in order. */
  readonly records: ReadonlyMap<Hex, readonly DatanetRecord[]>;
  readonly contributions: readonly Contribution[];
  /** In the order in which they were made. */
  readonly annotations: readonly Annotation[];
  readonly versions: readonly DatanetVersion[];
}

/** Reads and verifies an export folder, and stores nothing. */
export async function readExport(folder: string): Promise<Result<ReadExport>> {
  const root = await openFolder(folder);
  if (!root.ok) return root;
  const found = await readText(
    root.value,
    "metadata.json",
    { fileBytesMax: METADATA_BYTES_MAX },
    new ByteBudget(METADATA_BYTES_MAX),
  );
  if (isLeftOut(found)) return refuse("not_found", `${folder} holds no export: metadata.json is ${found.reason}`);
  const metadata = parseLine(found.text);
  const parsed = parseDatanetMetadata(metadata);
  if (!parsed.ok) return parsed;
  const { datanet, contexts } = parsed.value;
  const sums = fileSums(metadata);

  const records = new Map<Hex, DatanetRecord[]>();
  const readRecords = await readLines(root.value, "records.jsonl", sums, parseRecord, (record) => {
    const own = records.get(record.contributionId);
    if (own === undefined) records.set(record.contributionId, [record]);
    else own.push(record);
  });
  if (!readRecords.ok) return readRecords;
  const idsOf = (id: Hex) => (records.get(id) ?? []).map((record) => record.id);
  const contributions: Contribution[] = [];
  const parse = (value: unknown) => parseContribution(value, datanet, idsOf);
  const readContributions = await readLines(root.value, "contributions.jsonl", sums, parse, (one) =>
    contributions.push(one),
  );
  if (!readContributions.ok) return readContributions;
  const [versions, added] = [[] as DatanetVersion[], new Map<Hex, Annotation>()];
  const readVersions = await readLines(
    root.value,
    "versions.jsonl",
    sums,
    (value) => parseWith(value, datanet),
    ({ version, annotations }) => {
      versions.push(version);
      for (const one of annotations) added.set(one.id, one);
    },
  );
  if (!readVersions.ok) return readVersions;
  const annotations = [...added.values()].sort((a, b) => a.number - b.number);
  return checkWhole({ datanet, contexts, records, contributions, annotations, versions });
}

/** Every part is there that another part names. */
function checkWhole(read: ReadExport): Result<ReadExport> {
  const known = new Set(read.contributions.map(({ id }) => id));
  for (const id of read.records.keys())
    if (!known.has(id)) return broken(`a record names contribution ${id}, which is not there`);
  if (known.size < read.contributions.length) return broken("a contribution stands there twice");
  for (const [i, version] of read.versions.entries()) {
    if (version.number !== i + 1) return broken(`version ${i + 1} is missing`);
    if (version.parent !== (read.versions[i - 1]?.id ?? null))
      return broken(`version ${i + 1} does not follow the one before`);
    if (!read.contexts.some(({ id }) => id === version.context))
      return broken(`the context of version ${i + 1} is missing`);
    if (!isCommitted(version, read))
      return broken(`the context of version ${i + 1} does not commit to what was added to its records`);
    if (recordsOf(version, read.records) === undefined)
      return broken(`version ${i + 1} names a record that is not there`);
    if (!version.contributions.every((id) => known.has(id)))
      return broken(`version ${i + 1} names a contribution that is not there`);
  }
  return ok(read);
}

function parseWith(value: unknown, datanet: Datanet) {
  const [version, annotations] = [parseVersion(value, datanet), parseAnnotations(value, datanet)];
  if (!version.ok) return version;
  return annotations.ok ? ok({ version: version.value, annotations: annotations.value }) : annotations;
}

function isCommitted({ context, annotations = [] }: DatanetVersion, { contexts }: ReadExport): boolean {
  const said = contexts.find(({ id }) => id === context)?.parameters.find(([name]) => name === ANNOTATIONS)?.[1];
  return said === (annotations.length === 0 ? undefined : annotationsRoot(annotations.map((id) => ({ id }))));
}

function recordsOf(
  version: DatanetVersion,
  records: ReadonlyMap<Hex, readonly DatanetRecord[]>,
): DatanetRecord[] | undefined {
  const byRef = new Map<string, DatanetRecord>();
  for (const own of records.values())
    for (const record of own) byRef.set(`${record.contributionId}${record.id}`, record);
  const own = version.records
    .map(({ id, contributionId }) => byRef.get(`${contributionId}${id}`))
    .filter((record) => record !== undefined);
  return own.length === version.records.length ? own : undefined;
}

async function readLines<T>(
  root: string,
  name: string,
  sums: ReadonlyMap<string, string>,
  parse: (value: unknown) => Result<T>,
  take: (value: T) => void,
): Promise<Result<null>> {
  const hash = createHash("sha256");
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for await (const chunk of createReadStream(path.join(root, name))) {
      hash.update(chunk);
      yield chunk;
    }
  }
  try {
    for await (const line of linesIn(chunks(), LINE_BYTES_MAX)) {
      if (isLongLine(line) || line.text === undefined)
        return broken(`${name}, line ${line.number} is not UTF-8 text, or too long`);
      if (line.text.trim() === "") continue;
      const parsed = parse(parseLine(line.text));
      if (!parsed.ok) return refuse(parsed.error.code, `${name}, line ${line.number}: ${parsed.error.message}`);
      take(parsed.value);
    }
  } catch (error) {
    if (error instanceof Error && "code" in error)
      return refuse("not_found", `${name} cannot be read: ${String(error.code)}`);
    throw error;
  }
  if (sums.get(name) !== hash.digest("hex"))
    return broken(`${name} does not have the checksum that metadata.json gives`);
  return ok(null);
}

function fileSums(metadata: unknown): Map<string, string> {
  const distribution: unknown = isObject(metadata) ? metadata["distribution"] : undefined;
  const sums = new Map<string, string>();
  for (const file of Array.isArray(distribution) ? distribution : []) {
    if (isObject(file) && typeof file["name"] === "string" && typeof file["sha256"] === "string")
      sums.set(file["name"], file["sha256"]);
  }
  return sums;
}

function parseLine(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function broken(why: string): Result<never> {
  return refuse("verification_failed", `the export is not whole: ${why}`);
}
