import { Pool, type PoolConfig } from "pg";
import { ok, type Result, refuse } from "../core/result.ts";
import { migrate, type Schema } from "./migrate.ts";
import { storeRefusal } from "./storeErrors.ts";

/** For a store that is asked seldom and holds nobody up. */
export function quietPool(url: string, schema: Schema): PoolConfig {
  return {
    ...{ connectionString: url, max: 2, connectionTimeoutMillis: 10_000 },
    // The server's own limit does not help where the line to it is dead.
    ...{ statement_timeout: 60_000, query_timeout: 70_000, keepAlive: true, application_name: `openledger ${schema}` },
  };
}

/** A store over a schema that was brought up to date. Refuses `store_unavailable` where the server cannot be reached, or the schema is newer than this program. */
export async function openSchema<T>(
  config: PoolConfig,
  schema: Schema,
  steps: readonly string[],
  store: (pool: Pool) => T,
): Promise<Result<T>> {
  const pool = new Pool(config);
  // A connection that breaks is replaced, and whoever waits on it is told. Without listeners on both, a break would end the process.
  pool.on("error", () => undefined);
  pool.on("connect", (client) => client.on("error", () => undefined));
  try {
    const { newer } = await migrate(pool, schema, steps);
    if (newer === undefined) return ok(store(pool));
    await pool.end();
    return refuse("store_unavailable", `the database is at step ${newer} of a newer OpenLedger`, {
      hint: "use the program that made it, or a newer one",
    });
  } catch (error) {
    await pool.end();
    return { ok: false, error: storeRefusal(error) };
  }
}
