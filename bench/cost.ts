import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { Client } from "pg";
import { addressOf } from "../src/core/eip712.ts";
import { noPrices } from "../src/core/quote.ts";
import { unwrap } from "../src/core/result.ts";
import { EVIDENCE_TOTAL } from "../src/core/route.ts";
import { type JournalSink, Publisher } from "../src/ledger/publish.ts";
import { benchModel, openBenchLedger } from "./support/benchLedger.ts";
import { treeCpuMicros } from "./support/benchProcess.ts";
import { idleMemory } from "./support/residentMemory.ts";

const RECEIPTS = 60_000;
const WARM_UP = 5_000;
const IN_FLIGHT = 500;
/** Contributors of a receipt: operator, model, treasury and reserve are legs, too. */
const CONTRIBUTORS = 4;
/** Stated, not measured: what the parts are reckoned with. */
const PRICES = {
  usdPerCoreHour: 0.04,
  usdPerVolumeGbMonth: 0.05,
  usdPerObjectGbMonth: 0.02,
  monthsKept: 12,
  gwei: 0.01,
  usdPerEth: 3_000,
} as const;
const EPOCHS = { hourly: 24, daily: 1 } as const;

/**
 * What a million receipts cost their node, all in: CPU and disk as measured on receipts of eight legs through the real writer with a real answer's opening, published; gas of the
 * epochs that settle a million receipts of one day, by the contracts' gas snapshot at a stated price. And the memory of a node that has nothing to do.
 */
export async function run(): Promise<void> {
  const { nodeMicros, storeMicros, storeBytes, journalBytes } = await measured();
  const gas = gasOfEpoch();
  const cpuUsd = (((nodeMicros + storeMicros) * 1e6) / 1e6 / 3_600) * PRICES.usdPerCoreHour;
  const volumeUsd = (storeBytes / 1e3) * PRICES.usdPerVolumeGbMonth * PRICES.monthsKept;
  const objectsUsd = (journalBytes / 1e3) * PRICES.usdPerObjectGbMonth * PRICES.monthsKept;
  const restUsd = cpuUsd + volumeUsd + objectsUsd;
  const gasUsd = (epochs: number) => (epochs * gas * PRICES.gwei * PRICES.usdPerEth) / 1e9;
  const rows = [
    {
      what: "CPU: node and database",
      amount: `${round(nodeMicros)} + ${round(storeMicros)} µs a receipt`,
      usd: cents(cpuUsd),
    },
    {
      what: `the database's volume, ${PRICES.monthsKept} months`,
      amount: `${Math.round(storeBytes)} bytes a receipt`,
      usd: cents(volumeUsd),
    },
    {
      what: `the published journal, ${PRICES.monthsKept} months`,
      amount: `${Math.round(journalBytes)} bytes a receipt`,
      usd: cents(objectsUsd),
    },
    { what: "gas, an epoch a day", amount: `${gas} gas`, usd: cents(gasUsd(EPOCHS.daily)) },
    { what: "gas, an epoch an hour", amount: `${EPOCHS.hourly * gas} gas`, usd: cents(gasUsd(EPOCHS.hourly)) },
    { what: "all in, an epoch a day", amount: "", usd: cents(restUsd + gasUsd(EPOCHS.daily)) },
    { what: "all in, an epoch an hour", amount: "", usd: cents(restUsd + gasUsd(EPOCHS.hourly)) },
  ];
  console.table(rows);
  console.table(claimRows());
  const credit = await idleMemory("--credit");
  const chain = await idleMemory();
  console.table({ "an idle node, on credit": credit, "an idle node with its chain": chain });
  const usd = { dailyUsd: cents(restUsd + gasUsd(EPOCHS.daily)), hourlyUsd: cents(restUsd + gasUsd(EPOCHS.hourly)) };
  const parts = { nodeMicros: round(nodeMicros), storeMicros: round(storeMicros), storeBytes, journalBytes, gas };
  console.log(JSON.stringify({ bench: "cost", receipts: RECEIPTS, ...parts, ...usd, credit, chain, ...PRICES }));
}

interface PerReceipt {
  readonly nodeMicros: number;
  readonly storeMicros: number;
  readonly storeBytes: number;
  readonly journalBytes: number;
}

async function measured(): Promise<PerReceipt> {
  const { ledger, storePid = 0, url, stop } = await openBenchLedger();
  try {
    const post = await poster(ledger);
    await many(post, WARM_UP);
    const bytesBefore = await databaseBytes(url);
    const [cpu, store] = [process.cpuUsage(), treeCpuMicros(storePid)];
    const sink = countingSink();
    const secret = new Uint8Array(randomBytes(32));
    const keys = { domain: { chainId: 1, verifyingContract: new Uint8Array(20) }, ed25519: secret, secp256k1: secret };
    const entries = (from: number, until: number) => ledger.books.entries(from, until);
    const publisher = new Publisher({ ledger: ledger.id, sink, keys, entries });
    await publisher.publish(ledger.books.size());
    const published = sink.bytes();
    await many(post, RECEIPTS);
    await publisher.publish(ledger.books.size());
    const { user, system } = process.cpuUsage(cpu);
    return {
      nodeMicros: (user + system) / RECEIPTS,
      storeMicros: (treeCpuMicros(storePid) - store) / RECEIPTS,
      storeBytes: ((await databaseBytes(url)) - bytesBefore) / RECEIPTS,
      journalBytes: (sink.bytes() - published) / RECEIPTS,
    };
  } finally {
    await stop();
  }
}

