import { DatabaseError } from "pg";
import { expect, test } from "vitest";
import { storeRefusal } from "./storeErrors.ts";

const said = (code: string): DatabaseError => Object.assign(new DatabaseError("no", 2, "error"), { code });

// PostgreSQL manual, appendix A.
test.each([
  // the database says                           refusal              may pass by itself
  ["nothing: the connection broke", new Error("ECONNRESET"), "store_unavailable", true],
  ["disk_full", said("53100"), "disk_full", true],
  ["too_many_connections", said("53300"), "store_unavailable", true],
  ["cannot_connect_now", said("57P03"), "store_unavailable", true],
  ["read_only_sql_transaction", said("25006"), "store_unavailable", true],
  ["io_error", said("58030"), "store_unavailable", true],
  ["unique_violation", said("23505"), "conflict", undefined],
  ["invalid_password", said("28P01"), "store_unavailable", undefined],
  ["undefined_table", said("42P01"), "store_unavailable", undefined],
  ["character_not_in_repertoire", said("22021"), "store_unavailable", undefined],
])("%s", (_, error, code, mayPass) => {
  const refusal = storeRefusal(error);
  expect([refusal.code, refusal.mayPass]).toEqual([code, mayPass]);
});
