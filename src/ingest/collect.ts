import { ok, type Result, refuse } from "../core/result.ts";
import type { Fields, ReportedExecution } from "./reported.ts";

/** The names under which a source keeps what an execution needs. */
export interface FieldNames {
  readonly id: readonly string[];
  readonly time: readonly string[];
  readonly payer: readonly string[];
  readonly model: readonly string[];
  readonly operator: readonly string[];
  readonly tokensIn: readonly string[];
  readonly tokensOut: readonly string[];
  readonly cost: readonly string[];
  readonly parent: readonly string[];
  readonly prompt: readonly string[];
  readonly answer: readonly string[];
  readonly span?: readonly string[];
  readonly amendment?: readonly string[];
}

/** What stands in for a field that a record lacks. */
export interface Defaults {
  readonly payer?: string;
  readonly timeMs?: number;
  readonly model?: string;
}

/** Takes an execution out of a record. Refuses what has no id, no time, no payer or no model, and says which. */
export function collect(
  source: string,
  fields: Fields,
  names: FieldNames,
  defaults: Defaults = {},
): Result<ReportedExecution> {
  const id = fields.text(...names.id);
  if (!id.ok) return id;
  const payer = fields.text(...names.payer);
  if (!payer.ok) return payer;
  const model = fields.text(...names.model);
  if (!model.ok) return model;
  const operator = fields.text(...names.operator);
  if (!operator.ok) return operator;
  const parent = fields.text(...names.parent);
  if (!parent.ok) return parent;
  const time = fields.time(...names.time);
  if (!time.ok) return time;
  const tokensIn = fields.count(...names.tokensIn);
  if (!tokensIn.ok) return tokensIn;
  const tokensOut = fields.count(...names.tokensOut);
  if (!tokensOut.ok) return tokensOut;
  const cost = fields.dollars(...names.cost);
  if (!cost.ok) return cost;
  const timeMs = time.value ?? defaults.timeMs;
  const payerName = payer.value ?? defaults.payer;
  const modelName = model.value ?? defaults.model;
  if (id.value === undefined) return missing(names.id, "an id");
  if (timeMs === undefined) return missing(names.time, "a time");
  if (payerName === undefined) return missing(names.payer, "a payer");
  if (modelName === undefined) return missing(names.model, "a model");
  const span = fields.text(...(names.span ?? []));
  const isAmendment = fields.flag(...(names.amendment ?? ["amendment"]));
  const prompt = fields.content(...names.prompt);
  const answer = fields.content(...names.answer);
  return ok({
    ...{ source, id: id.value, timeMs, payer: payerName, model: modelName, operator: operator.value ?? "" },
    ...{ tokensIn: tokensIn.value ?? 0, tokensOut: tokensOut.value ?? 0 },
    ...(cost.value === undefined ? {} : { costNanoUsd: cost.value }),
    ...(parent.value === undefined ? {} : { parent: parent.value }),
    ...(span.ok && span.value !== undefined ? { span: span.value } : {}),
    ...(isAmendment ? { isAmendment } : {}),
    ...(prompt === undefined ? {} : { prompt }),
    ...(answer === undefined ? {} : { answer }),
  });
}

function missing(names: readonly string[], what: string): Result<never> {
  return refuse("invalid_request", `the record has not ${what}: ${names.join(" or ")} is missing`);
}
