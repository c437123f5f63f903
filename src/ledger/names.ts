import { toHex } from "../core/bytes.ts";
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

const PAYEE_PREFIX = "payee:";

/** What the own account of a payee, a 20-byte address, is known by: see {@link isReservedName}. */
export function payeeAccountName(address: Uint8Array): string {
  return PAYEE_PREFIX + toHex(address);
}

/** Payers of other gateways are called what they like, and none of them may be taken for a payee. */
export function isReservedName(external: string): boolean {
  return external.startsWith(PAYEE_PREFIX);
}
