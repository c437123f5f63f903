import type { Pool } from "pg";

/** One for each store. */
export type Schema = "ledger" | "datanets" | "payouts" | "factory" | "outputs";

/**
 * Brings a schema up to date: numbered steps, never changed once released, each in the transaction that records it, under a lock, since several nodes may start
 * at once. Returns the step that the database has where that is newer than this program knows.
 */
export async function migrate(
  pool: Pool,
  schema: Schema,
  steps: readonly string[],
): Promise<{ readonly newer: number | undefined }> {
  const client = await pool.connect();
  try {
    await client.query("SELECT pg_advisory_lock(hashtext($1))", [`openledger ${schema}`]);
    await client.query(`CREATE SCHEMA IF NOT EXISTS ${schema}`);
    await client.query(
      `CREATE TABLE IF NOT EXISTS ${schema}.migration (step integer PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())`,
    );
    const { rows } = await client.query<{ step: number | null }>(`SELECT max(step) AS step FROM ${schema}.migration`);
    const done = rows[0]?.step ?? 0;
    if (done > steps.length) return { newer: done };
    for (let step = done; step < steps.length; step++) {
      await client.query("BEGIN");
      await client.query(steps[step]!);
      await client.query(`INSERT INTO ${schema}.migration (step) VALUES ($1)`, [step + 1]);
      await client.query("COMMIT");
    }
    return { newer: undefined };
  } finally {
    // Ending the session gives the lock back, and undoes a step that failed half way.
    client.release(true);
  }
}
