import { ok, type Result, refuse } from "../core/result.ts";
import { parseCsv } from "../ingest/csv.ts";

/**
 * A manifest of models as rows that are still to be checked: a JSON list (or an object with `models`), JSON lines, or a CSV table with the columns
 * `name, datanet, version, by, owner, operator, licence, unit, royalty_bps, royalty_in, royalty_out, royalty_call, cost_in, cost_out, cost_call, parents_bps`.
 * `datanet` may name several as `a@3; b`.
 */
export function parseManifest(text: string): Result<readonly unknown[]> {
  const begun = text.trimStart();
  if (begun.startsWith("[")) {
    const list = parsed(text);
    return Array.isArray(list) ? ok(list) : refuse("invalid_request", "the manifest is not a JSON list");
  }
  if (begun.startsWith("{")) return parseObjects(text);
  const rows = parseCsv(text);
  return rows.ok ? ok(rows.value.map(modelOfRow)) : rows;
}

function parseObjects(text: string): Result<readonly unknown[]> {
  const whole = parsed(text);
  if (typeof whole === "object" && whole !== null) {
    const models = "models" in whole ? whole.models : [whole];
    return Array.isArray(models) ? ok(models) : refuse("invalid_request", "the manifest's `models` is not a list");
  }
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  // A line that is no JSON stays a text, which is refused under its number with the others.
  return ok(lines.map((line) => parsed(line) ?? line));
}

const numbers: Readonly<Record<string, string>> = { royaltyBps: "royalty_bps", parentsBps: "parents_bps" };
const texts = ["name", "owner", "operator", "licence", "unit"] as const;

function modelOfRow(row: unknown): unknown {
  const cells = new Map<string, unknown>(typeof row === "object" && row !== null ? Object.entries(row) : []);
  const cell = (name: string): string => String(cells.get(name) ?? "").trim();
  const model: Record<string, unknown> = {};
  for (const name of texts) if (cell(name) !== "") model[name] = cell(name);
  for (const [field, name] of Object.entries(numbers)) if (cell(name) !== "") model[field] = Number(cell(name));
  for (const line of ["royalty", "cost"]) {
    const prices = { inPerMillion: "in", outPerMillion: "out", perCall: "call" };
    const given = Object.entries(prices).filter(([, name]) => cell(`${line}_${name}`) !== "");
    if (given.length > 0)
      model[line] = Object.fromEntries(given.map(([field, name]) => [field, Number(cell(`${line}_${name}`))]));
  }
  const datanets = cell("datanet")
    .split(";")
    .filter((name) => name.trim() !== "");
  const by = cell("by");
  const version = cell("version");
  model["trainedOn"] = datanets.map((named) => {
    const [datanet, number = datanets.length === 1 ? version : ""] = named.trim().split("@");
    return { datanet, ...(number === "" ? {} : { version: Number(number) }), ...(by === "" ? {} : { by }) };
  });
  return model;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
