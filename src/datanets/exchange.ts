import { PPM } from "../attribution/policy.ts";
import { type Hex, parseHex, toHex } from "../core/bytes.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { type Annotation, annotationId } from "./annotation.ts";
import { type ContextAsset, contextAsset } from "./context.ts";
import { type CitedDocument, type Contribution, contributionId, type Decision, type Note } from "./contribution.ts";
import { CONTEXTS_KEY, DATANET_KEY } from "./croissant.ts";
import { createDatanet, type Datanet, datanetId } from "./datanet.ts";
import type { RecordLineage } from "./outputs.ts";
import { type DatanetRecord, isObject, parseId, type RecordRef, strings } from "./record.ts";
import { contentRoot, type DatanetVersion, type DuplicateRef, versionId } from "./version.ts";

/** The lines of an export, and reading them back. Nothing is believed: every id is computed again from what it stands for. */
export function parseDatanetMetadata(metadata: unknown): Result<{ datanet: Datanet; contexts: ContextAsset[] }> {
  if (!isObject(metadata)) return wrong("metadata.json", "it does not hold an object");
  const datanet = parseDatanet(metadata[DATANET_KEY]);
  if (!datanet.ok) return datanet;
  const listed = metadata[CONTEXTS_KEY];
  if (!Array.isArray(listed)) return wrong("metadata.json", `${CONTEXTS_KEY} is missing`);
  const contexts: ContextAsset[] = [];
  for (const item of listed) {
    const context = parseContext(item);
    if (!context.ok) return context;
    contexts.push(context.value);
  }
  return ok({ datanet: datanet.value, contexts });
}

function parseDatanet(value: unknown): Result<Datanet> {
  const file = "metadata.json";
  if (!isObject(value)) return wrong(file, `${DATANET_KEY} is missing`);
  const { name, summary, description, licence, createdMs, rules } = value;
  const [owner, tags] = [parseId(value["owner"]), strings(value["tags"])];
  if (typeof name !== "string" || typeof summary !== "string" || typeof description !== "string")
    return wrong(file, "its texts are not texts");
  if (typeof licence !== "string" || owner === undefined || tags === undefined)
    return wrong(file, "licence, owner or tags are not well formed");
  if (typeof createdMs !== "number" || !Number.isSafeInteger(createdMs)) return wrong(file, "createdMs is not a time");
  if (!isObject(rules)) return wrong(file, "the contribution rules are missing");
  const { charactersMin, charactersMax, recordsMax, review } = rules;
  const licences = strings(rules["licences"]);
  if (licences === undefined || typeof charactersMin !== "number" || typeof charactersMax !== "number")
    return wrong(file, "the contribution rules are not well formed");
  if (typeof recordsMax !== "number" || (review !== "required" && review !== "open"))
    return wrong(file, "the contribution rules are not well formed");
  const parsedRules = { licences, charactersMin, charactersMax, recordsMax, review } as const;
  const created = createDatanet({ name, summary, description, tags, licence, rules: parsedRules }, owner, createdMs);
  if (created.ok && value["id"] !== datanetId(owner, name))
    return wrong(file, "the datanet's id is not that of its owner and name");
  return created;
}

function parseContext(value: unknown): Result<ContextAsset> {
  const owner = isObject(value) ? parseId(value["owner"]) : undefined;
  if (!isObject(value) || owner === undefined || !Array.isArray(value["parameters"]))
    return wrong("metadata.json", "a context is not well formed");
  const { method, methodVersion } = value;
  const parameters = value["parameters"].map(strings);
  if (typeof method !== "string" || typeof methodVersion !== "string")
    return wrong("metadata.json", "a context is not well formed");
  const pairs: [string, string][] = [];
  for (const pair of parameters) {
    const [name, text] = pair ?? [];
    if (name === undefined || text === undefined)
      return wrong("metadata.json", "a context's parameters are not well formed");
    pairs.push([name, text]);
  }
  const context = contextAsset({ method, methodVersion, parameters: pairs, owner });
  return context.ok && context.value.id !== value["id"]
    ? wrong("metadata.json", "a context's id is not the hash of its fields")
    : context;
}

/** Fields in one order, whatever store they come from: the same datanet makes the same files. */
export function recordLine(record: DatanetRecord): unknown {
  const { id, contributionId, title, headingPath, text, source, licence, date } = record;
  const authors = record.authors.map(({ identity, name }) => ({ identity, name }));
  return { id, contributionId, title, headingPath, text, source, licence, date, authors };
}

export function contributionLine(contribution: Contribution): unknown {
  const { id, datanet, number, by, label, licence, records, status, submittedMs } = contribution;
  const { decision } = contribution;
  const decided = decision && {
    decision: decision.decision,
    reason: decision.reason,
    by: decision.by,
    timeMs: decision.timeMs,
  };
  const notes = contribution.notes.map(({ record, check, reason }) => ({ record, check, reason }));
  const lineage = contribution.lineage?.map(({ record, receipt, partPpm, isDeclared }) => ({
    ...{ record, receipt, partPpm, isDeclared },
  }));
  const line = { id, datanet, number, by, label, licence, records, status, decision: decided, notes, submittedMs };
  const documents = contribution.documents?.map(({ id: called, records: own, cites }) => ({
    id: called,
    records: own,
    cites,
  }));
  return { ...line, ...(lineage === undefined ? {} : { lineage }), ...(documents === undefined ? {} : { documents }) };
}

