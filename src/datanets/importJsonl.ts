import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { createGunzip } from "node:zlib";
import { ok, type Result, refuse } from "../core/result.ts";
import { documentRecords } from "./document.ts";
import { authorIdentity, parseIdentity, repositoryIdentity } from "./identity.ts";
import { type DraftDocument, type Import, type ImportLimits, importLimits } from "./importing.ts";
import { electLicence } from "./licence.ts";
import { isLongLine, linesIn } from "./lines.ts";
import { type Author, isObject, type RecordContent, strings } from "./record.ts";

/**
 * JSON lines, plain or gzipped, one document a line:
 *
 *     { "id": "…", "authors": ["Name" or { "identity", "name" }], "date": "ISO 8601" or null, "license": "SPDX", "source": "owner/name@commit path",
 *       "title": "…", "text": "…", "cites": ["id of another document", …] }
 *
 * A question with its answer may stand in place of the text, as `"question"` and `"answer"`: the record is both, and what is trained on it learns to answer.
 * `cites`, or `requires` as EIPs call it, names what a document builds on: a part of its credit goes there. A bare number has the prefix of the document's own id.
 * An author known by name only becomes an `author:` identity within the source's repository. A text that fits one record stays whole; a longer one is
 * cut at its structure. A bad line is left out with its number and the reason, and the others are taken. One group a licence.
 */
export interface JsonlImport {
  readonly file: string;
  readonly label: string;
  readonly limits?: ImportLimits;
  readonly licences?: readonly string[];
}

const CITES_MAX = 256;
const CITED_ID_MAX = 300;
/** A text up to this many characters is one record, whatever its structure. */
const WHOLE_CHARACTERS_MAX = 2_400;

export async function* importJsonl(options: JsonlImport): Import {
  const limits = options.limits ?? importLimits;
  const opened = await openStream(options.file, limits.totalBytesMax);
  if (!opened.ok) return yield { kind: "refused", refusal: opened.error };
  const byLicence = new Map<string, { readonly records: RecordContent[]; readonly documents: DraftDocument[] }>();
  let [lines, taken] = [0, 0];
  try {
    for await (const line of linesIn(opened.value, limits.fileBytesMax)) {
      lines = line.number;
      const what = `${options.label} line ${line.number}`;
      if (!isLongLine(line) && line.text?.trim() === "") continue;
      const parsed = isLongLine(line)
        ? refuse("invalid_request", `it is longer than ${limits.fileBytesMax} bytes`)
        : parseDocument(line.text, options.licences);
      if (!parsed.ok) {
        yield { kind: "leftOut", what, reason: parsed.error.message };
        continue;
      }
      if (++taken > limits.filesMax) {
        yield { kind: "leftOut", what, reason: `the import is limited to ${limits.filesMax} lines` };
        break;
      }
      const { licence, records, document } = parsed.value;
      const group = byLicence.get(licence) ?? { records: [], documents: [] };
      byLicence.set(licence, group);
      const first = group.records.length;
      group.records.push(...records);
      if (document !== undefined)
        group.documents.push({ ...document, records: records.map((_record, i) => first + i) });
      if (line.number % 1_000 === 0) yield { kind: "progress", done: line.number, total: null, label: options.label };
    }
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    yield { kind: "leftOut", what: `${options.label} after line ${lines}`, reason: error.message };
  }
  for (const [licence, { records, documents }] of byLicence) {
    const label = byLicence.size === 1 ? options.label : `${options.label} (${licence})`;
    // Without a citation what documents are called is of no use.
    const isCiting = documents.some(({ cites }) => cites.length > 0);
    yield { kind: "group", group: { label, licence, records, ...(isCiting ? { documents } : {}) } };
  }
  yield { kind: "progress", done: lines, total: lines, label: "" };
}

/** The unpacked bytes, at most `bytesMax` of them: a small file that unpacks to a huge one ends there. */
async function openStream(file: string, bytesMax: number): Promise<Result<AsyncIterable<Uint8Array>>> {
  try {
    const handle = await open(file, "r");
    const head = Buffer.alloc(2);
    const { isRegular } = await handle.stat().then((found) => ({ isRegular: found.isFile() }));
    if (isRegular) await handle.read(head, 0, 2, 0);
    await handle.close();
    if (!isRegular) return refuse("invalid_request", `${file} is not a file`);
    const isGzip = head[0] === 0x1f && head[1] === 0x8b;
    return ok(bounded(file, isGzip, bytesMax));
  } catch {
    return refuse("not_found", `there is no file ${file}`);
  }
}

async function* bounded(file: string, isGzip: boolean, bytesMax: number): AsyncGenerator<Uint8Array> {
  const source = createReadStream(file);
  const unpacked = isGzip ? source.pipe(createGunzip()) : source;
  source.on("error", (error) => unpacked.destroy(error));
  let bytes = 0;
  try {
    for await (const chunk of unpacked) {
      bytes += chunk.length;
      if (bytes > bytesMax) throw new Error(`the import is limited to ${bytesMax} bytes`);
      yield chunk;
    }
  } finally {
    unpacked.destroy();
    source.destroy();
  }
}

