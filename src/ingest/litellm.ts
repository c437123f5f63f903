import { ok, type Result } from "../core/result.ts";
import { collect, type Defaults, type FieldNames } from "./collect.ts";
import { Fields, type ReportedExecution } from "./reported.ts";

/**
 * A row of LiteLLM's table `LiteLLM_SpendLogs`, exported as JSON or CSV, or from its `/spend/logs`; or a `StandardLoggingPayload`, as its generic API callback
 * posts it, whose payer stands in `metadata`. Failed calls cost nothing and are left out.
 */
const names: FieldNames = {
  id: ["request_id", "id"],
  time: ["endTime", "startTime"],
  payer: [
    "team_id",
    "user_api_key_team_id",
    "end_user",
    "user",
    "user_api_key_user_id",
    "api_key",
    "user_api_key_hash",
  ],
  // `model_id` is a hash of a deployment: of use only where nothing else is there.
  model: ["model_group", "model", "model_id"],
  operator: ["custom_llm_provider", "api_base"],
  tokensIn: ["prompt_tokens"],
  tokensOut: ["completion_tokens"],
  cost: ["spend", "response_cost"],
  parent: ["parent_request_id"],
  prompt: ["messages", "proxy_server_request"],
  answer: ["response"],
};

export function readLiteLlm(record: unknown, defaults: Defaults = {}): Result<readonly ReportedExecution[]> {
  const outer = Fields.of(record);
  if (!outer.ok) return outer;
  if (outer.value.any("status") === "failure") return ok([]);
  const execution = collect("litellm", withMetadata(outer.value, record), names, defaults);
  return execution.ok ? ok([execution.value]) : execution;
}

/** The row's own fields come before those of its metadata, which an export to CSV holds as text. */
function withMetadata(fields: Fields, record: unknown): Fields {
  if (fields.any("request_id") !== undefined) return fields;
  const metadata = fields.any("metadata");
  if (typeof metadata !== "object" || metadata === null || typeof record !== "object" || record === null) return fields;
  return Fields.ofMap(new Map<string, unknown>([...Object.entries(metadata), ...Object.entries(record)]));
}
