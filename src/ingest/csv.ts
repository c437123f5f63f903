import { parse } from "csv-parse/sync";
import { ok, type Result, refuse } from "../core/result.ts";
import { collect, type Defaults, type FieldNames } from "./collect.ts";
import { Fields, type ReadRecord } from "./reported.ts";

/** Which column holds what. Columns that are not named are left alone. */
export interface CsvMapping {
  readonly id: string;
  readonly time: string;
  readonly payer: string;
  readonly model: string;
  readonly operator?: string;
  readonly tokensIn?: string;
  readonly tokensOut?: string;
  /** US dollars. */
  readonly cost?: string;
  readonly parent?: string;
  readonly prompt?: string;
  readonly answer?: string;
  /** Says `true` where the row is a later word on one that was sent before. */
  readonly amendment?: string;
}

/** RFC 4180 with a header line; rows with too few or too many fields are refused when they are read, not here. */
export function parseCsv(text: string): Result<readonly unknown[]> {
  try {
    const rows: unknown = parse(text, { columns: true, bom: true, skipEmptyLines: true, relaxColumnCount: true });
    return ok(Array.isArray(rows) ? rows : []);
  } catch (error) {
    return refuse("invalid_request", `the text is not CSV: ${error instanceof Error ? error.message : String(error)}`);
  }
}

export function csvReader(mapping: CsvMapping, defaults: Defaults = {}): ReadRecord {
  const one = (column: string | undefined): readonly string[] => (column === undefined ? [] : [column]);
  const names: FieldNames = {
    ...{ id: one(mapping.id), time: one(mapping.time), payer: one(mapping.payer), model: one(mapping.model) },
    ...{ operator: one(mapping.operator), tokensIn: one(mapping.tokensIn), tokensOut: one(mapping.tokensOut) },
    ...{ cost: one(mapping.cost), parent: one(mapping.parent) },
    ...{ prompt: one(mapping.prompt), answer: one(mapping.answer), amendment: one(mapping.amendment) },
  };
  return (record) => {
    const fields = Fields.of(record);
    if (!fields.ok) return fields;
    const execution = collect("csv", fields.value, names, defaults);
    return execution.ok ? ok([execution.value]) : execution;
  };
}
