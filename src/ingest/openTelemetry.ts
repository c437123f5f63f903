import { ok, type Result, refuse } from "../core/result.ts";
import { collect, type Defaults, type FieldNames } from "./collect.ts";
import { Fields, type Reading, type ReportedExecution } from "./reported.ts";

/**
 * OpenTelemetry GenAI spans as OTLP/HTTP JSON (`ExportTraceServiceRequest`): semantic conventions up to 1.36 (`gen_ai.system`, `gen_ai.prompt`) and from
 * 1.37 (`gen_ai.provider.name`, `gen_ai.input.messages`). Spans that are no inference are left out. The payer is `enduser.id`, `user.id`, `tenant.id`, or the service's name.
 */
const names: FieldNames = {
  id: ["gen_ai.response.id", "span"],
  time: ["end"],
  payer: ["openledger.payer", "enduser.id", "user.id", "tenant.id", "service.name"],
  model: ["gen_ai.response.model", "gen_ai.request.model"],
  operator: ["gen_ai.provider.name", "gen_ai.system", "server.address"],
  tokensIn: ["gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"],
  tokensOut: ["gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"],
  cost: ["gen_ai.usage.cost", "gen_ai.usage.total_cost"],
  parent: ["parentSpan"],
  span: ["span"],
  amendment: ["openledger.amendment"],
  prompt: ["gen_ai.input.messages", "gen_ai.prompt"],
  answer: ["gen_ai.output.messages", "gen_ai.completion"],
};
const inferences = new Set(["chat", "text_completion", "generate_content", "completion"]);

/** Each span by itself: rows are spans, in their order, from 1; spans that are no inference leave no reading. */
export function readSpans(record: unknown, defaults: Defaults = {}): Result<Reading[]> {
  const outer = Fields.of(record);
  if (!outer.ok) return outer;
  const resources = outer.value.any("resourceSpans");
  if (!Array.isArray(resources)) return refuse("invalid_request", "the record has no resourceSpans");
  const readings: Reading[] = [];
  let row = 0;
  for (const resource of resources) {
    const common = new Map<string, unknown>();
    readAttributes(common, pick(pick(resource, "resource"), "attributes"));
    for (const span of list(pick(resource, "scopeSpans")).flatMap((scope) => list(pick(scope, "spans")))) {
      row += 1;
      const found = readSpan(span, common, defaults);
      if (!found.ok) readings.push({ row, ok: false, message: found.error.message });
      else if (found.value !== undefined) readings.push({ row, ok: true, execution: found.value });
    }
  }
  return ok(readings);
}

function readSpan(
  span: unknown,
  common: ReadonlyMap<string, unknown>,
  defaults: Defaults,
): Result<ReportedExecution | undefined> {
  const fields = new Map(common);
  readAttributes(fields, pick(span, "attributes"));
  const operation = fields.get("gen_ai.operation.name");
  const isInference =
    operation === undefined
      ? fields.has("gen_ai.request.model")
      : typeof operation === "string" && inferences.has(operation);
  if (!isInference) return ok(undefined);
  const trace = textOf(pick(span, "traceId"));
  fields.set("span", `${trace}-${textOf(pick(span, "spanId"))}`);
  const parent = pick(span, "parentSpanId");
  if (typeof parent === "string" && parent !== "") fields.set("parentSpan", `${trace}-${parent}`);
  fields.set("end", pick(span, "endTimeUnixNano"));
  return collect("opentelemetry", Fields.ofMap(fields), names, defaults);
}

/** OTLP's key-value lists: int64 values are texts, arrays and key-value lists become plain values. */
function readAttributes(into: Map<string, unknown>, attributes: unknown): void {
  for (const attribute of list(attributes)) {
    const key = pick(attribute, "key");
    if (typeof key === "string") into.set(key, plain(pick(attribute, "value")));
  }
}

function plain(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  const [entry] = Object.entries(value);
  if (entry === undefined) return undefined;
  const [type, inner] = entry;
  if (type === "intValue") return Number(inner);
  if (type === "arrayValue") return list(pick(inner, "values")).map(plain);
  if (type === "kvlistValue") {
    const fields = new Map<string, unknown>();
    readAttributes(fields, pick(inner, "values"));
    return Object.fromEntries(fields);
  }
  return inner;
}

function pick(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && name in value ? Reflect.get(value, name) : undefined;
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
