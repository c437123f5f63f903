import { Pool as PostgresPool } from "pg";
import { Pool } from "undici";
import { noPrices } from "../src/core/quote.ts";
import { assert, unwrap } from "../src/core/result.ts";
import { Gateway } from "../src/gateway/gateway.ts";
import { executionsSchema } from "../src/protocol/executions.ts";
import { benchWorld, openBenchLedger } from "./support/benchLedger.ts";
import { type SpendRow, seeded, spendRow } from "./support/spendRows.ts";

const ROWS_A_BATCH = 1_000;
const BATCHES = 100;
const IN_FLIGHT = 3;
const MODELS = 300;
const CONTRIBUTORS = 200;
const month = { teams: 40, models: MODELS, fromMs: Date.UTC(2026, 9, 1), untilMs: Date.UTC(2026, 10, 1) };

/**
 * Reported executions a second: LiteLLM spend rows posted to the gateway over HTTP in batches of 1,000 and booked as journalled, durable receipts.
 * Among them rows that were sent before, rows that come weeks late, and later words on rows that were booked. Beside it, on the same server and in the
 * same run, what one would write without a ledger: one INSERT a row, ignoring those that are there.
 */
export async function run(): Promise<void> {
  const bench = await openBenchLedger();
  try {
    const bodies = makeBatches();
    const booked = await postAll(bench.ledger, bodies);
    const plain = await insertRows(bench.url, bodies.slice(0, 5));
    const rowsASecond = Math.round((BATCHES * ROWS_A_BATCH) / booked.seconds);
    const ratio = Math.round((10 * rowsASecond) / plain) / 10;
    console.table([
      { way: "reported executions, batches of 1,000 over HTTP", rowsASecond, ratio: 1 },
      { way: "one INSERT a row, 4 connections", rowsASecond: Math.round(plain), ratio },
    ]);
    console.log(
      `of ${BATCHES * ROWS_A_BATCH} rows: ${booked.booked} booked, ${booked.known} known, ${booked.corrected} corrected`,
    );
    console.log(JSON.stringify({ bench: "ingest", ...booked, rowsASecond, insertsASecond: Math.round(plain), ratio }));
  } finally {
    await bench.stop();
  }
}

/**
 * In each batch 5 % were sent before, 5 % are of the month before, and 2 of 1,000 amend a row of an earlier batch. Kept as bytes, so that
 * what is measured does not share its heap with a hundred thousand rows.
 */
function makeBatches(): readonly Buffer[] {
  const random = seeded(7);
  const late = { ...month, fromMs: Date.UTC(2026, 8, 1), untilMs: Date.UTC(2026, 9, 1) };
  const bodies: Buffer[] = [];
  const earlier = (batch: number): string[] => (bodies[batch]?.toString("utf8") ?? "").split("\n");
  for (let batch = 0; batch < BATCHES; batch++) {
    const known = batch === 0 ? [] : earlier(Math.floor(random() * batch));
    const amended =
      batch === 0
        ? []
        : earlier(batch - 1)
            .slice(10, 12)
            .map(amendment);
    const lines = Array.from({ length: ROWS_A_BATCH }, (_, i) => {
      const draw = random();
      const again = draw < 0.05 ? known[2 + Math.floor(random() * (known.length - 2))] : undefined;
      const row = again ?? JSON.stringify(spendRow(batch * ROWS_A_BATCH + i, random, draw > 0.95 ? late : month));
      return amended[i] ?? row;
    });
    bodies.push(Buffer.from(lines.join("\n")));
  }
  return bodies;
}

function amendment(line: string): string {
  const row: SpendRow = JSON.parse(line);
  return JSON.stringify({
    ...row,
    spend: row.spend.replace(/\d$/, (digit) => String((Number(digit) + 1) % 10)),
    amendment: true,
  });
}

type BenchLedger = Awaited<ReturnType<typeof openBenchLedger>>["ledger"];

