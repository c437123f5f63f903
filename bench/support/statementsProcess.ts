import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { toHex, utf8 } from "../../src/core/bytes.ts";
import { sha256 } from "../../src/core/hash.ts";
import { noPrices } from "../../src/core/quote.ts";
import { assert, ok, unwrap } from "../../src/core/result.ts";
import { ExecutionDesk } from "../../src/gateway/executionDesk.ts";
import { type ReportedModel, ReportedModels } from "../../src/gateway/reportedModels.ts";
import { readReport } from "../../src/ingest/formats.ts";
import type { PayeeShare } from "../../src/ledger/execution.ts";
import { type IssuedStatement, StatementDesk, type StatementStore } from "../../src/ledger/issued.ts";
import type { Ledger } from "../../src/ledger/ledger.ts";
import { openBenchLedger } from "./benchLedger.ts";
import { seeded, spendNano, spendRow } from "./spendRows.ts";

const ROWS_A_BATCH = 1_000;
const [TEAMS, MODELS] = [40, 300];
/** Each adapter was made from so many of the real pages. */
const PAGES_A_MODEL = 400;
const IN_FLIGHT = 2;
const TLDR = new URL("../../../shared/data/tldr.jsonl.gz", import.meta.url.replace("/dist/", "/"));

/** One month in a process of its own, so that its memory is its own: sends what it measured, or nothing where the records are not there. */
async function run(rows: number): Promise<void> {
  const people = readPeople();
  if (people === undefined) return;
  const month = monthBefore(Date.now());
  const bench = await openBenchLedger();
  const memory = new PeakMemory();
  try {
    const { ledger } = bench;
    const began = performance.now();
    const models = await registerModels(ledger, people);
    const registered = memory.mark("models");
    const source = await ingest(ledger, models, rows, month);
    const ingested = memory.mark("ingest");
    unwrap(await ledger.epochs.closeEpoch({ registryBlock: 0 }));
    const closed = memory.mark("epoch");
    const store = memoryStatements();
    const statements = new StatementDesk({
      ...{
        ledger,
        store,
        details: { allDetails: () => Promise.resolve([]) },
        claimsUntil: async () => [],
        labelOf: () => undefined,
      },
      // The books are of today; their month is over a month later.
      ...{ nanoPerUsd: () => 1_000_000_000, nowMs: () => Date.now() + 40 * 86_400_000 },
    });
    const { issued } = unwrap(await statements.issue(new Date().toISOString().slice(0, 7)));
    const ended = memory.mark("issue");
    const contributors = check(ledger, store.all, source, people);
    const seconds = {
      ...{ models: since(began, registered), ingest: since(registered, ingested), epoch: since(ingested, closed) },
      ...{ issue: since(closed, ended), whole: since(began, ended) },
    };
    // Of this process; the database's is beside it.
    const { user, system } = process.cpuUsage();
    const cpuSeconds = Math.round((user + system) / 1e6);
    const measured: StatementsMeasured = {
      ...{ rows, payers: TEAMS, models: MODELS, people: people.length, contributors, statements: issued },
      ...{ seconds, cpuSeconds, peakMb: memory.peaks },
    };
    process.send?.(measured);
  } finally {
    await bench.stop();
    memory.stop();
    process.disconnect?.();
  }
}

export interface StatementsMeasured {
  readonly rows: number;
  readonly payers: number;
  readonly models: number;
  readonly people: number;
  readonly contributors: number;
  readonly statements: number;
  readonly seconds: Readonly<Record<Step | "whole", number>>;
  readonly cpuSeconds: number;
  /** The most that was resident in each step, and in the whole. */
  readonly peakMb: Readonly<Record<Step | "whole", number>>;
}

type Step = "models" | "ingest" | "epoch" | "issue";

/** Resident memory by step, looked at ten times a second; that of the whole is the system's own figure. */
class PeakMemory {
  readonly #steps: Record<Step, number> = { models: 0, ingest: 0, epoch: 0, issue: 0 };
  readonly #timer = setInterval(() => this.#look(), 100);
  #highest = 0;

  get peaks(): StatementsMeasured["peakMb"] {
    return { ...this.#steps, whole: Math.round(process.resourceUsage().maxRSS / 1_000) };
  }

  /** The step ends here; now. */
  mark(step: Step): number {
    this.#look();
    this.#steps[step] = Math.round(this.#highest / 1e6);
    this.#highest = 0;
    return performance.now();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    this.#highest = Math.max(this.#highest, process.memoryUsage.rss());
  }
}

function since(from: number, until: number): number {
  return Math.round((until - from) / 10) / 100;
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
    issuer: () => Promise.resolve(undefined),
    setIssuer: () => Promise.resolve(),
    add: (statements) => {
      all.push(...statements);
      return Promise.resolve({ ok: true, value: undefined });
    },
  };
}

await run(Number(process.argv[2]));