/** `annotations`: all of the datanet's; the line has those of the version, whole. */
export function versionLine(version: DatanetVersion, annotations: readonly Annotation[] = []): unknown {
  const { id, datanet, datanetId, number, parent, contentRoot, context, contributions, createdMs } = version;
  const records = version.records.map(({ id, contributionId }) => ({ id, contributionId }));
  const duplicates = version.duplicates.map(({ id, contributionId, of }) => ({ id, contributionId, of }));
  return {
    id,
    datanet,
    datanetId,
    number,
    parent,
    contentRoot,
    context,
    records,
    duplicates,
    contributions,
    createdMs,
    ...(version.annotations === undefined
      ? {}
      : { annotations: annotations.filter((one) => version.annotations!.includes(one.id)).map(annotationLine) }),
  };
}

function annotationLine({ id, number, by, record, from, text, decision, createdMs }: Annotation): unknown {
  return { id, number, by, record, ...(from === undefined ? {} : { from }), text, decision, createdMs };
}

/** `recordIdsOf`: the records that the export holds for this contribution, in order. */
export function parseContribution(
  value: unknown,
  datanet: Datanet,
  recordIdsOf: (id: Hex) => readonly Hex[],
): Result<Contribution> {
  const file = "contributions.jsonl";
  const id = isObject(value) ? parseId(value["id"]) : undefined;
  if (!isObject(value) || id === undefined) return wrong(file, "a contribution has no id");
  const { number, by, label, licence, submittedMs, status } = value;
  const decision = parseDecision(value["decision"]);
  if (typeof by !== "string" || typeof label !== "string" || typeof licence !== "string")
    return wrong(file, `contribution ${id} has a text missing`);
  if (typeof number !== "number" || typeof submittedMs !== "number")
    return wrong(file, `contribution ${id} has a number missing`);
  if (status !== "approved" || decision?.decision !== "approve")
    return wrong(file, `contribution ${id} is not approved`);
  const recordIds = recordIdsOf(id);
  if (contributionId(datanet.id, by, licence, recordIds) !== id) {
    return refuse(
      "verification_failed",
      `contribution ${id} is not the one that its records, its party and its licence make`,
    );
  }
  const [notes, lineage] = [parseNotes(value["notes"]), parseLineage(value["lineage"], new Set(recordIds))];
  if (lineage === undefined) return wrong(file, `contribution ${id} says of its lineage what cannot be`);
  const documents = parseDocuments(value["documents"], new Set(recordIds));
  if (documents === undefined) return wrong(file, `contribution ${id} says of its documents what cannot be`);
  return ok({
    id,
    datanet: datanet.name,
    number,
    by,
    label,
    licence,
    records: recordIds.length,
    status,
    decision,
    notes,
    ...(lineage.length === 0 ? {} : { lineage }),
    ...(documents.length === 0 ? {} : { documents }),
    submittedMs,
  });
}

function parseDocuments(value: unknown, records: ReadonlySet<string>): CitedDocument[] | undefined {
  if (value === undefined) return [];
  if (!Array.isArray(value)) return undefined;
  const documents: CitedDocument[] = [];
  for (const item of value as unknown[]) {
    if (!isObject(item) || typeof item["id"] !== "string") return undefined;
    const [own, cites] = [strings(item["records"])?.map(parseId), strings(item["cites"])];
    if (own === undefined || cites === undefined) return undefined;
    const present = own.filter((id) => id !== undefined && records.has(id)).filter((id) => id !== undefined);
    if (present.length !== own.length || present.length === 0) return undefined;
    documents.push({ id: item["id"], records: present, cites });
  }
  return documents;
}

/** What is said of answers that the records repeat: of records that are there, with parts that sum to no more than the whole of each. */
function parseLineage(value: unknown, records: ReadonlySet<string>): RecordLineage[] | undefined {
  if (value === undefined) return [];
  if (!Array.isArray(value)) return undefined;
  const [lineage, parts] = [[] as RecordLineage[], new Map<Hex, number>()];
  for (const item of value as unknown[]) {
    if (!isObject(item)) return undefined;
    const { receipt, partPpm, isDeclared } = item;
    const [record, id] = [parseId(item["record"]), typeof receipt === "string" ? parseHex(receipt) : undefined];
    if (record === undefined || !records.has(record) || id?.length !== 16 || typeof isDeclared !== "boolean")
      return undefined;
    if (typeof partPpm !== "number" || !Number.isSafeInteger(partPpm) || partPpm < 1) return undefined;
    parts.set(record, (parts.get(record) ?? 0) + partPpm);
    if (parts.get(record)! > PPM) return undefined;
    lineage.push({ record, receipt: toHex(id), partPpm, isDeclared });
  }
  return lineage;
}