function parseDocument(
  line: string | undefined,
  licences: readonly string[] | undefined,
): Result<{ licence: string; records: RecordContent[]; document?: Omit<DraftDocument, "records"> }> {
  if (line === undefined) return bad("it is not UTF-8 text");
  const value = parseJson(line);
  if (!isObject(value)) return bad("it is not a JSON object");
  const { title, source } = value;
  const text = textOf(value);
  const stated = value["license"] ?? value["licence"];
  if (typeof text !== "string" || text.trim() === "") return bad("it has no text");
  if (typeof source !== "string" || source.trim() === "") return bad("it has no source");
  if (typeof stated !== "string") return bad("it has no license");
  const licence = electLicence(stated, licences);
  if (!licence.ok) return bad(licence.error.message);
  const date = value["date"] ?? null;
  if (date !== null && !isDate(date)) return bad("its date is not ISO 8601");
  const authors = authorsOf(value["authors"], source);
  if (authors === undefined) return bad("its authors are not a list of names or of { identity, name }");
  if (authors.length === 0) return bad("it has no authors");
  const [elected, headings] = [licence.value, strings(value["headingPath"]) ?? []];
  const called = typeof title === "string" && title !== "" ? title : String(value["id"] ?? source);
  const document = { path: "document.md", text, title: called, source, licence: elected, date, authors };
  const whole = text.length <= WHOLE_CHARACTERS_MAX;
  const { path: _, ...content } = document;
  const cited = citedOf(value);
  if (cited === undefined) return bad("its cites are not a list of ids");
  const records = whole ? [{ ...content, headingPath: headings }] : documentRecords(document);
  return ok({ licence: elected, records, ...cited });
}

/** Its text; a question with its answer, where the text is nothing but these. */
function textOf({ text, question, answer }: Readonly<Record<string, unknown>>): unknown {
  if (typeof question !== "string" || typeof answer !== "string") return text;
  if (question.trim() === "" || answer.trim() === "") return text;
  const isBoth = typeof text !== "string" || bareWords(text) === bareWords(`${question} ${answer}`);
  return isBoth ? `Question: ${question.trim()}\nAnswer: ${answer.trim()}` : text;
}

function bareWords(text: string): string {
  return text.trim().replaceAll(/\s+/g, " ");
}

/** What it is called in citations and what it cites; nothing where it has no id. Undefined where they are no list. */
function citedOf(value: Readonly<Record<string, unknown>>): { document?: Omit<DraftDocument, "records"> } | undefined {
  const [id, listed] = [value["id"], value["cites"] ?? value["requires"] ?? []];
  if (!Array.isArray(listed) || listed.length > CITES_MAX) return undefined;
  if (typeof id !== "string" || id === "" || id.length > CITED_ID_MAX) return {};
  const prefix = /^(.*?)\d+$/.exec(id)?.[1] ?? "";
  const cites: string[] = [];
  for (const one of listed as unknown[]) {
    const text = typeof one === "number" ? String(one) : one;
    if (typeof text !== "string" || text === "" || text.length > CITED_ID_MAX) return undefined;
    cites.push(/^\d+$/.test(text) ? prefix + text : text);
  }
  return { document: { id, cites } };
}

function authorsOf(value: unknown, source: string): Author[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const repository = repositoryIdentity(source.split(/[@\s]/, 1)[0]!)?.slice("repo:".length);
  const authors = new Map<string, Author>();
  for (const item of value) {
    const author = typeof item === "string" ? namedAuthor(item, repository) : identifiedAuthor(item);
    if (author === undefined) return undefined;
    if (author.name.trim() !== "" && !authors.has(author.identity)) authors.set(author.identity, author);
  }
  return [...authors.values()];
}

function namedAuthor(name: string, repository: string | undefined): Author {
  return { identity: authorIdentity(repository, name), name: name.trim().slice(0, 200) };
}

function identifiedAuthor(value: unknown): Author | undefined {
  if (!isObject(value) || typeof value["identity"] !== "string" || typeof value["name"] !== "string") return undefined;
  const identity = parseIdentity(value["identity"]);
  return identity.ok ? { identity: identity.value.text, name: value["name"].slice(0, 200) } : undefined;
}

function isDate(value: unknown): value is string {
  return (
    typeof value === "string" &&
    /^\d{4}(?:-\d{2}(?:-\d{2}(?:[T ][\d:.]+(?:Z|[+-]\d{2}:?\d{2})?)?)?)?$/.test(value) &&
    !Number.isNaN(Date.parse(value))
  );
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function bad(why: string): Result<never> {
  return refuse("invalid_request", why);
}
