import { parseArgs } from "node:util";
import { Pool } from "undici";
import { assert } from "../src/core/result.ts";
import { ended, message, startScript, treeCpuMicros } from "./support/benchProcess.ts";
import { PORTKEY, startPortkey } from "./support/portkey.ts";

const CONNECTIONS = [16, 64] as const;
/** A server runs for days: what its compiler takes for the first requests is not what a request costs. */
const WARM_UP = 12_000;
const REQUESTS = { json: 6_000, sse: 3_000 } as const;
const ROUNDS = 5;
/** Requests a second that a bare proxy and a gateway are also both asked for: a proxy that is kept busy pays for fewer waits, and for each in less. */
const RATE = 2_000;

/**
 * CPU for each request of the gateway (key check, hold, journal entry, receipt, promise) beside a bare node:http + undici proxy in the same run,
 * and beside Portkey's gateway where it installs. One JSON answer, or a stream of 32 chunks. First each serves callers that ask again as soon as they are answered, and so
 * as many requests as it can; then, but for Portkey's, which could not, as many as the others. Upstream, proxy, PostgreSQL and callers are processes
 * of their own, so that a proxy's CPU is its own. `--only bare,ours,portkey`, `--kind json,sse`, `--profile FOLDER` (a V8 CPU profile of each).
 */
export async function run(): Promise<void> {
  const options = readOptions(process.argv.slice(3));
  const upstreamProcess = startScript("upstreamProcess", []);
  const { url: upstream } = await message<{ url: string }>(upstreamProcess);
  const proxies: Proxy[] = [];
  try {
    for (const name of options.only) {
      const proxy = name === "portkey" ? await startPortkey(upstream) : await startOwn(name, upstream, options);
      if (proxy === undefined) console.log(`${PORTKEY} was not measured: it could not be installed here`);
      else proxies.push(proxy);
    }
    const rows: Row[] = [];
    for (const connections of CONNECTIONS)
      for (const kind of options.kinds) rows.push(...(await measureInTurns(proxies, { kind, connections })));
    const paced = proxies.filter(({ name }) => name !== "portkey");
    for (const kind of options.kinds)
      rows.push(...(await measureInTurns(paced, { kind, connections: CONNECTIONS[1], rate: RATE })));
    print(rows);
    const hasPortkey = proxies.some(({ name }) => name === "portkey");
    console.log(
      JSON.stringify({
        bench: "gateway",
        ledger: "postgresql",
        rounds: ROUNDS,
        rows,
        ratios: ratios(rows),
        hasPortkey,
      }),
    );
  } finally {
    for (const proxy of proxies) await proxy.stop();
    await ended(upstreamProcess, () => upstreamProcess.disconnect());
  }
}

type Kind = "json" | "sse";

interface Load {
  readonly kind: Kind;
  readonly connections: number;
  /** Requests a second, evenly; without it callers ask again as soon as they are answered. */
  readonly rate?: number;
}

interface Options {
  readonly only: readonly string[];
  readonly kinds: readonly Kind[];
  readonly profile: string | undefined;
}

function readOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      only: { type: "string", default: "bare,ours,portkey" },
      kind: { type: "string", default: "json,sse" },
      profile: { type: "string" },
    },
  });
  const kinds = (["json", "sse"] as const).filter((kind) => values.kind.split(",").includes(kind));
  return { only: values.only.split(","), kinds, profile: values.profile };
}

/** Medians over the rounds: microseconds of CPU for each request, the proxy's and PostgreSQL's beside it. */
interface Row extends Load {
  readonly name: string;
  readonly cpu: number;
  readonly storeCpu: number;
  readonly perSecond: number;
  /** Receipts in a commit; 0 where there is no journal. */
  readonly perCommit: number;
  /** CPU of each round, in order: proxies take turns, so that what disturbs the machine disturbs all of them. */
  readonly rounds: readonly number[];
}

interface Usage {
  readonly cpuMicros: number;
  readonly receipts?: number;
  readonly commits?: number;
}

interface Proxy {
  readonly name: string;
  readonly url: string;
  readonly headers: Record<string, string>;
  usage(): Promise<Usage>;
  storeCpuMicros?(): number;
  stop(): Promise<void>;
}

async function measureInTurns(proxies: readonly Proxy[], load: Load): Promise<Row[]> {
  const { kind, connections } = load;
  const runs = proxies.map((proxy) => ({ proxy, pool: new Pool(proxy.url, { connections }), figures: newFigures() }));
  for (const { proxy, pool } of runs) await ask(pool, proxy.headers, { kind, connections }, WARM_UP);
  for (let round = 0; round < ROUNDS; round++)
    for (const { proxy, pool, figures } of runs) figures.push(await measure(proxy, pool, load));
  for (const { pool } of runs) await pool.close();
  return runs.map(({ proxy: { name }, figures }) => {
    const middle = (read: (figure: Figure) => number) => median(figures.map(read));
    return {
      ...{ name, ...load },
      ...{ cpu: round1(middle(({ cpu }) => cpu)), storeCpu: round1(middle(({ storeCpu }) => storeCpu)) },
      ...{
        perSecond: Math.round(middle(({ perSecond }) => perSecond)),
        perCommit: round1(middle(({ perCommit }) => perCommit)),
      },
      rounds: figures.map(({ cpu }) => round1(cpu)),
    };
  });
}