async function poster(ledger: Awaited<ReturnType<typeof openBenchLedger>>["ledger"]): Promise<() => Promise<void>> {
  const random = (size: number) => new Uint8Array(randomBytes(size));
  const { asset: model } = await benchModel(ledger);
  const account = unwrap(await ledger.accounts.open({ name: "bench" })).id;
  unwrap(await ledger.accounts.credit({ account, amount: 9e15, key: "all", note: "" }));
  const weight = Math.floor(EVIDENCE_TOTAL / (CONTRIBUTORS + 1));
  const people = Array.from({ length: 1_000 }, () => addressed(random(32)));
  const flags = { reported: false, unaudited: false, partial: false, undeclared: false };
  const quote = {
    unit: "nano",
    cost: { ...noPrices, perCall: 20_000 },
    royalty: { ...noPrices, perCall: 436_000 },
  } as const;
  let seen = 0;
  return async () => {
    const hold = unwrap(ledger.holds.place({ account, amount: 1_000_000 }));
    seen += 1;
    const shares = Array.from({ length: CONTRIBUTORS }, (_, i) => ({
      ...{ payee: people[(seen * 7 + i * 131) % people.length]!, type: "identity" as const, weight },
    }));
    const hashes = {
      promptHash: random(32),
      answerHash: random(32),
      evidenceRoot: random(32),
      indexId: model,
      methodsHash: model,
    };
    unwrap(
      await ledger.books.post({
        ...{
          hold: hold.id,
          operator: people[0]!,
          model,
          flags,
          quote,
          rate: { nanoPerUsd: 0, source: "none" },
          ...hashes,
        },
        usage: { tokensIn: 900, tokensOut: 400, calls: 1 },
        contributors: { shares, unattributed: EVIDENCE_TOTAL - weight * CONTRIBUTORS },
      }),
    );
  };
}

function addressed(secret: Uint8Array): Uint8Array {
  const id = new Uint8Array(32);
  id.set(addressOf(secret), 12);
  return id;
}

async function many(work: () => Promise<void>, count: number): Promise<void> {
  let left = count;
  const worker = async (): Promise<void> => {
    while (left-- > 0) await work();
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
}

/** Tables and indexes as they lie on disk, after a vacuum. */
async function databaseBytes(url: string): Promise<number> {
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query("VACUUM");
  const { rows } = await client.query<{ bytes: string }>("SELECT pg_database_size(current_database()) AS bytes");
  await client.end();
  return Number(rows[0]?.bytes ?? 0);
}

/** Counts what a static host would keep: a file that is written again counts as it is now. */
function countingSink(): JournalSink & { bytes(): number } {
  const files = new Map<string, Uint8Array>();
  return {
    write: async (path, bytes) => void files.set(path, bytes.slice()),
    read: async (path) => files.get(path),
    removeNarrower: async (path) => {
      for (const one of [...files.keys()]) if (one.startsWith(`${path}.p/`)) files.delete(one);
    },
    bytes: () => [...files.values()].reduce((sum, bytes) => sum + bytes.length, 0),
  };
}

/** A claim at depth 20, by how it is sent. */
function claimRows(): Record<string, unknown>[] {
  const gas = snapshot();
  const ways = [
    ["alone, by anybody", "claim at depth 20,", "", 1],
    ["relayed alone", "relayed claim at depth 20,", ", alone", 1],
    ["relayed, one of ten", "relayed claims at depth 20,", ", ten", 10],
    ["relayed, one of a hundred", "relayed claims at depth 20,", ", hundred", 100],
    ["for nothing, one of a hundred", "relayed for nothing at depth 20,", ", hundred", 100],
  ] as const;
  const each = (name: string, count: number): number => Math.round((gas.get(name) ?? Number.NaN) / count);
  const usd = (units: number): number => cents((units * PRICES.gwei * PRICES.usdPerEth) / 1e9);
  return ways.map(([way, before, after, count]) => {
    const [first, repeated] = [each(`${before} first${after}`, count), each(`${before} repeated${after}`, count)];
    return { way, firstGas: first, firstUsd: usd(first), repeatedGas: repeated, repeatedUsd: usd(repeated) };
  });
}

function snapshot(): ReadonlyMap<string, number> {
  const units: unknown = JSON.parse(readFileSync("contracts/snapshots/gas.json", "utf8"));
  return new Map(Object.entries(units ?? {}).map(([name, gas]) => [name, Number(gas)]));
}

function gasOfEpoch(): number {
  const gas = snapshot();
  return (gas.get("propose") ?? Number.NaN) + (gas.get("finalise") ?? Number.NaN);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function cents(usd: number): number {
  return Math.round(usd * 10_000) / 10_000;
}
