import type { PoolClient } from "pg";
import { fromHex, toHex } from "../core/bytes.ts";
import type { Account } from "../ledger/ledger.ts";
import type { AppendBatch } from "../ledger/ports.ts";

/** True when the term is over: then nothing was written. The shard's row stays locked at its term until the commit. */
export async function appendIn(client: PoolClient, batch: AppendBatch): Promise<boolean> {
  const { ledger, term } = batch;
  await client.query("BEGIN");
  const shard = await client.query("SELECT 1 FROM ledger.shard WHERE ledger = $1 AND term = $2 FOR SHARE", [
    ledger,
    term,
  ]);
  if (shard.rowCount === 0) {
    await client.query("ROLLBACK");
    return true;
  }
  for (const [text, values] of inserts(batch)) await client.query(text, [...values]);
  await client.query("COMMIT");
  return false;
}

function inserts(batch: AppendBatch): [text: string, values: readonly unknown[]][] {
  const { ledger, entries, openings, idempotency, accounts, keys, movements, epochMarks, epochLeaves, checkpoint } =
    batch;
  const list: [string, readonly unknown[]][] = [];
  const add = (rows: readonly unknown[], text: string, ...columns: readonly (readonly unknown[])[]): void => {
    if (rows.length > 0) list.push([text, [ledger, ...columns]]);
  };
  if (entries.length > 0) list.push([insertEntries, [ledger, entries[0]!.seq, ...entryColumns(entries)]]);
  add(
    openings,
    "INSERT INTO ledger.opening SELECT $1, * FROM unnest($2::bytea[], $3::text[])",
    openings.map((row) => bufferOf(row.receipt)),
    openings.map((row) => row.opening),
  );
  add(
    idempotency,
    "INSERT INTO ledger.idempotency SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bytea[], $5::bytea[], $6::text[])",
    idempotency.map((row) => row.account),
    idempotency.map((row) => row.key),
    idempotency.map((row) => bufferOf(row.bodyHash)),
    idempotency.map((row) => bufferOf(row.receipt)),
    idempotency.map((row) => row.response ?? null),
  );
  for (const account of accounts) {
    list.push([
      "INSERT INTO ledger.account (ledger, id, account) VALUES ($1, $2, $3) ON CONFLICT (ledger, id) DO UPDATE SET account = excluded.account",
      [ledger, account.id, accountJson(account)],
    ]);
  }
  for (const { hash, ...key } of keys) {
    list.push([
      "INSERT INTO ledger.api_key (ledger, id, hash, key) VALUES ($1, $2, $3, $4) ON CONFLICT (ledger, id) DO UPDATE SET key = excluded.key",
      [ledger, key.id, bufferOf(hash), JSON.stringify(key)],
    ]);
  }
  for (const { reference, kind, party, amount, block, note, timeMs } of movements) {
    list.push([
      "INSERT INTO ledger.movement (ledger, reference, kind, party, amount, block, note, time_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
      [ledger, reference, kind, party, amount, block, note, timeMs],
    ]);
  }
  for (const { epoch, status, reference } of epochMarks) {
    list.push([
      "INSERT INTO ledger.epoch_mark VALUES ($1, $2, $3, $4) ON CONFLICT (ledger, epoch) DO UPDATE SET status = excluded.status, reference = excluded.reference",
      [ledger, epoch, status, reference],
    ]);
  }
  for (const { epoch, postings, payouts, debits } of epochLeaves) {
    list.push([
      "INSERT INTO ledger.epoch_leaves VALUES ($1, $2, $3, $4, $5)",
      [ledger, epoch, bufferOf(postings), bufferOf(payouts), bufferOf(debits)],
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

/**
 * Entries travel as one buffer and their lengths, for the driver writes an array of buffers as hex, which is twice as long and dear on both sides.
 * A batch's seqs follow each other, so only the first is sent.
 */
const insertEntries = `INSERT INTO ledger.entry (ledger, seq, kind, receipt, bytes)
  SELECT $1, $2::bigint + t.at - 1, t.kind, CASE WHEN t.receipt THEN substring($5::bytea FROM (t.at - 1)::int * 16 + 1 FOR 16) END,
         substring($6::bytea FROM t.start + 1 FOR t.length)
  FROM unnest($3::smallint[], $4::boolean[], $7::int[], $8::int[]) WITH ORDINALITY AS t (kind, receipt, start, length, at)`;

function entryColumns(entries: AppendBatch["entries"]): readonly unknown[] {
  const receipts = Buffer.alloc(entries.length * 16);
  const bytes = Buffer.allocUnsafe(entries.reduce((sum, entry) => sum + entry.bytes.length, 0));
  const starts: number[] = [];
  let at = 0;
  for (const [i, entry] of entries.entries()) {
    if (entry.receipt !== undefined) receipts.set(entry.receipt, i * 16);
    starts.push(at);
    bytes.set(entry.bytes, at);
    at += entry.bytes.length;
  }
  const kinds = entries.map((entry) => entry.kind);
  const named = entries.map((entry) => entry.receipt !== undefined);
  const lengths = entries.map((entry) => entry.bytes.length);
  return [kinds, named, receipts, bytes, starts, lengths];
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
  // Accounts, keys and marks are written again with the same values.
  return false;
}

/** An account as it is stored. */
export interface AccountJson {
  readonly id: string;
  readonly name: string;
  readonly payer: string;
  readonly pseudonym: string;
  readonly payee?: string;
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