type Figure = Pick<Row, "cpu" | "storeCpu" | "perSecond" | "perCommit">;

function newFigures(): Figure[] {
  return [];
}

async function measure(proxy: Proxy, pool: Pool, load: Load): Promise<Figure> {
  const store = () => proxy.storeCpuMicros?.() ?? 0;
  const count = REQUESTS[load.kind];
  const [before, storeBefore, startedMs] = [await proxy.usage(), store(), performance.now()];
  await ask(pool, proxy.headers, load, count);
  const seconds = (performance.now() - startedMs) / 1_000;
  const after = await proxy.usage();
  const commits = (after.commits ?? 0) - (before.commits ?? 0);
  return {
    cpu: (after.cpuMicros - before.cpuMicros) / count,
    storeCpu: (store() - storeBefore) / count,
    perSecond: count / seconds,
    perCommit: commits === 0 ? 0 : ((after.receipts ?? 0) - (before.receipts ?? 0)) / commits,
  };
}

async function ask(
  pool: Pool,
  headers: Record<string, string>,
  { kind, connections, rate }: Load,
  count: number,
): Promise<void> {
  const question = "How do I create an archive of a folder with tar, and then print what is in it?";
  const stream = kind === "sse" ? { stream: true } : {};
  const body = JSON.stringify({
    ...{ model: "bench", messages: [{ role: "user", content: question }], max_tokens: 100 },
    ...stream,
  });
  const startedMs = performance.now();
  let asked = 0;
  const caller = async () => {
    while (asked < count) {
      const number = asked++;
      if (rate !== undefined) await until(startedMs + (number * 1_000) / rate);
      const response = await pool.request({ method: "POST", path: "/v1/chat/completions", headers, body });
      const text = await response.body.text();
      assert(response.statusCode === 200, `the proxy answers, not ${response.statusCode}: ${text.slice(0, 200)}`);
      assert(text.includes("word31"), "the answer is whole");
    }
  };
  await Promise.all(Array.from({ length: connections }, caller));
}

async function until(dueMs: number): Promise<void> {
  const waitMs = dueMs - performance.now();
  if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
}

async function startOwn(name: string, upstream: string, { profile }: Options): Promise<Proxy> {
  const flags = profile === undefined ? [] : ["--cpu-prof", "--cpu-prof-dir", profile];
  const child = startScript("proxyProcess", [name, upstream], flags);
  const { url, secret, storePid } = await message<{ url: string; secret: string; storePid?: number }>(child);
  const usage = async () => {
    const answer = message<Usage>(child);
    child.send("cpu");
    return await answer;
  };
  const headers = { authorization: `Bearer ${secret}`, "content-type": "application/json" };
  return {
    ...{ name, url, headers, usage },
    storeCpuMicros: () => (storePid === undefined ? 0 : treeCpuMicros(storePid)),
    stop: () => ended(child, () => child.disconnect()),
  };
}

function print(rows: readonly Row[]): void {
  console.log("CPU for each request, microseconds (median of rounds); PostgreSQL's own CPU stands beside it\n");
  console.log("proxy     kind  connections  asked/s      CPU  of bare   PostgreSQL   requests/s  receipts/commit");
  for (const row of rows) {
    const bare = bareOf(rows, row);
    const cells = [
      ...[row.name.padEnd(9), row.kind.padEnd(5), String(row.connections).padStart(11)],
      ...[(row.rate === undefined ? "" : String(row.rate)).padStart(8), row.cpu.toFixed(0).padStart(8)],
      ...[bare === undefined ? "" : `${ratioOf(row, bare).toFixed(2)}×`].map((cell) => cell.padStart(8)),
      ...[row.storeCpu.toFixed(0).padStart(12), String(row.perSecond).padStart(12)],
      (row.perCommit === 0 ? "" : row.perCommit.toFixed(1)).padStart(16),
    ];
    console.log(cells.join(" "));
  }
}

/** How many times the bare proxy's CPU the gateway takes, and how many times the gateway's Portkey takes. */
function ratios(rows: readonly Row[]): Record<string, number> {
  const found: Record<string, number> = {};
  for (const row of rows.filter(({ name }) => name === "ours")) {
    const same = (name: string) => rows.find((other) => other.name === name && isSameLoad(other, row));
    const [bare, portkey] = [same("bare"), same("portkey")];
    const suffix = `${row.kind}${row.connections}${row.rate === undefined ? "" : `_${row.rate}PerSecond`}`;
    if (bare !== undefined) found[`oursToBare_${suffix}`] = round2(ratioOf(row, bare));
    if (portkey !== undefined) found[`portkeyToOurs_${suffix}`] = round2(ratioOf(portkey, row));
  }
  return found;
}

function bareOf(rows: readonly Row[], row: Row): Row | undefined {
  return rows.find((other) => other.name === "bare" && isSameLoad(other, row));
}

/** The median of the rounds' ratios. */
function ratioOf(row: Row, other: Row): number {
  return median(row.rounds.map((cpu, round) => cpu / (other.rounds[round] ?? cpu)));
}

function isSameLoad(a: Row, b: Row): boolean {
  return a.kind === b.kind && a.connections === b.connections && a.rate === b.rate;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

function round1(value: number): number {
  return Math.round(value * 10) / 10;
}

function round2(value: number): number {
  return Math.round(value * 100) / 100;
}
