import { ok, type Result, refuse } from "../core/result.ts";
import { readCloudEvent } from "./cloudEvents.ts";
import type { Defaults } from "./collect.ts";
import { type CsvMapping, csvReader, parseCsv } from "./csv.ts";
import { readLiteLlm } from "./litellm.ts";
import { readOpenAi } from "./openaiUsage.ts";
import { readSpans } from "./openTelemetry.ts";
import { type Reading, type ReadRecord, readRecords } from "./reported.ts";

/** Whose records they are. */
export const reportFormats = ["openai", "otlp", "litellm", "cloudevents", "csv"] as const;
export type ReportFormat = (typeof reportFormats)[number];

/** How records are written down. */
export const reportSpellings = ["json", "jsonl", "csv"] as const;
export type ReportSpelling = (typeof reportSpellings)[number];

export interface ReportOptions {
  readonly format: ReportFormat;
  readonly defaults?: Defaults;
  /** Columns by the field that they hold; for `csv` what is left out is under its own name, for `litellm` where LiteLLM puts it. */
  readonly mapping?: Partial<CsvMapping>;
}

/** Columns of a CSV file that was made for us. */
const plainMapping: CsvMapping = {
  ...{ id: "id", time: "time", payer: "payer", model: "model", operator: "operator", tokensIn: "tokens_in" },
  ...{ tokensOut: "tokens_out", cost: "cost", parent: "parent", prompt: "prompt", answer: "answer" },
  amendment: "amendment",
};

/** Reads the records of one batch. Refuses a text that cannot be parsed at all; a record that cannot be read is a reading that says why. */
export function readReport(text: string, spelling: ReportSpelling, options: ReportOptions): Result<Reading[]> {
  if (spelling === "csv") {
    const rows = parseCsv(text);
    return rows.ok ? ok(readAll(rows.value, options)) : rows;
  }
  if (spelling === "jsonl") return ok(readLines(text.split("\n"), options));
  const value = parsed(text);
  if (value === undefined) return refuse("invalid_request", "the body is not JSON");
  return ok(readAll(recordsIn(value), options));
}

/** Reads JSON lines, one record each; `row` counts lines. Empty lines are passed over. */
export function readLines(lines: readonly string[], options: ReportOptions): Reading[] {
  return lines.flatMap((line, i): Reading[] => {
    if (line.trim() === "") return [];
    const value = parsed(line);
    if (value === undefined) return [{ row: i + 1, ok: false, message: "the line is not JSON" }];
    return readAll([value], options).map((reading) => ({ ...reading, row: i + 1 }));
  });
}

/** Reads records that are parsed already. */
export function readAll(records: readonly unknown[], options: ReportOptions): Reading[] {
  if (options.format !== "otlp") return readRecords(records, readerOf(options));
  // The rows of an export are its spans.
  return records.flatMap((record, i): Reading[] => {
    const spans = readSpans(record, options.defaults);
    return spans.ok ? spans.value : [{ row: i + 1, ok: false, message: spans.error.message }];
  });
}

function readerOf({ format, defaults = {}, mapping = {} }: ReportOptions): ReadRecord {
  switch (format) {
    case "openai":
      return (record) => readOpenAi(record, defaults);
    case "litellm":
      return (record) => readLiteLlm(record, defaults, mapping);
    case "cloudevents":
      return (record) => readCloudEvent(record, defaults);
    default:
      return csvReader({ ...plainMapping, ...mapping }, defaults);
  }
}

/** A list, a list under `data` as OpenAI's, LiteLLM's and others' APIs page it, or one record. */
export function recordsIn(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  if (typeof value === "object" && value !== null && "data" in value && !("specversion" in value))
    if (Array.isArray(value.data)) return value.data;
  return [value];
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
