import { fromHex, type Hex, toHex } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { leafHash, rootOf } from "../core/merkle.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { type ContributionStatus, type Decision, RULES } from "./contribution.ts";
import type { Datanet } from "./datanet.ts";
import { foldedWords } from "./fold.ts";
import { packFields, wellFormed } from "./pack.ts";
import type { DatanetRecord } from "./record.ts";
import type { DatanetVersion } from "./version.ts";

/**
 * Words that somebody adds to a record as context: what it is about in other words than its own, or, as a link, what another record calls it. The record stays what
 * it is; from the next version on it is found by these words too, and whoever added them is credited by what that changes.
 */
export interface Annotation {
  /** SHA-256 over datanet, record, where a link comes from, words and party: 32 bytes. */
  readonly id: Hex;
  /** The datanet's name. */
  readonly datanet: string;
  /** Order in the datanet, from 1: who says again what was said before changes nothing. */
  readonly number: number;
  /** A 32-byte party id, or an external identity. */
  readonly by: string;
  /** The record that the words lead to. */
  readonly record: Hex;
  /** Of a link: the record that it stands in. */
  readonly from?: Hex;
  readonly text: string;
  readonly status: ContributionStatus;
  readonly decision: Decision | null;
  readonly createdMs: number;
}

export type AnnotationDraft = Pick<Annotation, "by" | "record" | "text"> & { readonly from?: Hex };

const TEXT_MIN = 3;
const TEXT_MAX = 300;
/** Of one record; more would be a text of its own. */
export const NOTES_A_RECORD_MAX = 16;

export function annotationId(datanet: Hex, { by, record, from, text }: AnnotationDraft): Hex {
  return toHex(sha256(packFields(["openledger.annotation.1", datanet, record, from ?? "", text, by])));
}

/** Refuses what names no record of the version, says nothing, or says what the record or somebody before has said. In a datanet with open review it is approved at once. */
export function prepareAnnotation(
  datanet: Datanet,
  draft: AnnotationDraft,
  records: readonly DatanetRecord[],
  known: readonly Annotation[],
  timeMs: number,
): Result<Omit<Annotation, "number">> {
  const text = wellFormed(draft.text).trim().replaceAll(/\s+/g, " ");
  const length = [...text].length;
  if (length < TEXT_MIN || length > TEXT_MAX || /\p{Cc}/u.test(text))
    return wrong("text", `the words of an annotation are ${TEXT_MIN} to ${TEXT_MAX} printable characters`);
  if (draft.by.trim() === "" || draft.by.length > 300) return wrong("by", "an annotation says who made it");
  const record = records.find(({ id }) => id === draft.record);
  for (const [field, id] of [["record", draft.record] as const, ["from", draft.from] as const])
    if (id !== undefined && !records.some((one) => one.id === id))
      return refuse("not_found", `the latest version of ${datanet.name} has no record ${id}`, { field });
  if (draft.from === draft.record) return wrong("from", "a link leads to another record");
  const own = known.filter((one) => one.record === draft.record && one.status !== "rejected");
  if (own.length >= NOTES_A_RECORD_MAX)
    return refuse("rule_violated", `a record has at most ${NOTES_A_RECORD_MAX} annotations`);
  const words = foldedWords(text);
  const said = new Set(foldedWords([record!.title, ...record!.headingPath, ...own.map((one) => one.text)].join(" ")));
  if (words.every((word) => said.has(word)))
    return refuse("already_exists", "the record's title, headings or annotations say all of these words already", {
      field: "text",
    });
  const { by, record: of, from } = draft;
  const whole = { by, record: of, text, ...(from === undefined ? {} : { from }) };
  const isOpen = datanet.rules.review === "open";
  const decision: Decision = { decision: "approve", reason: "it keeps the datanet's rules", by: RULES, timeMs };
  return ok({
    ...{ id: annotationId(datanet.id, whole), datanet: datanet.name, ...whole, createdMs: timeMs },
    ...{ status: isOpen ? "approved" : "pending", decision: isOpen ? decision : null },
  });
}

/** RFC 6962 SHA-256 root over the ids, in order: 32 bytes. A version's context commits to it. */
export function annotationsRoot(annotations: readonly Pick<Annotation, "id">[]): Hex {
  return toHex(rootOf(annotations.map(({ id }) => leafHash(fromHex(id)))));
}

/** The version's records with what was added to them, in the order in which it was added. */
export function withNotes(
  records: readonly DatanetRecord[],
  { annotations = [] }: Pick<DatanetVersion, "annotations">,
  all: readonly Annotation[],
): readonly DatanetRecord[] {
  if (annotations.length === 0) return records;
  const named = new Set<Hex>(annotations);
  const notes = new Map<Hex, { by: string; text: string }[]>();
  for (const { id, record, by, text } of all) {
    if (!named.has(id)) continue;
    const before = notes.get(record);
    if (before === undefined) notes.set(record, [{ by, text }]);
    else before.push({ by, text });
  }
  return records.map((record) => {
    const own = notes.get(record.id);
    return own === undefined ? record : { ...record, notes: own };
  });
}

function wrong(field: string, message: string): Result<never> {
  return refuse("invalid_request", message, { field });
}
