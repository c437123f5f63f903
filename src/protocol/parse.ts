import type { z } from "zod";
import { ok, type Result, refuse } from "../core/result.ts";

/** Parses unknown input; the first issue becomes the refusal, its path the offending field. */
export function parseInput<T>(schema: z.ZodType<T>, input: unknown): Result<T> {
  const parsed = schema.safeParse(input);
  if (parsed.success) return ok(parsed.data);
  const [issue] = parsed.error.issues;
  const field = issue === undefined ? "" : issue.path.map(String).join(".");
  const message = issue?.message ?? "the input is not valid";
  if (field === "") return refuse("invalid_request", message);
  return refuse("invalid_request", `${field}: ${message}`, { field });
}

/** Parses JSON text; what is not JSON is refused, with the parser's own words. */
export function parseJson(text: string): Result<unknown> {
  try {
    return ok(JSON.parse(text));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return refuse("invalid_request", `the body is not JSON: ${reason.slice(0, 160)}`);
  }
}
