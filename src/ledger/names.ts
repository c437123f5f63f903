import { ok, type Result, refuse } from "../core/result.ts";

/** A name without space around it, as every store can keep it: 1 to 120 characters, none of them a control character or half of one (a lone surrogate). */
export function named(text: string, what = "a name"): Result<string> {
  const name = text.trim();
  const isFine = name !== "" && name.length <= 120 && !/[\p{Cc}\p{Cs}]/u.test(name);
  if (isFine) return ok(name);
  return refuse("invalid_request", `${what} has 1 to 120 characters, no control characters among them`, {
    field: "name",
  });
}

/** PostgreSQL keeps every character in a text but this one. */
export function hasNul(text: string): boolean {
  return text.includes("\u0000");
}
