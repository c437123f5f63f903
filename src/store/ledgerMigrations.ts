import type { Pool } from "pg";

/** Numbered and never changed once released: a new need is a new step. Each runs in the transaction that records it. */
const steps: readonly string[] = [
  `CREATE TABLE ledger.shard (ledger bytea PRIMARY KEY, term bigint NOT NULL);
   CREATE TABLE ledger.entry (
     ledger bytea NOT NULL, seq bigint NOT NULL, kind smallint NOT NULL, receipt bytea, bytes bytea NOT NULL,
     PRIMARY KEY (ledger, seq));
   CREATE UNIQUE INDEX entry_receipt ON ledger.entry (ledger, receipt) WHERE kind = 6;
   CREATE INDEX entry_correction ON ledger.entry (ledger, receipt, seq) WHERE kind = 9;
   CREATE INDEX entry_epoch ON ledger.entry (ledger, seq) WHERE kind = 11;
   CREATE TABLE ledger.opening (ledger bytea NOT NULL, receipt bytea NOT NULL, opening text NOT NULL, PRIMARY KEY (ledger, receipt));
   CREATE TABLE ledger.idempotency (
     ledger bytea NOT NULL, account text NOT NULL, key text NOT NULL, body_hash bytea NOT NULL, receipt bytea NOT NULL, response text,
     PRIMARY KEY (ledger, account, key));
   CREATE TABLE ledger.account (ledger bytea NOT NULL, id text NOT NULL, position bigserial, account jsonb NOT NULL, PRIMARY KEY (ledger, id));
   CREATE TABLE ledger.api_key (ledger bytea NOT NULL, id text NOT NULL, position bigserial, hash bytea NOT NULL, key jsonb NOT NULL, PRIMARY KEY (ledger, id));
   CREATE TABLE ledger.movement (
     ledger bytea NOT NULL, reference text NOT NULL, kind text NOT NULL, party text NOT NULL, amount bigint NOT NULL,
     block bigint NOT NULL, note text NOT NULL, time_ms bigint NOT NULL, PRIMARY KEY (ledger, reference));
   CREATE TABLE ledger.epoch_mark (ledger bytea NOT NULL, epoch bigint NOT NULL, status text NOT NULL, reference text NOT NULL, PRIMARY KEY (ledger, epoch));
   CREATE TABLE ledger.epoch_leaves (
     ledger bytea NOT NULL, epoch bigint NOT NULL, postings bytea NOT NULL, payouts bytea NOT NULL, debits bytea NOT NULL, PRIMARY KEY (ledger, epoch));
   CREATE TABLE ledger.checkpoint (ledger bytea PRIMARY KEY, seq bigint NOT NULL, state bytea NOT NULL);`,
];

/** Any number that nothing else in the database locks. */
const LOCK = 7_305_001;

/** Brings the schema up to date; several nodes may start at once. The version that the database has, if it is newer than this program knows. */
export async function migrateLedger(pool: Pool): Promise<{ readonly newer: number | undefined }> {
  const client = await pool.connect();
  try {
    await client.query("SELECT pg_advisory_lock($1)", [LOCK]);
    await client.query("CREATE SCHEMA IF NOT EXISTS ledger");
    await client.query(
      "CREATE TABLE IF NOT EXISTS ledger.migration (step integer PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())",
    );
    const { rows } = await client.query<{ step: number | null }>("SELECT max(step) AS step FROM ledger.migration");
    const done = rows[0]?.step ?? 0;
    if (done > steps.length) return { newer: done };
    for (let step = done; step < steps.length; step++) {
      await client.query("BEGIN");
      await client.query(steps[step]!);
      await client.query("INSERT INTO ledger.migration (step) VALUES ($1)", [step + 1]);
      await client.query("COMMIT");
    }
    return { newer: undefined };
  } finally {
    await client.query("SELECT pg_advisory_unlock($1)", [LOCK]).catch(() => undefined);
    client.release();
  }
}
