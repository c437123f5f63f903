import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Pool } from "pg";
import { ENTRY_HEAD_BYTES } from "../src/core/entry.ts";
import { defaultPolicyBps } from "../src/core/policy.ts";
import { pooledRandom } from "../src/core/pooledRandom.ts";
import { noPrices } from "../src/core/quote.ts";
import { receiptBytes } from "../src/core/receipt.ts";
import { unwrap } from "../src/core/result.ts";
import { EVIDENCE_TOTAL } from "../src/core/route.ts";
import { openSigner } from "../src/core/signer.ts";
import { loadSecp256k1 } from "../src/host/secp256k1.ts";
import { type OpenLedger, openLedger } from "../src/ledger/openLedger.ts";
import { startEmbeddedPostgres } from "../src/store/embedded.ts";
import { openLedgerStore } from "../src/store/ledgerStore.ts";
import { treeCpuMicros } from "./support/benchProcess.ts";

const LEGS = 36;
const CONTRIBUTORS = LEGS - 4;
const SECONDS = 8;
const IN_FLIGHT = 4_000;
/** Receipts in a durable insert of the peers. */
const ROWS_BATCH = 200;
/** What fits the writer's half a mebibyte. */
const FLOOR_BATCH = 460;

/**
 * Durable receipts of 36 legs a second through the real writer: fee, route, entry, signature, commit. Beside it, on the same server and in the same run:
 * the same bytes written by the same statement with no work before it, which is the floor; what one would write without a journal, a row for
 * every leg, inserted in batches, with and without keeping the payees' balances; and double entry by a function in SQL, called for each transfer.
 * A machine that also does other things disturbs CPU a receipt less than receipts a second.
 */
export async function run(): Promise<void> {
  const data = mkdtempSync(join(tmpdir(), "openledger-bench-"));
  const random = pooledRandom((size) => new Uint8Array(randomBytes(size)));
  const server = unwrap(await startEmbeddedPostgres({ data, randomBytes: random, onEvent: () => undefined }));
  const clock = { storeCpuMicros: () => treeCpuMicros(server.pid() ?? 0) };
  try {
    const journal = await journalled(server.url, random, clock);
    const floor = await written(server.url, random, clock);
    const pool = openPool(server.url);
    const rows = await rowPerLeg(pool, clock);
    const balances = await rowPerLegAndBalances(pool, clock);
    const functions = await transfers(pool, clock);
    await pool.end();
    report({ journal, floor, rows, balances, functions });
  } finally {
    await server.stop();
    rmSync(data, { recursive: true, force: true });
  }
}

/** Receipts a second, and what one takes of the CPU: in this process, and in PostgreSQL's. */
interface Measured {
  readonly perSecond: number;
  readonly nodeMicros: number;
  readonly storeMicros: number;
}

interface StoreClock {
  storeCpuMicros(): number;
}

const ways = {
  journal: "journal: one packed entry a receipt",
  floor: "floor: the same bytes, no work before them",
  rows: "one row a leg, batched",
  balances: "one row a leg and balances kept, batched",
  functions: "double entry in SQL, one call a leg",
} as const;

function report(measured: Readonly<Record<keyof typeof ways, Measured>>): void {
  const { journal } = measured;
  const names = ["journal", "floor", "rows", "balances", "functions"] as const;
  console.table(
    names.map((name) => ({
      way: ways[name],
      receiptsPerSecond: Math.round(measured[name].perSecond),
      ratio: round(journal.perSecond / measured[name].perSecond),
      nodeMicros: round(measured[name].nodeMicros),
      postgresMicros: round(measured[name].storeMicros),
    })),
  );
  const over = (name: keyof typeof ways): number => round(journal.perSecond / measured[name].perSecond);
  console.log(
    JSON.stringify({
      bench: "ledger",
      legs: LEGS,
      receiptsPerSecond: Math.round(journal.perSecond),
      nodeMicros: round(journal.nodeMicros),
      postgresMicros: round(journal.storeMicros),
      floorPerSecond: Math.round(measured.floor.perSecond),
      rowsPerSecond: Math.round(measured.rows.perSecond * LEGS),
      transfersPerSecond: Math.round(measured.functions.perSecond * LEGS),
      overRows: over("rows"),
      overRowsWithBalances: over("balances"),
      overFunctions: over("functions"),
    }),
  );
}

