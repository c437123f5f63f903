import { ok, type Result, refuse } from "../core/result.ts";
import { collect, type Defaults, type FieldNames } from "./collect.ts";
import { Fields, type ReportedExecution } from "./reported.ts";

/**
 * A CloudEvent 1.0 in its JSON form, as OpenMeter's clients send it: `subject` pays, `data` holds model and tokens. OpenMeter's token events name one
 * direction each by `data.type` (`input` or `output`): its other direction is 0. Source and id together identify an event (CloudEvents 1.0, section `id`).
 * A time may be left out there (section `time`); the same event sent again has to be the same, so no time of ours stands in for it.
 */
const names: FieldNames = {
  id: ["eventId"],
  time: ["time"],
  payer: ["subject"],
  model: ["model", "model_name"],
  operator: ["operator", "provider"],
  tokensIn: ["input_tokens", "prompt_tokens", "tokens_in"],
  tokensOut: ["output_tokens", "completion_tokens", "tokens_out"],
  cost: ["cost", "cost_usd"],
  parent: ["parent"],
  prompt: ["prompt", "messages"],
  answer: ["answer", "response", "completion"],
};

export function readCloudEvent(record: unknown, defaults: Defaults = {}): Result<readonly ReportedExecution[]> {
  const event = Fields.of(record);
  if (!event.ok) return event;
  const version = event.value.any("specversion");
  if (version !== "1.0") return refuse("invalid_request", "specversion is not 1.0");
  const id = event.value.text("id");
  if (!id.ok) return id;
  const origin = event.value.text("source");
  if (!origin.ok) return origin;
  const data = event.value.any("data");
  const fields = new Map<string, unknown>(typeof data === "object" && data !== null ? Object.entries(data) : []);
  if (fields.has("tokens")) {
    const { type } = Object.fromEntries(fields);
    fields.set(type === "input" || type === "prompt" ? "tokens_in" : "tokens_out", fields.get("tokens"));
  }
  fields.set("eventId", id.value === undefined ? undefined : `${origin.value ?? ""}#${id.value}`);
  fields.set("subject", event.value.any("subject"));
  fields.set("time", event.value.any("time"));
  const execution = collect("cloudevents", Fields.ofMap(fields), names, { timeMs: 0, ...defaults });
  return execution.ok ? ok([execution.value]) : execution;
}
