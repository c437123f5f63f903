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

/**
 * A store over a schema that was brought up to date. Refuses `invalid_request` where the URL is none, and `store_unavailable` where the server cannot be reached or is
 * too old, or the schema is newer than this program or somebody else's.
 */
export async function openSchema<T>(
  config: PoolConfig,
  schema: Schema,
  steps: readonly string[],
  store: (pool: Pool) => T,
): Promise<Result<T>> {
  const { connectionString = "" } = config;
  // What is no URL is taken for a host or a file somewhere else, and the server's answer would be about that.
  if (!/^postgres(?:ql)?:/.test(connectionString) || !URL.canParse(connectionString))
    return refuse("invalid_request", "DATABASE_URL is not the URL of a PostgreSQL database", {
      hint: "for example postgres://user:password@127.0.0.1:5432/openledger; special characters in a password as %XX",
    });
  const pool = new Pool(config);
  // A connection that breaks is replaced, and whoever waits on it is told. Without listeners on both, a break would end the process.
  pool.on("error", () => undefined);
  pool.on("connect", (client) => client.on("error", () => undefined));
  try {
    const migrated = await migrate(pool, schema, steps);
    if (migrated.ok) return ok(store(pool));
    await pool.end();
    return migrated;
  } catch (error) {
    await pool.end();
    return { ok: false, error: storeRefusal(error) };
  }
}
