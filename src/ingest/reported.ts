import { utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { ok, type Result, refuse } from "../core/result.ts";

/** One execution that another gateway served, as its records tell it. */
export interface ReportedExecution {
  /** Which kind of record it was read from. */
  readonly source: string;
  /** What the source calls it: the same id again is the same execution, or a later word on it. At most 256 characters. */
  readonly id: string;
  /** Milliseconds since 1970, when it ended; 0 where the source may leave that out, and does. */
  readonly timeMs: number;
  /** Who paid, by the source's name for it: the account that it is booked to. */
  readonly payer: string;
  readonly model: string;
  /** Who ran it, by the source's name; empty where it does not say. */
  readonly operator: string;
  readonly tokensIn: number;
  readonly tokensOut: number;
  /** What the source says it cost, in whole billionths of a US dollar; absent where it does not say. */
  readonly costNanoUsd?: number;
  /** The source's id of the execution that caused it. */
  readonly parent?: string;
  /** What executions that it caused call it, where that is not its id. */
  readonly span?: string;
  /** Says of itself that it is a later word on a row that was sent before. */
  readonly isAmendment?: boolean;
  readonly prompt?: string;
  readonly answer?: string;
}

/** What became of one record of a batch: rows count from 1, as the sender sees them. */
export type Reading =
  | { readonly row: number; readonly ok: true; readonly execution: ReportedExecution }
  | { readonly row: number; readonly ok: false; readonly message: string };

/** Reads one record that was parsed from JSON already. */
export type ReadRecord = (record: unknown) => Result<readonly ReportedExecution[]>;

/**
 * 16 bytes over all that a row says but its texts, which are forgotten: the same row has the same hash, however it is written.
 */
export function executionHash(execution: ReportedExecution): Uint8Array {
  const { source, id, timeMs, payer, model, operator, tokensIn, tokensOut, costNanoUsd, parent } = execution;
  const facts = [source, id, timeMs, payer, model, operator, tokensIn, tokensOut, costNanoUsd ?? null, parent ?? null];
  return sha256(utf8(JSON.stringify(facts))).slice(0, 16);
}

const TEXT_MAX = 256;
const CONTENT_MAX = 1_000_000;
const CONTENT_DEPTH_MAX = 8;

/** Reads records one by one; a record that holds several executions gives several readings under its row. */
export function readRecords(records: readonly unknown[], read: ReadRecord): Reading[] {
  return records.flatMap((record, i): Reading[] => {
    const found = read(record);
    if (!found.ok) return [{ row: i + 1, ok: false, message: found.error.message }];
    return found.value.map((execution) => ({ row: i + 1, ok: true, execution }));
  });
}

/** A record's fields by name, for readers that take what they know and leave the rest. */
export class Fields {
  readonly #fieldOf: (name: string) => unknown;

  private constructor(fieldOf: (name: string) => unknown) {
    this.#fieldOf = fieldOf;
  }

  static of(record: unknown): Result<Fields> {
    if (typeof record !== "object" || record === null || Array.isArray(record))
      return refuse("invalid_request", "the record is not an object");
    // Rows have dozens of columns, of which we know a few: nothing is made of the others.
    return ok(new Fields((name) => (Object.hasOwn(record, name) ? Reflect.get(record, name) : undefined)));
  }

  static ofMap(fields: ReadonlyMap<string, unknown>): Fields {
    return new Fields((name) => fields.get(name));
  }

  /** Of several records, each field from the first that has it. */
  static chain(sources: readonly (() => Fields | undefined)[]): Fields {
    return new Fields((name) => {
      for (const source of sources) {
        const value = source()?.any(name);
        if (value !== undefined) return value;
      }
      return undefined;
    });
  }

  /** The first of the names that has a value that is neither null nor empty. */
  any(...names: readonly string[]): unknown {
    for (const name of names) {
      const value = this.#fieldOf(name);
      if (!isMissing(value)) return value;
    }
    return undefined;
  }

  text(...names: readonly string[]): Result<string | undefined> {
    const value = this.any(...names);
    if (value === undefined) return ok(undefined);
    const text = typeof value === "number" ? String(value) : value;
    if (typeof text !== "string" || text.length > TEXT_MAX)
      return refuse("invalid_request", `${names[0]} is not a text of at most ${TEXT_MAX} characters`);
    return ok(text);
  }

  /** A record within the record, also where it is written as a text. */
  record(name: string): Fields | undefined {
    const value = this.any(name);
    const fields = Fields.of(typeof value === "string" ? parsedJson(value) : value);
    return fields.ok ? fields.value : undefined;
  }

  /** Yes or no, also where it is written as a text. */
  flag(...names: readonly string[]): boolean {
    const value = this.any(...names);
    return value === true || value === 1 || (typeof value === "string" && /^(?:true|1|yes)$/i.test(value));
  }

  /** A whole number ≥ 0, also where it is written as a text. */
  count(...names: readonly string[]): Result<number | undefined> {
    const value = this.any(...names);
    if (value === undefined) return ok(undefined);
    const number = typeof value === "string" && /^\d{1,15}$/.test(value.trim()) ? Number(value) : value;
    if (typeof number !== "number" || !Number.isSafeInteger(number) || number < 0)
      return refuse("invalid_request", `${names[0]} is not a whole number of at least 0`);
    return ok(number);
  }

  /** A moment: RFC 3339, or seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their size. */
  time(...names: readonly string[]): Result<number | undefined> {
    const value = this.any(...names);
    if (value === undefined) return ok(undefined);
    if (typeof value !== "string" && typeof value !== "number")
      return refuse("invalid_request", `${names[0]} is not a time`);
    const ms = typeof value === "string" && !/^\d+(\.\d+)?$/.test(value) ? parseTime(value) : sinceEpoch(Number(value));
    return ms === undefined ? refuse("invalid_request", `${names[0]} is not a time`) : ok(ms);
  }

  /** US dollars as whole billionths, rounded half up where the source is finer. */
  dollars(...names: readonly string[]): Result<number | undefined> {
    const value = this.any(...names);
    if (value === undefined) return ok(undefined);
    if (typeof value !== "number" && typeof value !== "string")
      return refuse("invalid_request", `${names[0]} is not an amount`);
    const nano = nanoFromDecimal(value);
    return nano === undefined ? refuse("invalid_request", `${names[0]} is not an amount of at least 0`) : ok(nano);
  }

  /** A prompt or an answer: a text, or messages in any of the usual forms; the first of the names that has any, cut to a bound. */
  content(...names: readonly string[]): string | undefined {
    for (const name of names) {
      const text = contentText(this.any(name));
      if (text !== "") return text.slice(0, CONTENT_MAX);
    }
    return undefined;
  }
}

function isMissing(value: unknown): boolean {
  return value === undefined || value === null || value === "";
}

/** The shortest decimal form of a number is what its sender wrote; its digits are read exactly, without floating point. */
export function nanoFromDecimal(value: number | string): number | undefined {
  const match = /^(\d{1,17})?(?:\.(\d{0,40}))?(?:[eE]([+-]?\d{1,3}))?$/.exec(String(value).trim());
  const whole = match?.[1] ?? "";
  const fraction = match?.[2] ?? "";
  if (match === null || whole + fraction === "") return undefined;
  const digits = BigInt(whole + fraction);
  const places = 9 + Number(match[3] ?? 0) - fraction.length;
  if (places > 30) return undefined;
  const nano =
    places >= 0
      ? digits * 10n ** BigInt(places)
      : (2n * digits + 10n ** BigInt(-places)) / (2n * 10n ** BigInt(-places));
  return nano <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(nano) : undefined;
}

/** RFC 3339; a time without a zone is UTC, as databases export it. */
function parseTime(text: string): number | undefined {
  const match = /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?\s?(Z|[+-]\d{2}:?\d{2})?)?$/i.exec(
    text.trim(),
  );
  if (match === null) return undefined;
  const joined = text.trim().replace(" ", "T");
  const zoned = joined.length > 10 && match[1] === undefined ? `${joined}Z` : joined;
  const ms = Date.parse(zoned);
  return Number.isNaN(ms) || ms < 0 ? undefined : ms;
}

function sinceEpoch(value: number): number | undefined {
  if (!Number.isFinite(value) || value <= 0) return undefined;
  // Year 2286 in seconds is 1e10: what is larger is in a finer unit.
  const scale = value < 1e10 ? 1e3 : value < 1e13 ? 1 : value < 1e16 ? 1e-3 : 1e-6;
  return Math.round(value * scale);
}

/** Chat messages in any of the usual forms, as one text. */
export function contentText(value: unknown, depth = 0): string {
  if (depth > CONTENT_DEPTH_MAX) return "";
  if (typeof value === "string") {
    const parsed = depth === 0 && /^\s*[[{]/.test(value) ? parsedJson(value) : undefined;
    return parsed === undefined ? value : contentText(parsed, 1);
  }
  if (Array.isArray(value))
    return value
      .map((part) => contentText(part, depth + 1))
      .filter((text) => text !== "")
      .join("\n");
  if (typeof value !== "object" || value === null) return "";
  const fields = new Map<string, unknown>(Object.entries(value));
  for (const name of ["content", "parts", "text", "message", "messages", "choices", "output", "input"]) {
    const inner = fields.get(name);
    if (!isMissing(inner)) return contentText(inner, depth + 1);
  }
  return "";
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
