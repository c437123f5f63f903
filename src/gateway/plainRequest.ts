import type { ChatRequest, CompletionRequest } from "../protocol/completions.ts";

/**
 * Says at once that a request is a valid one of the common kind. Only those are: whatever is unusual, wrong or new to this list is left to the schema,
 * which alone decides and refuses. So this can be too strict without harm, and a test holds that it is never too lenient. The schema costs ten times as much.
 */
export function isPlainChat(body: unknown): body is ChatRequest {
  if (!isPlainObject(body) || !("model" in body) || !("messages" in body)) return false;
  for (const name in body) {
    const value = body[name];
    const isFine =
      name === "messages"
        ? isPlainMessages(value)
        : name === "max_completion_tokens"
          ? isTokens(value)
          : isPlainSampling(name, value);
    if (!isFine) return false;
  }
  return true;
}

export function isPlainCompletion(body: unknown): body is CompletionRequest {
  if (!isPlainObject(body) || !("model" in body) || !("prompt" in body)) return false;
  for (const name in body) {
    const value = body[name];
    if (name === "prompt" ? typeof value !== "string" : !isPlainSampling(name, value)) return false;
  }
  return true;
}

function isPlainSampling(name: string, value: unknown): boolean {
  switch (name) {
    case "model":
      return typeof value === "string" && value.length >= 1 && value.length <= 256;
    case "max_tokens":
      return isTokens(value);
    case "temperature":
      return typeof value === "number" && value >= 0 && value <= 2;
    case "top_p":
      return typeof value === "number" && value > 0 && value <= 1;
    case "seed":
      return Number.isSafeInteger(value);
    case "stop":
      return typeof value === "string" && value.length <= 256;
    case "stream":
      return typeof value === "boolean";
    case "stream_options":
      return isUsageOption(value);
    default:
      return false;
  }
}

function isPlainMessages(value: unknown): boolean {
  if (!Array.isArray(value) || value.length < 1 || value.length > 4_096) return false;
  for (const message of value) {
    if (!isPlainObject(message)) return false;
    let known = 0;
    for (const name in message) {
      const field = message[name];
      if (name === "role" ? !isRole(field) : name !== "content" || typeof field !== "string") return false;
      known += 1;
    }
    if (known !== 2) return false;
  }
  return true;
}

function isUsageOption(value: unknown): boolean {
  if (!isPlainObject(value)) return false;
  for (const name in value) if (name !== "include_usage" || typeof value[name] !== "boolean") return false;
  return true;
}

function isRole(value: unknown): boolean {
  return value === "user" || value === "assistant" || value === "system" || value === "developer";
}

function isTokens(value: unknown): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 1_000_000;
}

function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
