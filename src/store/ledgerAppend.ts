import type { PoolClient } from "pg";
import { fromHex, toHex } from "../core/bytes.ts";
import type { Account } from "../ledger/ledger.ts";
import type { AppendBatch } from "../ledger/ports.ts";
import { byteaArray, int2Array, textArray } from "./binaryArray.ts";
import { organisationInserts, spendingColumns } from "./organisationAppend.ts";

/**
 * True when the term is over: then nothing was written. The shard's row stays locked at its term until the commit. What a receipt writes is
 * one statement, and so a transaction of its own; the rest, which is rare, follows it in one that is opened for it.
 */
export async function appendIn(client: PoolClient, batch: AppendBatch): Promise<boolean> {
  const rest = rareInserts(batch);
  if (rest.length === 0) return isFenced(client, batch);
  await client.query("BEGIN");
  if (await isFenced(client, batch)) {
    await client.query("ROLLBACK");
    return true;
  }
  for (const [text, values] of rest) await client.query(text, [...values]);
  await client.query("COMMIT");
  return false;
}

/** Writes entries, openings, idempotency keys and what metered keys spent under the term, if the shard is at it. A batch's seqs follow each other, so only the first is sent. */
async function isFenced(client: PoolClient, batch: AppendBatch): Promise<boolean> {
  const { ledger, term, entries, openings, idempotency } = batch;
  const values = [
    ...[bufferOf(ledger), term, entries[0]?.seq ?? 0],
    int2Array(entries.map((row) => row.kind)),
    byteaArray(entries.map((row) => row.receipt)),
    byteaArray(entries.map((row) => row.bytes)),
    byteaArray(openings.map((row) => row.receipt)),
    textArray(openings.map((row) => row.opening)),
    textArray(idempotency.map((row) => row.account)),
    textArray(idempotency.map((row) => row.key)),
    byteaArray(idempotency.map((row) => row.bodyHash)),
    byteaArray(idempotency.map((row) => row.receipt)),
    textArray(idempotency.map((row) => row.response)),
  ];
  const isMetered = batch.spending.length > 0;
  const statement = isMetered
    ? { name: "append metered", text: appendMetered, values: [...values, ...spendingColumns(batch.spending)] }
    : { name: "append", text: appendUnderTerm, values };
  const { rowCount } = await client.query(statement);
  return rowCount === 0;
}

/** What takes over changes the term's row, and waits for the lock; where it came first there is no row of our term, and nothing is joined to it. */
const append = `WITH shard AS MATERIALIZED (SELECT ledger FROM ledger.shard WHERE ledger = $1 AND term = $2 FOR SHARE),
  entries AS (INSERT INTO ledger.entry (ledger, seq, kind, receipt, bytes)
    SELECT ledger, $3::bigint + at - 1, kind, receipt, bytes
    FROM shard, unnest($4::smallint[], $5::bytea[], $6::bytea[]) WITH ORDINALITY AS t (kind, receipt, bytes, at)),
  openings AS (INSERT INTO ledger.opening (ledger, receipt, opening)
    SELECT ledger, receipt, opening FROM shard, unnest($7::bytea[], $8::text[]) AS t (receipt, opening)),
  idempotency AS (INSERT INTO ledger.idempotency (ledger, account, key, body_hash, receipt, response)
    SELECT ledger, account, key, body_hash, receipt, response
    FROM shard, unnest($9::text[], $10::text[], $11::bytea[], $12::bytea[], $13::text[]) AS t (account, key, body_hash, receipt, response))`;

const appendUnderTerm = `${append} SELECT 1 FROM shard`;

const appendMetered = `${append}, spending AS (INSERT INTO ledger.spending AS s (ledger, day, key, nano, receipts, tokens)
    SELECT ledger, day, key, nano, receipts, tokens
    FROM shard, unnest($14::integer[], $15::text[], $16::bigint[], $17::bigint[], $18::bigint[]) AS t (day, key, nano, receipts, tokens)
    ON CONFLICT (ledger, day, key) DO UPDATE SET nano = s.nano + excluded.nano, receipts = s.receipts + excluded.receipts, tokens = s.tokens + excluded.tokens)
  SELECT 1 FROM shard`;

