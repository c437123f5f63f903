import { DatabaseError } from "pg";
import { assert, type Refusal } from "../core/result.ts";

/** What the database said, as a refusal. A unique violation is a bug or a stale writer, never a passing state; everything else may pass. */
export function storeRefusal(error: unknown): Refusal {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof DatabaseError && error.code === "53100")
    return { code: "disk_full", message: `the database's disk is full: ${message}` };
  if (error instanceof DatabaseError && error.code?.startsWith("23") === true)
    return { code: "conflict", message: `the database refused a duplicate: ${message}` };
  const hint = "check that PostgreSQL runs and DATABASE_URL is right";
  return { code: "store_unavailable", message: `the database cannot be used now: ${message}`, hint };
}

/** int8 comes as text. */
export function whole(text: string): number {
  const value = Number(text);
  assert(Number.isSafeInteger(value), `a whole number below 2^53, got ${text}`);
  return value;
}

export function isUniqueViolation(error: unknown): boolean {
  return error instanceof DatabaseError && error.code === "23505";
}
