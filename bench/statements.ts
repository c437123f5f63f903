import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { toHex, utf8 } from "../src/core/bytes.ts";
import { sha256 } from "../src/core/hash.ts";
import { noPrices } from "../src/core/quote.ts";
import { assert, ok, unwrap } from "../src/core/result.ts";
import { ExecutionDesk } from "../src/gateway/executionDesk.ts";
import { type ReportedModel, ReportedModels } from "../src/gateway/reportedModels.ts";
import { readReport } from "../src/ingest/formats.ts";
import type { PayeeShare } from "../src/ledger/execution.ts";
import { type IssuedStatement, StatementDesk, type StatementStore } from "../src/ledger/issued.ts";
import type { Ledger } from "../src/ledger/ledger.ts";
import { openBenchLedger } from "./support/benchLedger.ts";
import { seeded, spendNano, spendRow } from "./support/spendRows.ts";

const ROWS = 1_000_000;
const ROWS_A_BATCH = 1_000;
const [TEAMS, MODELS] = [40, 300];
/** Each adapter was made from so many of the real pages. */
const PAGES_A_MODEL = 400;
const IN_FLIGHT = 2;
const TLDR = new URL("../../shared/data/tldr.jsonl.gz", import.meta.url.replace("/dist/", "/"));

/**
 * A month of LiteLLM spend rows, booked as durable receipts on a ledger on credit, its epoch closed, and the statements of everybody issued: payers,
 * and the real contributors to a real datanet. What the rows say, team by team, is added up beside it by another way, and must be equal to the nano.
 * `--rows N` makes it shorter.
 */
export async function run(): Promise<void> {
  const people = readPeople();
  if (people === undefined) {
    console.log("the records of tldr are not beside the repository: nothing is measured");
    return;
  }
  const asked = process.argv.indexOf("--rows");
  const rows = asked < 0 ? ROWS : Number(process.argv[asked + 1]);
  const month = monthBefore(Date.now());
  const bench = await openBenchLedger();
  try {
    const { ledger } = bench;
    const began = performance.now();
    const models = await registerModels(ledger, people);
    const registered = performance.now();
    const source = await ingest(ledger, models, rows, month);
    const ingested = performance.now();
    unwrap(await ledger.epochs.closeEpoch({ registryBlock: 0 }));
    const closed = performance.now();
    const store = memoryStatements();
    const statements = new StatementDesk({
      ...{ ledger, store, details: { allDetails: () => Promise.resolve([]) }, labelOf: () => undefined },
      // The books are of today; their month is over a month later.
      ...{ nanoPerUsd: () => 1_000_000_000, nowMs: () => Date.now() + 40 * 86_400_000 },
    });
    const issued = unwrap(await statements.issue(new Date().toISOString().slice(0, 7)));
    const ended = performance.now();
    const contributors = check(ledger, store.all, source, people);
    const seconds = (from: number, until: number) => Math.round((until - from) / 10) / 100;
    const steps = {
      models: seconds(began, registered),
      ingest: seconds(registered, ingested),
      epoch: seconds(ingested, closed),
      issue: seconds(closed, ended),
      whole: seconds(began, ended),
    };
    console.table(Object.entries(steps).map(([step, took]) => ({ step, seconds: took })));
    // Of this process; the database's is beside it.
    const { user, system } = process.cpuUsage();
    const cpuSeconds = Math.round((user + system) / 1e6);
    const rssMb = Math.round(process.resourceUsage().maxRSS / 1_024);
    console.log(
      `${rows} rows, ${TEAMS} payers, ${MODELS} models, ${contributors} of ${people.length} contributors: ${issued.issued} statements, equal to the source to the nano; at most ${rssMb} MB`,
    );
    console.log(
      JSON.stringify({
        bench: "statements",
        rows,
        ...steps,
        statements: issued.issued,
        contributors,
        cpuSeconds,
        rssMb,
      }),
    );
  } finally {
    await bench.stop();
  }
}

interface Person {
  readonly name: string;
  readonly payee: Uint8Array;
  /** Numbers of the pages that they wrote. */
  readonly pages: readonly number[];
}

function readPeople(): readonly Person[] | undefined {
  let text: string;
  try {
    text = gunzipSync(readFileSync(TLDR)).toString("utf8");
  } catch {
    return undefined;
  }
  const pages = new Map<string, number[]>();
  for (const [number, line] of text.trimEnd().split("\n").entries()) {
    const { authors }: { readonly authors: readonly string[] } = JSON.parse(line);
    for (const name of authors) pages.set(name, [...(pages.get(name) ?? []), number]);
  }
  return [...pages].map(([name, its]) => ({ name, payee: sha256(utf8(`tldr ${name}`)), pages: its }));
}

