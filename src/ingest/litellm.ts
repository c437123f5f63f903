import { ok, type Result, refuse } from "../core/result.ts";
import { collect, type Defaults, type FieldNames } from "./collect.ts";
import type { CsvMapping } from "./csv.ts";
import { Fields, type ReportedExecution } from "./reported.ts";

/**
 * A row of LiteLLM's table `LiteLLM_SpendLogs` (its schema.prisma), as `/spend/logs`, a page of `/spend/logs/v2`, an export to CSV or its message queue has it; or a
 * `StandardLoggingPayload`, as its generic API callback posts it, whose payer stands in `metadata`.
 */
const names: FieldNames = {
  id: ["request_id", "id"],
  time: ["endTime", "startTime"],
  payer: [
    ...["team_id", "user_api_key_team_id", "organization_id", "user_api_key_org_id"],
    ...["end_user", "user", "user_api_key_user_id", "api_key", "user_api_key_hash"],
  ],
  // `model_id` is a hash of a deployment: of use only where nothing else is there.
  model: ["model_group", "model", "mcp_namespaced_tool_name", "model_id"],
  operator: ["custom_llm_provider", "api_base"],
  tokensIn: ["prompt_tokens"],
  tokensOut: ["completion_tokens"],
  cost: ["spend", "response_cost"],
  parent: ["parent_request_id"],
  prompt: ["messages", "proxy_server_request"],
  answer: ["response"],
};

/** Columns that were named go before those that the source is known to have. */
export function readLiteLlm(
  record: unknown,
  defaults: Defaults = {},
  mapping: Partial<CsvMapping> = {},
): Result<readonly ReportedExecution[]> {
  const row = Fields.of(record);
  if (!row.ok) return row;
  const fields = row.value;
  if (fields.any(...names.id) === undefined && fields.any("models") !== undefined)
    return refuse(
      "invalid_request",
      "the record is the summary of a day, not an execution: ask LiteLLM for /spend/logs?summarize=false, or /spend/logs/v2",
    );
  const metadata = lazily(() => fields.record("metadata"));
  if (isFailed(fields, metadata)) return ok([]);
  const whole = Fields.chain([tokensOf(fields, metadata), () => fields, metadata]);
  const execution = collect("litellm", whole, withColumns(mapping), defaults);
  return execution.ok ? ok([execution.value]) : execution;
}

function withColumns(mapping: Partial<CsvMapping>): FieldNames {
  let named = names;
  for (const [field, column] of Object.entries(mapping))
    if (field in names) named = { ...named, [field]: [column, ...(Reflect.get(names, field) ?? [])] };
  return named;
}

/** Metadata is a text of kilobytes in some exports, and most rows say all in their columns. */
function lazily(read: () => Fields | undefined): Source {
  let known: Fields | undefined | null = null;
  return () => {
    if (known === null) known = read();
    return known;
  };
}

type Source = () => Fields | undefined;

/** A failed call is no execution, and costs nothing. One that costs something was cut short, and is. Rows of old versions say it in their metadata alone. */
function isFailed(fields: Fields, metadata: Source): boolean {
  if ((fields.any("status") ?? metadata()?.any("status")) !== "failure") return false;
  const cost = fields.dollars(...names.cost);
  return cost.ok && (cost.value ?? 0) === 0;
}

/** Where the columns have no tokens by direction: those of the usage that the provider sent, or all of them as read, as for embeddings. */
function tokensOf(fields: Fields, metadata: Source): Source {
  if (tokensIn(fields) > 0 || !(Number(fields.any("total_tokens")) > 0)) return () => undefined;
  const usage = metadata()?.record("usage_object");
  if (usage !== undefined && tokensIn(usage) > 0) return () => usage;
  return () => Fields.ofMap(new Map([["prompt_tokens", fields.any("total_tokens")]]));
}

function tokensIn(fields: Fields): number {
  return Number(fields.any("prompt_tokens") ?? 0) + Number(fields.any("completion_tokens") ?? 0);
}