/** A version's annotations: each with the id that its words and its party make. */
export function parseAnnotations(value: unknown, datanet: Datanet): Result<Annotation[]> {
  const file = "versions.jsonl";
  const listed = isObject(value) ? (value["annotations"] ?? []) : [];
  if (!Array.isArray(listed)) return wrong(file, "annotations are not a list");
  const annotations: Annotation[] = [];
  for (const item of listed as unknown[]) {
    if (!isObject(item)) return wrong(file, "an annotation is not an object");
    const { number, by, text, createdMs } = item;
    const [id, record, decision] = [parseId(item["id"]), parseId(item["record"]), parseDecision(item["decision"])];
    const from = item["from"] === undefined ? undefined : parseId(item["from"]);
    if (id === undefined || record === undefined || (from === undefined && item["from"] !== undefined))
      return wrong(file, "an annotation has an id missing");
    if (
      typeof by !== "string" ||
      typeof text !== "string" ||
      typeof number !== "number" ||
      typeof createdMs !== "number"
    )
      return wrong(file, `annotation ${id} has a field missing`);
    if (decision?.decision !== "approve") return wrong(file, `annotation ${id} is not approved`);
    const draft = { by, record, text, ...(from === undefined ? {} : { from }) };
    if (annotationId(datanet.id, draft) !== id)
      return refuse("verification_failed", `annotation ${id} is not the one that its words and its party make`);
    annotations.push({ id, datanet: datanet.name, number, ...draft, status: "approved", decision, createdMs });
  }
  return ok(annotations);
}

/** Content root and id must follow from the records listed. */
export function parseVersion(value: unknown, datanet: Datanet): Result<DatanetVersion> {
  const file = "versions.jsonl";
  if (!isObject(value)) return wrong(file, "a version is not an object");
  const { number, parent, createdMs } = value;
  const [id, context] = [parseId(value["id"]), parseId(value["context"])];
  const parentId = parent === null ? null : parseId(parent);
  const [records, duplicates] = [parseRefs(value["records"]), parseDuplicates(value["duplicates"])];
  const contributions = strings(value["contributions"])?.map(parseId);
  if (typeof number !== "number" || !Number.isSafeInteger(number) || typeof createdMs !== "number")
    return wrong(file, "a version has a number missing");
  if (id === undefined || context === undefined || parentId === undefined)
    return wrong(file, `version ${number} has an id missing`);
  if (records === undefined || duplicates === undefined || contributions === undefined)
    return wrong(file, `version ${number} does not list its records`);
  const known = contributions.filter((contribution) => contribution !== undefined);
  const body = {
    datanet: datanet.name,
    datanetId: datanet.id,
    number,
    parent: parentId,
    contentRoot: contentRoot(records),
    context,
    records,
    duplicates,
  };
  const annotations = parseAnnotations(value, datanet);
  if (!annotations.ok) return annotations;
  const added = annotations.value.map((one) => one.id);
  const version = { ...body, contributions: known, ...(added.length === 0 ? {} : { annotations: added }), createdMs };
  if (body.contentRoot !== value["contentRoot"] || versionId(version) !== id) {
    return refuse("verification_failed", `version ${number} of ${datanet.name} does not follow from its records`);
  }
  return ok({ id, ...version });
}

function parseRefs(value: unknown): RecordRef[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const refs: RecordRef[] = [];
  for (const item of value) {
    const [id, contributionId] = isObject(item) ? [parseId(item["id"]), parseId(item["contributionId"])] : [];
    if (id === undefined || contributionId === undefined) return undefined;
    refs.push({ id, contributionId });
  }
  return refs;
}

function parseDuplicates(value: unknown): DuplicateRef[] | undefined {
  const refs = parseRefs(value);
  if (refs === undefined || !Array.isArray(value)) return undefined;
  const of = value.map((item: unknown) => (isObject(item) ? parseId(item["of"]) : undefined));
  const whole: DuplicateRef[] = [];
  for (const [i, ref] of refs.entries()) {
    const first = of[i];
    if (first === undefined) return undefined;
    whole.push({ ...ref, of: first });
  }
  return whole;
}

function parseDecision(value: unknown): Decision | undefined {
  if (!isObject(value)) return undefined;
  const { decision, reason, by, timeMs } = value;
  if (decision !== "approve" && decision !== "reject") return undefined;
  if (typeof reason !== "string" || typeof by !== "string" || typeof timeMs !== "number") return undefined;
  return { decision, reason, by, timeMs };
}

function parseNotes(value: unknown): Note[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((item: unknown) => {
    const record = isObject(item) ? parseId(item["record"]) : undefined;
    if (!isObject(item) || record === undefined) return [];
    const { check, reason } = item;
    return typeof check === "string" && typeof reason === "string" ? [{ record, check, reason }] : [];
  });
}

function wrong(file: string, why: string): Result<never> {
  return refuse("verification_failed", `${file} is not part of an export of ours: ${why}`);
}
