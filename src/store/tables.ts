import { Client } from "pg";
import { ok, type Result, refuse } from "../core/result.ts";
import { storeRefusal } from "./storeErrors.ts";
import { asking } from "./transaction.ts";

/** All tables of a node's database as text, for a backup that does not stop it. */
export interface TableRows {
  /** With its schema, as SQL names it. */
  readonly table: string;
  /** One JSON object a row, as `row_to_json` writes it: no line breaks, bytes as hex, whole numbers to the last digit. */
  readonly rows: readonly string[];
}

export interface SnapshotFacts {
  /** The last migration step of each schema. */
  readonly steps: Readonly<Record<string, number>>;
  /** 32-byte ids of the ledgers that are kept here, as hex. */
  readonly ledgers: readonly string[];
}

/** Rows that are fetched, and inserted, at a time. */
const ROWS_AT_A_TIME = 1_000;
/** Parents before the tables that refer to them: tables are made in that order, and object ids ascend. A schema is ours if it has a table of migrations. */
const TABLES = `SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND c.relname <> 'migration' AND to_regclass(format('%I.migration', n.nspname)) IS NOT NULL ORDER BY c.oid`;

/**
 * Reads every table as it was at one instant (REPEATABLE READ), while others go on writing. `onFacts` comes first, then the rows, table by table.
 * Refuses as the database does, and as `onFacts` does.
 */
export async function dumpTables(
  url: string,
  onFacts: (facts: SnapshotFacts) => Promise<Result<void>>,
  onRows: (rows: TableRows) => Promise<void>,
): Promise<Result<void>> {
  return withClient(url, async (client) => {
    const ask = asking(client);
    await ask("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", []);
    const wanted = await onFacts({ steps: await stepsOf(client), ledgers: await ledgersOf(client) });
    if (!wanted.ok) return wanted;
    for (const table of await tablesOf(client)) {
      await ask(`DECLARE rows NO SCROLL CURSOR FOR SELECT row_to_json(t)::text AS row FROM ${table} t`, []);
      for (;;) {
        const { rows } = await ask<{ row: string }>(`FETCH ${ROWS_AT_A_TIME} FROM rows`, []);
        if (rows.length === 0) break;
        await onRows({ table, rows: rows.map(({ row }) => row) });
      }
      await ask("CLOSE rows", []);
    }
    await ask("COMMIT", []);
    return ok(undefined);
  });
}

/**
 * Puts the rows back into a database whose tables are there and empty, all of them or none.
 * Refuses with `already_exists` where there is something already, `conflict` where the tables are of another step.
 */
export async function loadTables(
  url: string,
  steps: SnapshotFacts["steps"],
  batches: AsyncIterable<TableRows>,
): Promise<Result<void>> {
  return withClient(url, async (client) => {
    const ask = asking(client);
    await ask("BEGIN", []);
    const fits = await checkPlace(client, steps);
    if (!fits.ok) return fits;
    const tables = new Set(await tablesOf(client));
    for await (const { table, rows } of batches) {
      if (!tables.has(table))
        return refuse("invalid_request", `the backup has rows of an unknown table ${table.slice(0, 80)}`);
      await ask(`INSERT INTO ${table} SELECT * FROM json_populate_recordset(NULL::${table}, $1::json)`, [
        `[${rows.join(",")}]`,
      ]);
    }
    await setSequences(client, tables);
    await ask("COMMIT", []);
    return ok(undefined);
  });
}

async function withClient(url: string, work: (client: Client) => Promise<Result<void>>): Promise<Result<void>> {
  const client = new Client({ connectionString: url, application_name: "openledger backup" });
  client.on("error", () => undefined);
  try {
    await client.connect();
  } catch (error) {
    return { ok: false, error: storeRefusal(error) };
  }
  try {
    // Ending the session takes back what was not committed.
    return await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function tablesOf(client: Client): Promise<string[]> {
  return (await asking(client)<{ name: string }>(TABLES, [])).rows.map(({ name }) => name);
}

async function stepsOf(client: Client): Promise<Record<string, number>> {
  const ask = asking(client);
  const { rows } = await ask<{ schema: string }>(
    "SELECT nspname AS schema FROM pg_namespace WHERE to_regclass(format('%I.migration', nspname)) IS NOT NULL ORDER BY nspname",
    [],
  );
  const steps: Record<string, number> = {};
  for (const { schema } of rows) {
    const found = await ask<{ step: number | null }>(`SELECT max(step) AS step FROM "${schema}".migration`, []);
    steps[schema] = found.rows[0]?.step ?? 0;
  }
  return steps;
}

async function ledgersOf(client: Client): Promise<string[]> {
  const { rows } = await asking(client)<{ id: string }>("SELECT encode(ledger, 'hex') AS id FROM ledger.shard", []);
  return rows.map(({ id }) => `0x${id}`);
}

async function checkPlace(client: Client, steps: SnapshotFacts["steps"]): Promise<Result<void>> {
  const here = await stepsOf(client);
  const other = Object.entries(steps).find(([schema, step]) => here[schema] !== step);
  if (other !== undefined) {
    const [schema, step] = other;
    return refuse(
      "conflict",
      `the backup's tables of ${schema} are of step ${step}, this program's of ${here[schema] ?? 0}`,
      {
        hint: "restore it with the version that made it, then update",
      },
    );
  }
  for (const table of await tablesOf(client)) {
    const { rows } = await asking(client)(`SELECT 1 FROM ${table} LIMIT 1`, []);
    if (rows.length > 0)
      return refuse("already_exists", `the database is not empty: ${table} has rows`, {
        hint: "restore into a new data folder, or an empty database",
      });
  }
  return ok(undefined);
}

/** What counts up goes on after the highest number that is there. */
async function setSequences(client: Client, tables: ReadonlySet<string>): Promise<void> {
  const ask = asking(client);
  for (const table of tables) {
    const { rows } = await ask<{ column: string; sequence: string }>(
      `SELECT a.attname AS column, pg_get_serial_sequence($1, a.attname) AS sequence FROM pg_attribute a
       WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped AND pg_get_serial_sequence($1, a.attname) IS NOT NULL`,
      [table],
    );
    for (const { column, sequence } of rows)
      await ask(
        `SELECT setval($1::regclass, (SELECT max("${column}") FROM ${table})) WHERE EXISTS (SELECT 1 FROM ${table})`,
        [sequence],
      );
  }
}
