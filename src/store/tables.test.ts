import { Client } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type TestDatabase, testDatabase } from "../../test/support/testDatabase.ts";
import { ok, unwrap } from "../core/result.ts";
import { dumpTables, loadTables, type SnapshotFacts, type TableRows } from "./tables.ts";

const TABLES = `CREATE SCHEMA ledger; CREATE TABLE ledger.migration (step integer); INSERT INTO ledger.migration VALUES (2);
  CREATE TABLE ledger.shard (ledger bytea PRIMARY KEY);
  CREATE TABLE ledger.parent (id bigint PRIMARY KEY, position bigserial, body jsonb, bytes bytea, said text);
  CREATE TABLE ledger.a_child (parent bigint REFERENCES ledger.parent, amount numeric);
  CREATE SCHEMA other; CREATE TABLE other.foreign_to_us (x int); INSERT INTO other.foreign_to_us VALUES (1);`;
let from: TestDatabase;
let to: TestDatabase;

async function on(database: TestDatabase, text: string): Promise<readonly unknown[]> {
  const client = new Client({ connectionString: database.url });
  await client.connect();
  const { rows } = await client.query<Record<string, unknown>>(text);
  await client.end();
  return rows;
}

beforeAll(async () => {
  [from, to] = [await testDatabase(), await testDatabase()];
  await on(from, TABLES);
  await on(to, TABLES);
  await on(
    from,
    `INSERT INTO ledger.shard VALUES ('\\xAB');
     INSERT INTO ledger.parent (id, body, bytes, said) SELECT 9007199254740993 + i, jsonb_build_object('n', 12345678901234567890, 's', E'\\u2028"\\n'),
       decode(md5(i::text), 'hex'), E'line\\nbreak \\\\ "quoted" \\t' || i FROM generate_series(1, 2500) i;
     INSERT INTO ledger.a_child SELECT id, 0.000000001 FROM ledger.parent;`,
  );
});
afterAll(async () => {
  await from.drop();
  await to.drop();
});

async function dump(): Promise<{ readonly facts: SnapshotFacts; readonly batches: TableRows[] }> {
  const batches: TableRows[] = [];
  let facts: SnapshotFacts | undefined;
  unwrap(
    await dumpTables(
      from.url,
      async (found) => {
        facts = found;
        // What others write from now on is not of this instant.
        await on(from, "INSERT INTO ledger.a_child SELECT min(id), 7 FROM ledger.parent");
        return ok(undefined);
      },
      async (rows) => void batches.push(rows),
    ),
  );
  return { facts: facts!, batches };
}

async function* each(batches: readonly TableRows[]): AsyncIterable<TableRows> {
  yield* batches;
}

test("tables come back to the last bit, parents first, and numbers go on where they were; foreign schemas are left alone", async () => {
  const { facts, batches } = await dump();
  expect(facts).toEqual({ steps: { ledger: 2 }, ledgers: ["0xab"] });
  expect(batches.some(({ table }) => table.startsWith("other"))).toBe(false);
  expect(batches.flatMap(({ rows }) => rows).some((row) => row.includes("\n"))).toBe(false);
  const half = [...batches.slice(0, -1), { table: "ledger.absent", rows: ["{}"] }];
  expect(await loadTables(to.url, facts.steps, each(half))).toMatchObject({ error: { code: "invalid_request" } });
  expect(await on(to, "SELECT * FROM ledger.shard")).toEqual([]);
  unwrap(await loadTables(to.url, facts.steps, each(batches)));
  const sums = `SELECT md5(string_agg(p::text, ',' ORDER BY id)) AS parents, (SELECT count(*) FROM ledger.a_child WHERE amount < 1) AS children FROM ledger.parent p`;
  expect(await on(to, sums)).toEqual(await on(from, sums));
  expect(await on(to, "SELECT count(*) AS late FROM ledger.a_child WHERE amount = 7")).toEqual([{ late: "0" }]);
  const next = "INSERT INTO ledger.parent (id) VALUES (1) RETURNING position";
  expect(await on(to, next)).toEqual(await on(from, next));
  expect(await loadTables(to.url, facts.steps, each(batches))).toMatchObject({ error: { code: "already_exists" } });
  expect(await loadTables(to.url, { ledger: 1 }, each([]))).toMatchObject({ error: { code: "conflict" } });
});
