import type { Pool, PoolClient } from "pg";
import { ok, type Result, refuse } from "../core/result.ts";

/** One for each store. */
export type Schema = "ledger" | "datanets" | "payouts" | "factory" | "outputs";

/**
 * Brings a schema up to date: numbered steps, never changed once released, each in the transaction that records it, under a lock, since several nodes may start
 * at once. Refuses `store_unavailable` where the server is too old, the schema is somebody else's, or is at a step that this program does not know.
 */
export async function migrate(pool: Pool, schema: Schema, steps: readonly string[]): Promise<Result<void>> {
  const client = await pool.connect();
  try {
    await client.query("SELECT pg_advisory_lock(hashtext($1))", [`openledger ${schema}`]);
    const usable = await checkServer(client, schema);
    if (!usable.ok) return usable;
    await client.query(`CREATE SCHEMA IF NOT EXISTS ${schema}`);
    await client.query(
      `CREATE TABLE IF NOT EXISTS ${schema}.migration (step integer PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())`,
    );
    const { rows } = await client.query<{ step: number | null }>(`SELECT max(step) AS step FROM ${schema}.migration`);
    const done = rows[0]?.step ?? 0;
    if (done > steps.length)
      return refuse("store_unavailable", `the database is at step ${done} of a newer OpenLedger`, {
        hint: "use the program that made it, or a newer one",
      });
    for (let step = done; step < steps.length; step++) {
      await client.query("BEGIN");
      await client.query(steps[step]!);
      await client.query(`INSERT INTO ${schema}.migration (step) VALUES ($1)`, [step + 1]);
      await client.query("COMMIT");
    }
    return ok(undefined);
  } finally {
    // Ending the session gives the lock back, and undoes a step that failed half way.
    client.release(true);
  }
}

/** The oldest PostgreSQL that it was run on. */
const SERVER_MIN = 15;

async function checkServer(client: PoolClient, schema: Schema): Promise<Result<void>> {
  const { rows } = await client.query<{ version: number; tables: number; migration: string | null }>(
    `SELECT current_setting('server_version_num')::int / 10000 AS version, to_regclass($1 || '.migration') AS migration,
     (SELECT count(*)::int FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1) AS tables`,
    [schema],
  );
  const { version = 0, tables = 0, migration } = rows[0] ?? {};
  if (version < SERVER_MIN)
    return refuse("store_unavailable", `the server is PostgreSQL ${version}; ${SERVER_MIN} or later is needed`, {
      hint: "update it, or leave DATABASE_URL away: the node then runs its own",
    });
  if (tables === 0 || migration !== null) return ok(undefined);
  return refuse("store_unavailable", `the database has a schema "${schema}" that OpenLedger did not make`, {
    hint: "name a database of its own in DATABASE_URL: createdb openledger",
  });
}
