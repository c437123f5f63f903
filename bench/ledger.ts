import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Pool } from "pg";
import { signDigest } from "../src/core/eip712.ts";
import { defaultPolicyBps } from "../src/core/policy.ts";
import { noPrices } from "../src/core/quote.ts";
import { unwrap } from "../src/core/result.ts";
import { EVIDENCE_TOTAL } from "../src/core/route.ts";
import { type OpenLedger, openLedger } from "../src/ledger/openLedger.ts";
import { startEmbeddedPostgres } from "../src/store/embedded.ts";
import { openLedgerStore } from "../src/store/ledgerStore.ts";

const LEGS = 36;
const CONTRIBUTORS = LEGS - 4;
const SECONDS = 8;
const IN_FLIGHT = 4_000;

/**
 * Durable receipts of 36 legs a second through the real writer: fee, route, entry, signature, commit. Beside it, on the same server and in the same run,
 * what one would write without a journal: a row for every leg, inserted in batches; and double entry by a function in SQL, called for each transfer.
 */
export async function run(): Promise<void> {
  const data = mkdtempSync(join(tmpdir(), "openledger-bench-"));
  const random = (size: number): Uint8Array => new Uint8Array(randomBytes(size));
  const server = unwrap(await startEmbeddedPostgres({ data, randomBytes: random, onEvent: () => undefined }));
  try {
    const journal = await receiptsPerSecond(server.url, random);
    const pool = new Pool({ connectionString: server.url, max: 4 });
    const rows = await rowsPerSecond(pool);
    const functions = await transfersPerSecond(pool);
    await pool.end();
    const receipts = { journal, rows: rows / LEGS, functions: functions / LEGS };
    console.table([
      { way: "journal: one packed entry a receipt", receiptsPerSecond: Math.round(receipts.journal), ratio: 1 },
      {
        way: "one row a leg, batched",
        receiptsPerSecond: Math.round(receipts.rows),
        ratio: round(receipts.journal / receipts.rows),
      },
      {
        way: "double entry in SQL, one call a leg",
        receiptsPerSecond: Math.round(receipts.functions),
        ratio: round(receipts.journal / receipts.functions),
      },
    ]);
    const ratios = {
      overRows: round(receipts.journal / receipts.rows),
      overFunctions: round(receipts.journal / receipts.functions),
    };
    console.log(
      JSON.stringify({
        bench: "ledger",
        legs: LEGS,
        receiptsPerSecond: Math.round(journal),
        rowsPerSecond: Math.round(rows),
        transfersPerSecond: Math.round(functions),
        ...ratios,
      }),
    );
  } finally {
    await server.stop();
    rmSync(data, { recursive: true, force: true });
  }
}

async function receiptsPerSecond(url: string, random: (size: number) => Uint8Array): Promise<number> {
  const store = unwrap(await openLedgerStore({ url }));
  const secret = random(32);
  const node = random(32);
  const policy = {
    ...defaultPolicyBps,
    treasuryPayee: node,
    reservePayee: random(32),
    datanetReservePayee: random(32),
  };
  const world = { nowMs: () => Date.now(), randomBytes: pooled(random), warn: (text: string) => console.error(text) };
  const signer = { sign: (digest: Uint8Array) => signDigest(secret, digest) };
  const domain = { chainId: 1, verifyingContract: new Uint8Array(20) };
  const ledger = unwrap(
    await openLedger({ id: random(32), store, world, signer, domain, secret, node, policy, requireDeposit: false }),
  );
  const load = await prepare(ledger, random);
  await spin(load, 1_500);
  const done = await spin(load, SECONDS * 1_000);
  await ledger.close();
  await store.close();
  return done;
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

/** Runs `work` with many in flight for a time; how often it ended, a second. */
async function spin(work: () => Promise<void>, milliseconds: number): Promise<number> {
  const began = performance.now();
  let done = 0;
  const worker = async (): Promise<void> => {
    while (performance.now() - began < milliseconds) {
      await work();
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  return (done * 1_000) / (performance.now() - began);
}

/** Rows of legs a second, 200 receipts' worth of them in each durable insert, two connections. */
async function rowsPerSecond(pool: Pool): Promise<number> {
  await pool.query(
    "CREATE TABLE leg (receipt bigint, leg smallint, role smallint, payee bytea, weight bigint, amount bigint, PRIMARY KEY (receipt, leg))",
  );
  const payees = Array.from({ length: LEGS }, () => randomBytes(32));
  const batch = 200;
  let next = 0;
  return (
    (await inParallel(2, async () => {
      const first = next;
      next += batch;
      const receipts: number[] = [];
      const legs: number[] = [];
      const ids: Buffer[] = [];
      for (let receipt = first; receipt < first + batch; receipt++) {
        for (let leg = 0; leg < LEGS; leg++) {
          receipts.push(receipt);
          legs.push(leg);
          ids.push(payees[leg]!);
        }
      }
      const text =
        "INSERT INTO leg SELECT r, l, 3, p, 1000, 1000 FROM unnest($1::bigint[], $2::smallint[], $3::bytea[]) AS t (r, l, p)";
      await pool.query(text, [receipts, legs, ids]);
    })) *
    batch *
    LEGS
  );
}

/** Calls a second of a function that moves an amount between two accounts: two entries, two balances, one durable transaction. */
async function transfersPerSecond(pool: Pool): Promise<number> {
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
  return inParallel(4, async () => {
    next += 1;
    await pool.query("SELECT transfer($1, $2, 1000)", [next % 500, 500 + ((next * 7) % 500)]);
  });
}

async function inParallel(connections: number, work: () => Promise<void>): Promise<number> {
  const began = performance.now();
  let done = 0;
  const worker = async (): Promise<void> => {
    while (performance.now() - began < SECONDS * 500) {
      await work();
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: connections }, worker));
  return (done * 1_000) / (performance.now() - began);
}

/** Sixteen random bytes cost a system call; a page of them costs one too. */
function pooled(random: (size: number) => Uint8Array): (size: number) => Uint8Array {
  let page = random(4_096);
  let at = 0;
  return (size) => {
    if (at + size > page.length) {
      page = random(4_096);
      at = 0;
    }
    at += size;
    return page.slice(at - size, at);
  };
}

function round(ratio: number): number {
  return Math.round(ratio * 10) / 10;
}