async function journalled(url: string, random: (size: number) => Uint8Array, clock: StoreClock): Promise<Measured> {
  const store = unwrap(await openLedgerStore({ url }));
  const secret = random(32);
  const node = random(32);
  const policy = {
    ...defaultPolicyBps,
    treasuryPayee: node,
    reservePayee: random(32),
    datanetReservePayee: random(32),
  };
  const world = { nowMs: () => Date.now(), randomBytes: random, warn: (text: string) => console.error(text) };
  const signer = openSigner(secret, await loadSecp256k1());
  const domain = { chainId: 1, verifyingContract: new Uint8Array(20) };
  const ledger = unwrap(
    await openLedger({ id: random(32), store, world, signer, domain, secret, node, policy, requireDeposit: false }),
  );
  const load = await prepare(ledger, random);
  await spin(load, IN_FLIGHT, 2_000, clock);
  const done = await spin(load, IN_FLIGHT, SECONDS * 1_000, clock);
  await ledger.close();
  await store.close();
  return done;
}

/** What receipts of this size cost when they only have to be written: batches as large as the writer's, made before the clock runs. */
async function written(url: string, random: (size: number) => Uint8Array, clock: StoreClock): Promise<Measured> {
  const store = unwrap(await openLedgerStore({ url }));
  const ledger = random(32);
  const { term } = unwrap(await store.takeOver(ledger));
  const bytes = random(ENTRY_HEAD_BYTES + receiptBytes(LEGS));
  const none = {
    openings: [],
    idempotency: [],
    accounts: [],
    keys: [],
    movements: [],
    epochMarks: [],
    epochLeaves: [],
  };
  let size = 0;
  const batch = async (): Promise<void> => {
    const entries = Array.from({ length: FLOOR_BATCH }, (_, i) => ({
      seq: size + i,
      kind: 6,
      receipt: random(16),
      bytes,
    }));
    size += FLOOR_BATCH;
    unwrap(await store.append({ ledger, term, entries, ...none, checkpoint: undefined }));
  };
  await spin(batch, 1, 1_000, clock);
  const done = await spin(batch, 1, (SECONDS * 1_000) / 2, clock);
  await store.close();
  return scaled(done, FLOOR_BATCH);
}

async function prepare(ledger: OpenLedger, random: (size: number) => Uint8Array): Promise<() => Promise<void>> {
  const account = unwrap(await ledger.accounts.open({ name: "bench" })).id;
  unwrap(await ledger.accounts.credit({ account, amount: 9e15, key: "all", note: "" }));
  const model = random(32);
  const terms = { unit: "nano", royalty: noPrices, parentsBps: 0, licence: "MIT" } as const;
  const operator = random(32);
  unwrap(
    await ledger.assets.register({
      id: model,
      kind: "model",
      owner: operator,
      contentRoot: random(32),
      terms,
      parents: [],
    }),
  );
  const weight = Math.floor(EVIDENCE_TOTAL / (CONTRIBUTORS + 1));
  const shares = Array.from({ length: CONTRIBUTORS }, () => ({ payee: random(32), type: "identity", weight }) as const);
  const contributors = { shares, unattributed: EVIDENCE_TOTAL - weight * CONTRIBUTORS };
  const quote = {
    unit: "nano",
    cost: { ...noPrices, perCall: 20_000 },
    royalty: { ...noPrices, perCall: 1_000_003 },
  } as const;
  const hash = random(32);
  const flags = { reported: false, unaudited: false, partial: false, undeclared: false };
  const hashes = { promptHash: hash, answerHash: hash, evidenceRoot: hash, indexId: hash, methodsHash: hash };
  const fixed = {
    flags,
    operator,
    model,
    quote,
    rate: { nanoPerUsd: 0, source: "none" },
    usage: { tokensIn: 900, tokensOut: 400, calls: 1 },
    contributors,
    ...hashes,
  };
  return async () => {
    const hold = unwrap(ledger.holds.place({ account, amount: 2_000_000 }));
    unwrap(await ledger.books.post({ ...fixed, hold: hold.id }));
  };
}