async function postAll(ledger: BenchLedger, bodies: readonly Buffer[]) {
  const operator = benchWorld.randomBytes(32);
  const reports = { payers: "open", credit: "arrears", operator } as const;
  const gateway = new Gateway({ world: benchWorld, ledger, reports });
  await registerModels(ledger, gateway, operator);
  const account = unwrap(await ledger.accounts.open({ name: "owner" })).id;
  const { secret } = unwrap(await ledger.accounts.createKey({ account, name: "owner", admin: true }));
  const { url } = unwrap(await gateway.listen(0));
  const pool = new Pool(url, { connections: IN_FLIGHT });
  const headers = { authorization: `Bearer ${secret}`, "content-type": "application/x-ndjson" };
  const counts = { booked: 0, known: 0, corrected: 0 };
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let body = bodies[next++]; body !== undefined; body = bodies[next++]) {
      const path = "/api/executions?format=litellm&rows=refused";
      const answer = await pool.request({ method: "POST", path, headers, body });
      const view = executionsSchema.parse(await answer.body.json());
      assert(
        view.refused === 0,
        `no row is refused: ${view.rows.find(({ outcome }) => outcome === "refused")?.reason}`,
      );
      counts.booked += view.booked;
      counts.known += view.known;
      counts.corrected += view.corrected;
    }
  };
  const [began, cpu] = [performance.now(), process.cpuUsage()];
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  const seconds = (performance.now() - began) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  await pool.close();
  await gateway.drain(1_000);
  // Of gateway, ledger and client together; the database's is beside it.
  const cpuMicrosARow = Math.round((user + system) / (BATCHES * ROWS_A_BATCH));
  return { ...counts, seconds: Math.round(seconds * 100) / 100, cpuMicrosARow };
}

async function registerModels(ledger: BenchLedger, gateway: Gateway, operator: Uint8Array): Promise<void> {
  const people = Array.from({ length: CONTRIBUTORS }, () => benchWorld.randomBytes(32));
  const terms = { unit: "nano", royalty: noPrices, parentsBps: 0, licence: "MIT" } as const;
  for (let i = 0; i < MODELS; i++) {
    const asset = benchWorld.randomBytes(32);
    unwrap(
      await ledger.assets.register({
        id: asset,
        kind: "model",
        owner: operator,
        contentRoot: asset,
        terms,
        parents: [],
      }),
    );
    const shares = people.map((payee, at) => ({ payee, type: "identity", weight: 1 + ((at * 7 + i) % 50) }) as const);
    const pool = unwrap(await ledger.assets.declare(asset, shares));
    gateway.catalog.reported.put({
      ...{
        name: `adapter-${i}`,
        asset,
        ownedBy: "bench",
        operator,
        createdMs: 0,
        datanets: [],
        pool,
        isUndeclared: false,
      },
      ...{ contributors: CONTRIBUTORS, terms: { unit: "nano", cost: noPrices, royalty: noPrices, royaltyBps: 3_000 } },
    });
  }
}

/** Rows a second of a plain table: durable, each by itself, as many at once as the pool has connections. */
async function insertRows(url: string, bodies: readonly Buffer[]): Promise<number> {
  const rows = bodies.flatMap((body) => body.toString("utf8").split("\n")).map((line): SpendRow => JSON.parse(line));
  const pool = new PostgresPool({ connectionString: url, max: 4 });
  await pool.query(
    "CREATE TABLE spend (id text PRIMARY KEY, team text, model text, at text, tokens_in int, tokens_out int, usd numeric)",
  );
  const began = performance.now();
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let row = rows[next++]; row !== undefined; row = rows[next++]) {
      const { request_id, team_id, model_group, endTime, prompt_tokens, completion_tokens, spend } = row;
      await pool.query("INSERT INTO spend VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING", [
        ...[request_id, team_id, model_group, endTime, prompt_tokens, completion_tokens, spend],
      ]);
    }
  };
  await Promise.all(Array.from({ length: 4 }, worker));
  const rate = (rows.length * 1_000) / (performance.now() - began);
  await pool.end();
  return rate;
}