function rareInserts(batch: AppendBatch): [text: string, values: readonly unknown[]][] {
  const { ledger, accounts, keys, movements, epochMarks, epochLeaves, checkpoint } = batch;
  const list: [string, readonly unknown[]][] = [];
  for (const account of accounts) {
    list.push([
      "INSERT INTO ledger.account (ledger, id, account) VALUES ($1, $2, $3) ON CONFLICT (ledger, id) DO UPDATE SET account = excluded.account",
      [ledger, account.id, accountJson(account)],
    ]);
  }
  for (const { hash, ...key } of keys) {
    list.push([
      "INSERT INTO ledger.api_key (ledger, id, hash, key) VALUES ($1, $2, $3, $4) ON CONFLICT (ledger, id) DO UPDATE SET hash = excluded.hash, key = excluded.key",
      [ledger, key.id, bufferOf(hash), JSON.stringify(key)],
    ]);
  }
  for (const { reference, kind, party, amount, block, note, timeMs } of movements) {
    list.push([
      "INSERT INTO ledger.movement (ledger, reference, kind, party, amount, block, note, time_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
      [ledger, reference, kind, party, amount, block, note, timeMs],
    ]);
  }
  list.push(...organisationInserts(batch));
  for (const { epoch, status, reference } of epochMarks) {
    list.push([
      "INSERT INTO ledger.epoch_mark VALUES ($1, $2, $3, $4) ON CONFLICT (ledger, epoch) DO UPDATE SET status = excluded.status, reference = excluded.reference",
      [ledger, epoch, status, reference],
    ]);
  }
  for (const { epoch, payouts, debits } of epochLeaves) {
    list.push([
      "INSERT INTO ledger.epoch_leaves (ledger, epoch, payouts, debits) VALUES ($1, $2, $3, $4)",
      [ledger, epoch, bufferOf(payouts), bufferOf(debits)],
    ]);
  }
  if (checkpoint !== undefined) {
    list.push([
      "INSERT INTO ledger.checkpoint VALUES ($1, $2, $3) ON CONFLICT (ledger) DO UPDATE SET seq = excluded.seq, state = excluded.state",
      [ledger, checkpoint.seq, bufferOf(checkpoint.state)],
    ]);
  }
  return list;
}

/** Whether the last thing that the batch writes is there. All of a batch is committed or nothing of it. */
export async function hasBatch(client: PoolClient, batch: AppendBatch): Promise<boolean> {
  const entry = batch.entries.at(-1);
  if (entry !== undefined) {
    const { rowCount } = await client.query(
      "SELECT 1 FROM ledger.entry WHERE ledger = $1 AND seq = $2 AND bytes = $3",
      [batch.ledger, entry.seq, bufferOf(entry.bytes)],
    );
    return rowCount === 1;
  }
  const movement = batch.movements.at(-1);
  if (movement !== undefined) {
    const { rowCount } = await client.query(
      "SELECT 1 FROM ledger.movement WHERE ledger = $1 AND reference = $2 AND time_ms = $3",
      [batch.ledger, movement.reference, movement.timeMs],
    );
    return rowCount === 1;
  }
  const audit = batch.audits.at(-1);
  if (audit !== undefined) {
    const { rowCount } = await client.query(
      "SELECT 1 FROM ledger.audit WHERE ledger = $1 AND log = $2 AND number = $3 AND hash = $4",
      [batch.ledger, audit.log, audit.number, audit.hash],
    );
    return rowCount === 1;
  }
  // Accounts, keys and marks are written again with the same values.
  return false;
}

/** Whether the entry before the batch's first is there. */
export async function follows(client: PoolClient, { ledger, entries }: AppendBatch): Promise<boolean> {
  const first = entries[0]?.seq ?? 0;
  if (first === 0) return true;
  const before = "SELECT 1 FROM ledger.entry WHERE ledger = $1 AND seq = $2";
  return (await client.query(before, [ledger, first - 1])).rowCount === 1;
}

/** An account as it is stored. */
export interface AccountJson {
  readonly id: string;
  readonly name: string;
  readonly payer: string;
  readonly pseudonym: string;
  readonly payee?: string;
  readonly proofDeadlineMs?: number;
  readonly walletKey?: string;
  readonly external?: string;
  readonly createdMs: number;
}

function accountJson({ payer, pseudonym, payee, ...rest }: Account): string {
  const json: AccountJson = {
    ...rest,
    payer: toHex(payer),
    pseudonym: toHex(pseudonym),
    ...(payee === undefined ? {} : { payee: toHex(payee) }),
  };
  return JSON.stringify(json);
}

export function accountOf({ payer, pseudonym, payee, ...rest }: AccountJson): Account {
  return {
    ...rest,
    payer: fromHex(payer),
    pseudonym: fromHex(pseudonym),
    ...(payee === undefined ? {} : { payee: fromHex(payee) }),
  };
}

function bufferOf(bytes: Uint8Array): Buffer;
function bufferOf(bytes: Uint8Array | undefined): Buffer | null;
function bufferOf(bytes: Uint8Array | undefined): Buffer | null {
  return bytes === undefined ? null : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