/** Runs `work` with so many in flight for a time. */
async function spin(
  work: () => Promise<void>,
  inFlight: number,
  milliseconds: number,
  { storeCpuMicros }: StoreClock,
): Promise<Measured> {
  const [began, cpuBefore, storeBefore] = [performance.now(), process.cpuUsage(), storeCpuMicros()];
  let done = 0;
  const worker = async (): Promise<void> => {
    while (performance.now() - began < milliseconds) {
      await work();
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  const { user, system } = process.cpuUsage(cpuBefore);
  return {
    perSecond: (done * 1_000) / (performance.now() - began),
    nodeMicros: (user + system) / done,
    storeMicros: (storeCpuMicros() - storeBefore) / done,
  };
}

/** The same for receipts, of which each run of the work made so many. */
function scaled({ perSecond, nodeMicros, storeMicros }: Measured, receipts: number): Measured {
  return { perSecond: perSecond * receipts, nodeMicros: nodeMicros / receipts, storeMicros: storeMicros / receipts };
}

/** A connection that the server ends, as when it stops, must not end the bench. */
function openPool(url: string): Pool {
  const pool = new Pool({ connectionString: url, max: 4 });
  pool.on("error", () => undefined);
  pool.on("connect", (client) => client.on("error", () => undefined));
  return pool;
}

/** Rows of legs, 200 receipts' worth of them in each durable insert, two connections. */
async function rowPerLeg(pool: Pool, clock: StoreClock): Promise<Measured> {
  await pool.query(
    "CREATE TABLE leg (receipt bigint, leg smallint, role smallint, payee bytea, weight bigint, amount bigint, PRIMARY KEY (receipt, leg))",
  );
  return insertLegs(pool, clock, insertLeg);
}

/** The same, and each payee's balance with it, in the same statement and so in the same transaction: what the journal replaces. */
async function rowPerLegAndBalances(pool: Pool, clock: StoreClock): Promise<Measured> {
  await pool.query("TRUNCATE leg");
  await pool.query("CREATE TABLE payee_balance (payee bytea PRIMARY KEY, amount bigint NOT NULL)");
  // In order of payee: two transactions that credit the same payees would else wait for each other.
  const upsert = `INSERT INTO payee_balance SELECT payee, sum(amount) FROM legs GROUP BY payee ORDER BY payee
    ON CONFLICT (payee) DO UPDATE SET amount = payee_balance.amount + excluded.amount`;
  return insertLegs(pool, clock, `WITH legs AS (${insertLeg} RETURNING payee, amount) ${upsert}`);
}

const insertLeg =
  "INSERT INTO leg SELECT r, l, 3, p, 1000, 1000 FROM unnest($1::bigint[], $2::smallint[], $3::bytea[]) AS t (r, l, p)";

async function insertLegs(pool: Pool, clock: StoreClock, text: string): Promise<Measured> {
  const payees = Array.from({ length: LEGS }, () => randomBytes(32));
  let next = 0;
  const batch = async (): Promise<void> => {
    const first = next;
    next += ROWS_BATCH;
    const receipts: number[] = [];
    const legs: number[] = [];
    const ids: Buffer[] = [];
    for (let receipt = first; receipt < first + ROWS_BATCH; receipt++) {
      for (let leg = 0; leg < LEGS; leg++) {
        receipts.push(receipt);
        legs.push(leg);
        ids.push(payees[leg]!);
      }
    }
    await pool.query(text, [receipts, legs, ids]);
  };
  return scaled(await spin(batch, 2, SECONDS * 500, clock), ROWS_BATCH);
}

/** Calls of a function that moves an amount between two accounts: two entries, two balances, one durable transaction. */
async function transfers(pool: Pool, clock: StoreClock): Promise<Measured> {
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
  const call = async (): Promise<void> => {
    next += 1;
    await pool.query("SELECT transfer($1, $2, 1000)", [next % 500, 500 + ((next * 7) % 500)]);
  };
  return scaled(await spin(call, 4, SECONDS * 500, clock), 1 / LEGS);
}

function round(ratio: number): number {
  return Math.round(ratio * 10) / 10;
}
