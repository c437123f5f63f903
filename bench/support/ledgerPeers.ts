import { randomBytes } from "node:crypto";
import { Pool } from "pg";
import { ENTRY_HEAD_BYTES } from "../../src/core/entry.ts";
import { receiptBytes } from "../../src/core/receipt.ts";
import { unwrap } from "../../src/core/result.ts";
import { openLedgerStore } from "../../src/store/ledgerStore.ts";
import type { Way } from "./ledgerWays.ts";

/** Receipts in a durable insert of the peers. */
const ROWS_BATCH = 200;
/** What fits the writer's half a mebibyte. */
const FLOOR_BATCH = 460;

/** What receipts of this size cost when they only have to be written: batches as large as the writer's, through the writer's own store. */
export async function sameBytes(url: string, legs: number, random: (size: number) => Uint8Array): Promise<Way> {
  const store = unwrap(await openLedgerStore({ url }));
  const ledger = random(32);
  const { term } = unwrap(await store.takeOver(ledger));
  const bytes = random(ENTRY_HEAD_BYTES + receiptBytes(legs));
  let size = 0;
  const work = async (): Promise<void> => {
    const first = size;
    size += FLOOR_BATCH;
    const entries = Array.from({ length: FLOOR_BATCH }, (_, i) => ({
      seq: first + i,
      kind: 6,
      receipt: random(16),
      bytes,
    }));
    unwrap(
      await store.append({
        ...{ ledger, term, entries, openings: [], idempotency: [], accounts: [], keys: [], movements: [] },
        ...{ organisations: [], audits: [], spending: [], epochMarks: [], epochLeaves: [], checkpoint: undefined },
      }),
    );
  };
  const name = "floor: the same bytes, no work before them";
  return { name, work, receipts: FLOOR_BATCH, inFlight: 1, close: () => store.close() };
}

/** A connection that the server ends, as when it stops, must not end the bench. */
export function openPool(url: string): Pool {
  const pool = new Pool({ connectionString: url, max: 4 });
  pool.on("error", () => undefined);
  pool.on("connect", (client) => client.on("error", () => undefined));
  return pool;
}

/** Rows of legs, 200 receipts' worth of them in each durable insert, two connections: an array for each column, which is the fastest insert that PostgreSQL has. */
export async function rowPerLeg(pool: Pool, legs: number): Promise<Way> {
  await pool.query(createLegs("leg"));
  return { name: "one row a leg, batched, arrays", work: insertLegs(pool, legs, insertInto("leg")), ...twoAtOnce };
}

/** The same rows as query builders insert them: a list of values with a parameter for each, as many as fit one statement. */
export async function rowPerLegAsLists(pool: Pool, legs: number): Promise<Way> {
  await pool.query(createLegs("listed_leg"));
  const places = Array.from({ length: ROWS_BATCH * legs }, (_, row) => {
    const numbers = COLUMNS.map((_type, i) => `$${row * COLUMNS.length + i + 1}`);
    return `(${numbers.join(", ")})`;
  });
  const text = `INSERT INTO listed_leg VALUES ${places.join(", ")}`;
  const nextRows = legRows(legs);
  const work = async (): Promise<void> => {
    const values: unknown[] = [];
    nextRows((row) => values.push(...row));
    await pool.query(text, values);
  };
  return { name: "one row a leg, batched, lists of values", work, ...twoAtOnce };
}

/** The same, and each payee's balance with it, in the same statement and so in the same transaction: what the journal replaces. */
export async function rowPerLegAndBalances(pool: Pool, legs: number): Promise<Way> {
  await pool.query(createLegs("balanced_leg"));
  await pool.query("CREATE TABLE payee_balance (payee bytea PRIMARY KEY, amount bigint NOT NULL)");
  // In order of payee: two transactions that credit the same payees would else wait for each other in a circle.
  const upsert = `INSERT INTO payee_balance SELECT payee, sum(amount) FROM legs GROUP BY payee ORDER BY payee
    ON CONFLICT (payee) DO UPDATE SET amount = payee_balance.amount + excluded.amount`;
  const text = `WITH legs AS (${insertInto("balanced_leg")} RETURNING payee, amount) ${upsert}`;
  return { name: "one row a leg and balances kept, batched, arrays", work: insertLegs(pool, legs, text), ...twoAtOnce };
}

const twoAtOnce = { receipts: ROWS_BATCH, inFlight: 2, close: () => Promise.resolve() };

function createLegs(table: string): string {
  return `CREATE TABLE ${table} (receipt bigint, leg smallint, role smallint, payee bytea, weight bigint, amount bigint, PRIMARY KEY (receipt, leg))`;
}

const COLUMNS = ["bigint", "smallint", "smallint", "bytea", "bigint", "bigint"] as const;

function insertInto(table: string): string {
  const columns = COLUMNS.map((type, i) => `$${i + 1}::${type}[]`);
  return `INSERT INTO ${table} SELECT * FROM unnest(${columns.join(", ")})`;
}

function insertLegs(pool: Pool, legs: number, text: string): () => Promise<void> {
  const nextRows = legRows(legs);
  return async () => {
    const columns: unknown[][] = COLUMNS.map(() => []);
    nextRows((row) => {
      for (let i = 0; i < row.length; i++) columns[i]!.push(row[i]);
    });
    await pool.query(text, columns);
  };
}

type LegRow = readonly [receipt: number, leg: number, role: number, payee: Buffer, weight: number, amount: number];

/** Hands over the rows of one batch, and each time those of the next. */
function legRows(legs: number): (take: (row: LegRow) => void) => void {
  const payees = Array.from({ length: legs }, () => randomBytes(32));
  let next = 0;
  return (take) => {
    const first = next;
    next += ROWS_BATCH;
    for (let receipt = first; receipt < first + ROWS_BATCH; receipt++)
      for (let leg = 0; leg < legs; leg++)
        take([receipt, leg, Math.min(leg, 4), payees[leg]!, 30_303, 15_151 + (receipt % 7)]);
  };
}

/** Calls of a function that moves an amount between two accounts: two entries, two balances, one durable transaction. */
export async function callPerLeg(pool: Pool, legs: number): Promise<Way> {
  await pool.query(`
    CREATE TABLE balance (account int PRIMARY KEY, amount bigint NOT NULL DEFAULT 0);
    CREATE TABLE posting (id bigserial PRIMARY KEY, account int NOT NULL REFERENCES balance, amount bigint NOT NULL, at timestamptz NOT NULL DEFAULT now());
    INSERT INTO balance SELECT generate_series(0, 999);
    CREATE FUNCTION transfer(payer int, payee int, part bigint) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM 1 FROM balance WHERE account IN (payer, payee) ORDER BY account FOR UPDATE;
      UPDATE balance SET amount = amount - part WHERE account = payer;
      UPDATE balance SET amount = amount + part WHERE account = payee;
      INSERT INTO posting (account, amount) VALUES (payer, -part), (payee, part);
    END $$`);
  let next = 0;
  const work = async (): Promise<void> => {
    next += 1;
    await pool.query("SELECT transfer($1, $2, 1000)", [next % 500, 500 + ((next * 7) % 500)]);
  };
  const name = "double entry in SQL, one call a leg";
  return { name, work, receipts: 1 / legs, inFlight: 4, close: () => Promise.resolve() };
}