/** Each model declares a window of the pages as what it was made from; together they cover all of them. */
async function registerModels(ledger: Ledger, people: readonly Person[]): Promise<ReportedModels> {
  const models = new ReportedModels();
  const pages = people.reduce((sum, person) => sum + person.pages.length, 0);
  const terms = { unit: "nano", royalty: noPrices, parentsBps: 0, licence: "CC-BY-4.0" } as const;
  for (let i = 0; i < MODELS; i++) {
    const first = Math.floor((i * pages) / MODELS);
    const isIn = (page: number): boolean => (page - first + pages) % pages < PAGES_A_MODEL;
    const shares = people
      .map(({ payee, pages: its }): PayeeShare => ({ payee, type: "identity", weight: its.filter(isIn).length }))
      .filter(({ weight }) => weight > 0);
    const [asset, owner] = [sha256(utf8(`adapter ${i}`)), sha256(utf8(`owner ${i % 20}`))];
    unwrap(await ledger.assets.register({ id: asset, kind: "model", owner, contentRoot: asset, terms, parents: [] }));
    const pool = unwrap(await ledger.assets.declare(asset, shares));
    const model: ReportedModel = {
      ...{
        name: `adapter-${i}`,
        asset,
        ownedBy: "bench",
        operator: sha256(utf8("operator")),
        createdMs: 0,
        datanets: [],
      },
      ...{ pool, contributors: shares.length, isUndeclared: false },
      terms: { unit: "nano", cost: noPrices, royalty: noPrices, royaltyBps: 3_000 },
    };
    models.put(model);
  }
  return models;
}

/** Nano dollars by team, as the rows say. */
async function ingest(
  ledger: Ledger,
  models: ReportedModels,
  rows: number,
  month: { readonly fromMs: number; readonly untilMs: number },
): Promise<ReadonlyMap<string, bigint>> {
  const desk = new ExecutionDesk({
    ...{ ledger, model: (name) => models.get(name), rules: { payers: "open", credit: "arrears" } },
    rateFor: () => ok({ nanoPerUsd: 1_000_000_000, source: "fixed" }),
  });
  const random = seeded(11);
  const source = new Map<string, bigint>();
  let made = 0;
  const nextBatch = (): string => {
    const lines: string[] = [];
    for (; lines.length < ROWS_A_BATCH && made < rows; made++) {
      const row = spendRow(made, random, { teams: TEAMS, models: MODELS, ...month });
      source.set(row.team_id, (source.get(row.team_id) ?? 0n) + spendNano(row));
      lines.push(JSON.stringify(row));
    }
    return lines.join("\n");
  };
  const worker = async (): Promise<void> => {
    for (let text = nextBatch(); text !== ""; text = nextBatch()) {
      const readings = unwrap(readReport(text, "jsonl", { format: "litellm" }));
      const { refused, known } = unwrap(await desk.book(readings, { tellsRefused: true }));
      assert(refused + known === 0, "every row is booked");
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  return source;
}

/** How many contributors have a statement; every sum is compared on the way. */
function check(
  ledger: Ledger,
  issued: readonly IssuedStatement[],
  source: ReadonlyMap<string, bigint>,
  people: readonly Person[],
): number {
  const names = new Map(ledger.accounts.list().map(({ pseudonym, external }) => [toHex(pseudonym), external]));
  const sums = { account: 0n, payee: 0n };
  for (const { party, nano, lines } of issued) {
    assert(lines.reduce((sum, line) => sum + line.nano, 0n) === nano, "a statement's lines sum to it");
    sums[party.type] += nano;
    if (party.type === "account")
      assert(source.get(names.get(toHex(hex(party.id))) ?? "") === -nano, `${party.name} is charged what its rows say`);
  }
  const whole = [...source.values()].reduce((sum, nano) => sum + nano, 0n);
  assert(
    -sums.account === whole && sums.payee === whole,
    "what is charged, what is owed and what the rows say are equal",
  );
  const payees = new Set<string>(people.map(({ payee }) => toHex(payee)));
  return issued.filter(({ party }) => payees.has(toHex(hex(party.id)))).length;
}

function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replace(/^0x/, ""), "hex"));
}

function monthBefore(nowMs: number): { readonly fromMs: number; readonly untilMs: number } {
  const now = new Date(nowMs);
  const [year, month] = [now.getUTCFullYear(), now.getUTCMonth()];
  return { fromMs: Date.UTC(year, month - 1), untilMs: Date.UTC(year, month) };
}

function memoryStatements(): StatementStore & { readonly all: IssuedStatement[] } {
  const all: IssuedStatement[] = [];
  return {
    all,
    lastNumber: () => Promise.resolve(all.length),
    list: () => Promise.resolve([]),
    get: (number) => Promise.resolve(all[number - 1]),
    add: (statements) => {
      all.push(...statements);
      return Promise.resolve({ ok: true, value: undefined });
    },
  };
}
