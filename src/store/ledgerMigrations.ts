/** Numbered and never changed once released: a new need is a new step. Each runs in the transaction that records it. */
export const ledgerSteps: readonly string[] = [
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
  `CREATE TABLE ledger.organisation (ledger bytea NOT NULL, id text NOT NULL, position bigserial, organisation jsonb NOT NULL, PRIMARY KEY (ledger, id));
   CREATE TABLE ledger.audit (ledger bytea NOT NULL, log text NOT NULL, number bigint NOT NULL, hash text NOT NULL, row json NOT NULL, PRIMARY KEY (ledger, log, number));
   CREATE TABLE ledger.spending (
     ledger bytea NOT NULL, day integer NOT NULL, key text NOT NULL, nano bigint NOT NULL, receipts bigint NOT NULL, tokens bigint NOT NULL,
     PRIMARY KEY (ledger, day, key));`,
  "ALTER TABLE ledger.epoch_leaves DROP COLUMN postings",
  `CREATE INDEX idempotency_reported ON ledger.idempotency USING hash (receipt) WHERE account = 'reported';
   CREATE INDEX idempotency_cause ON ledger.idempotency (ledger, response) WHERE account = 'reported' AND response IS NOT NULL;`,
];
