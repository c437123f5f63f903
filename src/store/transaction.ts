import type { Client, Pool, PoolClient, QueryResult, QueryResultRow } from "pg";
import { RefusalError, type Result } from "../core/result.ts";
import { isUniqueViolation, storeRefusal } from "./storeErrors.ts";

/** One statement. Throws a {@link RefusalError} where the database fails; anything else that is thrown around it is a bug and stays one. */
export type Ask = <T extends QueryResultRow>(text: string, values: readonly unknown[]) => Promise<QueryResult<T>>;

export function asking(on: Pool | PoolClient | Client): Ask {
  return async <T extends QueryResultRow>(text: string, values: readonly unknown[]) => {
    try {
      return await on.query<T>(text, [...values]);
    } catch (error) {
      throw refusalError(error);
    }
  };
}

/**
 * Commits what was done where it succeeded, else takes it back. READ COMMITTED whatever the server's default is: a row that was waited for is read as it is then.
 * A commit whose answer is lost is refused with `store_unavailable`, though it may have been written.
 */
export async function inTransaction<T>(pool: Pool, work: (ask: Ask) => Promise<Result<T>>): Promise<Result<T>> {
  let client: PoolClient | undefined;
  try {
    client = await pool.connect().catch((error: unknown) => {
      throw refusalError(error);
    });
    const ask = asking(client);
    await ask("BEGIN ISOLATION LEVEL READ COMMITTED", []);
    const done = await work(ask);
    await ask(done.ok ? "COMMIT" : "ROLLBACK", []);
    client.release();
    return done;
  } catch (error) {
    // A session that failed in the middle of a transaction is ended and not given back.
    client?.release(true);
    if (error instanceof RefusalError) return { ok: false, error: error.refusal };
    throw error;
  }
}

function refusalError(error: unknown): RefusalError {
  if (!isUniqueViolation(error)) return new RefusalError(storeRefusal(error));
  const message = "somebody else wrote the same at the same time";
  return new RefusalError({ code: "conflict", message, hint: "look again, then try again" });
}
