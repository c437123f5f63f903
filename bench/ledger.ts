import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defaultPolicyBps } from "../src/core/policy.ts";
import { pooledRandom } from "../src/core/pooledRandom.ts";
import { noPrices } from "../src/core/quote.ts";
import { unwrap } from "../src/core/result.ts";
import { EVIDENCE_TOTAL } from "../src/core/route.ts";
import { openSigner } from "../src/core/signer.ts";
import { loadSecp256k1 } from "../src/host/secp256k1.ts";
import { type OpenLedger, openLedger } from "../src/ledger/openLedger.ts";
import { startEmbeddedPostgres } from "../src/store/embedded.ts";
import { openLedgerStore } from "../src/store/ledgerStore.ts";
import { treeCpuMicros } from "./support/benchProcess.ts";
import {
  callPerLeg,
  openPool,
  rowPerLeg,
  rowPerLegAndBalances,
  rowPerLegAsLists,
  sameBytes,
} from "./support/ledgerPeers.ts";
import { type Measured, medianOf, spin, type Way } from "./support/ledgerWays.ts";

const LEGS = 36;
const CONTRIBUTORS = LEGS - 4;
const IN_FLIGHT = 4_000;
const ROUNDS = 5;
const ROUND_MS = 2_000;

/**
 * Durable receipts of 36 legs a second through the real writer: fee, route, entry, signature, commit. Beside it, on the same server and in the same run:
 * the same bytes written by the same statement with no work before it, which is the floor; what one would write without a journal, a row for
 * every leg, inserted in batches as arrays, with and without keeping the payees' balances, and as the lists that query builders write; and double entry by a function in SQL, called for each transfer.
 * All take turns, and a ratio is the median of those of the rounds, so that a machine that also does other things disturbs all alike.
 */
export async function run(): Promise<void> {
  const data = mkdtempSync(join(tmpdir(), "openledger-bench-"));
  const random = pooledRandom((size) => new Uint8Array(randomBytes(size)));
  const server = unwrap(await startEmbeddedPostgres({ data, randomBytes: random, onEvent: () => undefined }));
  const storeCpuMicros = () => treeCpuMicros(server.pid() ?? 0);
  const pool = openPool(server.url);
  try {
    const ways: readonly Way[] = [
      await journal(server.url, random),
      await sameBytes(server.url, LEGS, random),
      await rowPerLeg(pool, LEGS),
      await rowPerLegAndBalances(pool, LEGS),
      await rowPerLegAsLists(pool, LEGS),
      await callPerLeg(pool, LEGS),
    ];
    for (const way of ways) await spin(way, ROUND_MS, storeCpuMicros);
    const rounds: Measured[][] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const figures: Measured[] = [];
      for (const way of ways) figures.push(await spin(way, ROUND_MS, storeCpuMicros));
      rounds.push(figures);
    }
    for (const way of ways) await way.close();
    report(ways, rounds);
  } finally {
    await pool.end();
    await server.stop();
    rmSync(data, { recursive: true, force: true });
  }
}

function report(ways: readonly Way[], rounds: readonly (readonly Measured[])[]): void {
  const cpuOf = ({ nodeMicros, storeMicros }: Measured) => nodeMicros + storeMicros;
  const rows = ways.map(({ name }, i) => {
    const middle = (read: (measured: Measured, ours: Measured) => number) =>
      medianOf(rounds.map((figures) => read(figures[i]!, figures[0]!)));
    return {
      name,
      perSecond: Math.round(middle(({ perSecond }) => perSecond)),
      ratio: round(middle(({ perSecond }, ours) => ours.perSecond / perSecond)),
      nodeMicros: round(middle(({ nodeMicros }) => nodeMicros)),
      postgresMicros: round(middle(({ storeMicros }) => storeMicros)),
      cpuRatio: round(middle((measured, ours) => cpuOf(measured) / cpuOf(ours))),
    };
  });
  console.table(
    rows.map(({ name: way, perSecond: receiptsPerSecond, ...rest }) => ({ way, receiptsPerSecond, ...rest })),
  );
  const [ours, floor, legs, balances, lists, calls] = rows;
  const perCpuSecond = (row: typeof ours) =>
    row === undefined ? 0 : Math.round(1_000_000 / (row.nodeMicros + row.postgresMicros));
  console.log(
    JSON.stringify({
      ...{ bench: "ledger", legs: LEGS, rounds: ROUNDS, receiptsPerSecond: ours?.perSecond },
      ...{ receiptsPerCpuSecond: perCpuSecond(ours), floorPerSecond: floor?.perSecond },
      ...{ floorPerCpuSecond: perCpuSecond(floor), rowsPerSecond: (legs?.perSecond ?? 0) * LEGS },
      ...{ overRows: legs?.ratio, overRowsWithBalances: balances?.ratio, overFunctions: calls?.ratio },
      ...{ overLists: lists?.ratio },
      ...{ cpuOverRows: legs?.cpuRatio, cpuOverRowsWithBalances: balances?.cpuRatio, cpuOverLists: lists?.cpuRatio },
      ...{
        cpuOverFunctions: calls?.cpuRatio,
        floorOverRowsByCpu: round((legs?.cpuRatio ?? 0) / (floor?.cpuRatio ?? 1)),
      },
    }),
  );
}

async function journal(url: string, random: (size: number) => Uint8Array): Promise<Way> {
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
  const close = async () => {
    await ledger.close();
    await store.close();
  };
  const work = await prepare(ledger, random);
  return { name: "journal: one packed entry a receipt", work, receipts: 1, inFlight: IN_FLIGHT, close };
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

function round(ratio: number): number {
  return Math.round(ratio * 10) / 10;
}
