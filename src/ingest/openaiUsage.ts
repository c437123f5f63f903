import { ok, type Result } from "../core/result.ts";
import { collect, type Defaults, type FieldNames } from "./collect.ts";
import { Fields, type ReportedExecution } from "./reported.ts";

/**
 * An OpenAI response as its client received it (chat completions, completions, or the Responses API), with `usage`. The payer is its `user`,
 * `safety_identifier` or `metadata.payer`, else the default that the sender names for the batch.
 */
const names: FieldNames = {
  id: ["id"],
  time: ["created", "created_at", "completed_at"],
  payer: ["user", "safety_identifier", "payer"],
  model: ["model"],
  operator: ["operator"],
  tokensIn: ["prompt_tokens", "input_tokens"],
  tokensOut: ["completion_tokens", "output_tokens"],
  cost: ["cost"],
  parent: ["parent"],
  prompt: ["messages", "input"],
  answer: ["choices", "output", "output_text"],
};

export function readOpenAi(record: unknown, defaults: Defaults = {}): Result<readonly ReportedExecution[]> {
  const outer = Fields.of(record);
  if (!outer.ok) return outer;
  const merged = new Map<string, unknown>();
  for (const inner of [outer.value.any("metadata"), outer.value.any("usage"), record])
    if (typeof inner === "object" && inner !== null)
      for (const [name, value] of Object.entries(inner)) merged.set(name, value);
  const execution = collect("openai", Fields.ofMap(merged), names, defaults);
  return execution.ok ? ok([execution.value]) : execution;
}
