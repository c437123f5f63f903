import { DatabaseError } from "pg";
import { assert } from "../core/result.ts";
import type { StoreRefusal } from "../ledger/ports.ts";

/** What to do, by PostgreSQL's error code. */
const hints: Readonly<Record<string, string>> = {
  "28P01": "check user and password in DATABASE_URL; special characters in it are written as %XX",
  "28000": "check the user in DATABASE_URL, and that the server lets it in from here (pg_hba.conf)",
  "3D000": "make it: createdb NAME, or name another one in DATABASE_URL",
  "42501": "the user of DATABASE_URL has to own its database: ALTER DATABASE NAME OWNER TO USER",
};

/**
 * What the database said, as a refusal. A unique violation is a bug or a stale writer. What may pass by itself: a connection that broke, a server that is read-only (25006), out of
 * something (class 53), locked (55P03), shut down or starting (57), or without its disk (58); see appendix A of the PostgreSQL manual.
 */
export function storeRefusal(error: unknown): StoreRefusal {
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof DatabaseError ? (error.code ?? "") : undefined;
  if (code === "53100") return { code: "disk_full", message: `the database's disk is full: ${message}`, mayPass: true };
  if (code?.startsWith("23") === true)
    return { code: "conflict", message: `the database refused a duplicate: ${message}` };
  const hint = hints[code ?? ""] ?? "check that PostgreSQL runs and DATABASE_URL is right";
  const refusal = { code: "store_unavailable", message: `the database cannot be used now: ${message}`, hint } as const;
  return code === undefined || /^(08|25006|40|53|55P03|57|58)/.test(code) ? { ...refusal, mayPass: true } : refusal;
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
