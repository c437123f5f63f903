import { ok, type Result } from "../core/result.ts";
import { collect, type Defaults, type FieldNames } from "./collect.ts";
import { Fields, type ReportedExecution } from "./reported.ts";

/** A row of LiteLLM's table `LiteLLM_SpendLogs`, exported as JSON or CSV, or from its `/spend/logs`. Failed calls cost nothing and are left out. */
const names: FieldNames = {
  id: ["request_id"],
  time: ["endTime", "startTime"],
  payer: ["team_id", "end_user", "user", "api_key"],
  // `model_id` is a hash of a deployment: of use only where nothing else is there.
  model: ["model_group", "model", "model_id"],
  operator: ["custom_llm_provider", "api_base"],
  tokensIn: ["prompt_tokens"],
  tokensOut: ["completion_tokens"],
  cost: ["spend"],
  parent: ["parent_request_id"],
  prompt: ["messages", "proxy_server_request"],
  answer: ["response"],
};

export function readLiteLlm(record: unknown, defaults: Defaults = {}): Result<readonly ReportedExecution[]> {
  const fields = Fields.of(record);
  if (!fields.ok) return fields;
  if (fields.value.any("status") === "failure") return ok([]);
  const execution = collect("litellm", fields.value, names, defaults);
  return execution.ok ? ok([execution.value]) : execution;
}
