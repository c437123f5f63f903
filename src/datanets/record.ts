import { fromHex, type Hex, parseHex, toHex } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { PackedWriter } from "../core/packed.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { packFields, wellFormed } from "./pack.ts";

/** A record: one structural piece of a contribution, with the context that lets it stand alone. */
export interface Author {
  /** An external identity, see {@link ./identity.ts}. */
  readonly identity: string;
  readonly name: string;
}

export interface RecordContent {
  /** What the document is called: a package, a page, a file. */
  readonly title: string;
  /** The headings above this piece, outermost first. */
  readonly headingPath: readonly string[];
  readonly text: string;
  /** `repository@commit path`, `npm:name@version path`, or what the source calls itself. */
  readonly source: string;
  /** SPDX expression. */
  readonly licence: string;
  /** ISO 8601, or null where the source gives none. */
  readonly date: string | null;
  readonly authors: readonly Author[];
}

export interface DatanetRecord extends RecordContent {
  /** SHA-256 over content and context, see {@link recordId}. Who put it in is not part of it. */
  readonly id: Hex;
  readonly contributionId: Hex;
  /** What others have added to it, as the version has it that it is read from. Not part of its id. */
  readonly notes?: readonly { readonly by: string; readonly text: string }[];
}

export type RecordRef = Pick<DatanetRecord, "id" | "contributionId">;

const RECORD_LEAF_BYTES = 65;

/** SHA-256 over every field of the content: 32 bytes of hex. Equal content has equal ids, whoever contributes it. */
export function recordId(content: RecordContent): Hex {
  const { headingPath, authors } = content;
  return toHex(
    sha256(
      packFields([
        "openledger.record.1",
        content.title,
        content.source,
        content.licence,
        content.date ?? "",
        content.text,
        String(headingPath.length),
        ...headingPath,
        String(authors.length),
        ...authors.flatMap((author) => [author.identity, author.name]),
      ]),
    ),
  );
}

export function sealRecord(content: RecordContent, contributionId: Hex): DatanetRecord {
  const { title, headingPath, text, source, licence, date, authors } = content;
  return { id: recordId(content), contributionId, title, headingPath, text, source, licence, date, authors };
}

/** Content whose every string can be written as UTF-8 and read back the same. */
export function cleanContent(content: RecordContent): RecordContent {
  return {
    title: wellFormed(content.title),
    headingPath: content.headingPath.map(wellFormed),
    text: wellFormed(content.text),
    source: wellFormed(content.source),
    licence: wellFormed(content.licence),
    date: content.date,
    authors: content.authors.map((author) => ({
      identity: wellFormed(author.identity),
      name: wellFormed(author.name),
    })),
  };
}

/**
 * A record as a leaf of its version's content root: u8 version (1) · bytes32 record id · bytes32 contribution id, 65 bytes.
 * The id already commits to the content, so a record can be erased and every proof still stands.
 */
export function recordLeaf(record: RecordRef): Uint8Array {
  return new PackedWriter(RECORD_LEAF_BYTES)
    .u8(1)
    .raw(fromHex(record.id), 32)
    .raw(fromHex(record.contributionId), 32)
    .finish();
}

/** A record from outside: every field of the right type, and an id that is the hash of the rest. */
export function parseRecord(value: unknown): Result<DatanetRecord> {
  if (!isObject(value)) return wrong("it is not an object");
  const id = parseId(value["id"]);
  const contributionId = parseId(value["contributionId"]);
  const { title, text, source, licence, date } = value;
  const headingPath = strings(value["headingPath"]);
  const authors = parseAuthors(value["authors"]);
  if (id === undefined) return wrong("id is not 32 bytes of hex");
  if (contributionId === undefined) return wrong("contributionId is not 32 bytes of hex");
  if (typeof title !== "string" || typeof text !== "string" || typeof source !== "string") {
    return wrong("title, text and source must be texts");
  }
  if (typeof licence !== "string") return wrong("licence must be a text");
  if (date !== null && typeof date !== "string") return wrong("date must be a text or null");
  if (headingPath === undefined) return wrong("headingPath must be a list of texts");
  if (authors === undefined) return wrong("authors must be a list of { identity, name }");
  const record = sealRecord({ title, headingPath, text, source, licence, date, authors }, contributionId);
  if (record.id !== id)
    return refuse("verification_failed", `record ${id} hashes to ${record.id}: its content changed`);
  return ok(record);
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** 32 bytes of hex in its one spelling, or undefined. */
export function parseId(value: unknown): Hex | undefined {
  if (typeof value !== "string") return undefined;
  const bytes = parseHex(value);
  return bytes?.length === 32 ? toHex(bytes) : undefined;
}

/** A list of texts, or undefined. */
export function strings(value: unknown): string[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const texts = value.filter((item) => typeof item === "string");
  return texts.length === value.length ? texts : undefined;
}

function parseAuthors(value: unknown): Author[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const authors: Author[] = [];
  for (const item of value) {
    if (!isObject(item) || typeof item["identity"] !== "string" || typeof item["name"] !== "string") return undefined;
    authors.push({ identity: item["identity"], name: item["name"] });
  }
  return authors;
}

function wrong(why: string): Result<never> {
  return refuse("invalid_request", `this is not a record: ${why}`);
}
