import { parseArgs } from "node:util";
import { Pool } from "undici";
import { assert } from "../src/core/result.ts";
import { ended, message, startScript, treeCpuMicros } from "./support/benchProcess.ts";
import { PORTKEY, startPortkey } from "./support/portkey.ts";

const CONNECTIONS = [16, 64] as const;
/** A server runs for days: what its compiler takes for the first requests is not what a request costs. */
const WARM_UP = 12_000;
const REQUESTS = { json: 6_000, sse: 3_000 } as const;
const ROUNDS = 3;

/**
 * CPU for each request of the gateway (key check, hold, journal entry, receipt, promise) beside a bare node:http + undici proxy in the same run,
 * and beside Portkey's gateway where it installs. One JSON answer, or a stream of 32 chunks. Upstream, proxy, PostgreSQL and callers are processes
 * of their own, so that a proxy's CPU is its own. `--only bare,ours,portkey`, `--kind json,sse`, `--profile FOLDER` (a V8 CPU profile of each).
 */
export async function run(): Promise<void> {
  const options = readOptions(process.argv.slice(3));
  const upstreamProcess = startScript("upstreamProcess", []);
  const { url: upstream } = await message<{ url: string }>(upstreamProcess);
  const rows: Row[] = [];
  let hasPortkey = false;
  try {
    for (const name of options.only) {
      const proxy = name === "portkey" ? await startPortkey(upstream) : await startOwn(name, upstream, options);
      if (proxy === undefined) console.log(`${PORTKEY} was not measured: it could not be installed here`);
      else {
        rows.push(...(await measureAll(name, proxy, options)));
        hasPortkey ||= name === "portkey";
      }
    }
  } finally {
    await ended(upstreamProcess, () => upstreamProcess.disconnect());
  }
  print(rows);
  console.log(JSON.stringify({ bench: "gateway", ledger: "postgresql", rows, ratios: ratios(rows), hasPortkey }));
}

type Kind = "json" | "sse";

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

/** Microseconds of CPU for each request: the proxy's, and PostgreSQL's beside it. */
interface Row {
  readonly name: string;
  readonly kind: Kind;
  readonly connections: number;
  readonly cpu: number;
  readonly storeCpu: number;
  readonly perSecond: number;
}

interface Proxy {
  readonly url: string;
  readonly headers: Record<string, string>;
  cpuMicros(): Promise<number>;
  storeCpuMicros?(): number;
  stop(): Promise<void>;
}

async function measureAll(name: string, proxy: Proxy, options: Options): Promise<Row[]> {
  const rows: Row[] = [];
  try {
    for (const connections of CONNECTIONS) {
      const pool = new Pool(proxy.url, { connections });
      for (const kind of options.kinds) rows.push(await measure(name, proxy, pool, kind, connections));
      await pool.close();
    }
    return rows;
  } finally {
    await proxy.stop();
  }
}

async function measure(name: string, proxy: Proxy, pool: Pool, kind: Kind, connections: number): Promise<Row> {
  const store = () => proxy.storeCpuMicros?.() ?? 0;
  const count = REQUESTS[kind];
  const figures: { readonly cpu: number; readonly storeCpu: number; readonly perSecond: number }[] = [];
  await load(pool, proxy.headers, kind, WARM_UP, connections);
  for (let round = 0; round < ROUNDS; round++) {
    const [before, storeBefore, startedMs] = [await proxy.cpuMicros(), store(), performance.now()];
    await load(pool, proxy.headers, kind, count, connections);
    const seconds = (performance.now() - startedMs) / 1_000;
    const cpu = ((await proxy.cpuMicros()) - before) / count;
    figures.push({ cpu, storeCpu: (store() - storeBefore) / count, perSecond: count / seconds });
  }
  const middle = (read: (figure: (typeof figures)[number]) => number) => median(figures.map(read));
  return {
    ...{ name, kind, connections },
    cpu: round1(middle((figure) => figure.cpu)),
    storeCpu: round1(middle((figure) => figure.storeCpu)),
    perSecond: Math.round(middle((figure) => figure.perSecond)),
  };
}

async function load(
  pool: Pool,
  headers: Record<string, string>,
  kind: Kind,
  count: number,
  connections: number,
): Promise<void> {
  const question = "How do I create an archive of a folder with tar, and then print what is in it?";
  const stream = kind === "sse" ? { stream: true } : {};
  const body = JSON.stringify({
    ...{ model: "bench", messages: [{ role: "user", content: question }], max_tokens: 100 },
    ...stream,
  });
  let left = count;
  const caller = async () => {
    while (left-- > 0) {
      const response = await pool.request({ method: "POST", path: "/v1/chat/completions", headers, body });
      const text = await response.body.text();
      assert(response.statusCode === 200, `the proxy answers, not ${response.statusCode}: ${text.slice(0, 200)}`);
      assert(text.includes("word31"), "the answer is whole");
    }
  };
  await Promise.all(Array.from({ length: connections }, caller));
}

async function startOwn(kind: string, upstream: string, { profile }: Options): Promise<Proxy> {
  const flags = profile === undefined ? [] : ["--cpu-prof", "--cpu-prof-dir", profile];
  const child = startScript("proxyProcess", [kind, upstream], flags);
  const { url, secret, storePid } = await message<{ url: string; secret: string; storePid?: number }>(child);
  const cpuMicros = async () => {
    const answer = message<{ cpuMicros: number }>(child);
    child.send("cpu");
    return (await answer).cpuMicros;
  };
  const headers = { authorization: `Bearer ${secret}`, "content-type": "application/json" };
  return {
    ...{ url, headers, cpuMicros },
    storeCpuMicros: () => (storePid === undefined ? 0 : treeCpuMicros(storePid)),
    stop: () => ended(child, () => child.disconnect()),
  };
}

function print(rows: readonly Row[]): void {
  console.log("CPU for each request, microseconds (median of rounds); PostgreSQL's own CPU stands beside it\n");
  console.log("proxy     kind  connections      CPU  of bare   PostgreSQL   requests/s");
  for (const row of rows) {
    const bare = bareOf(rows, row);
    const cells = [
      ...[row.name.padEnd(9), row.kind.padEnd(5), String(row.connections).padStart(11), row.cpu.toFixed(0).padStart(8)],
      ...[bare === undefined ? "" : `${(row.cpu / bare.cpu).toFixed(2)}×`].map((cell) => cell.padStart(8)),
      ...[row.storeCpu.toFixed(0).padStart(12), String(row.perSecond).padStart(12)],
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
    const suffix = `${row.kind}${row.connections}`;
    if (bare !== undefined) found[`oursToBare_${suffix}`] = round2(row.cpu / bare.cpu);
    if (portkey !== undefined) found[`portkeyToOurs_${suffix}`] = round2(portkey.cpu / row.cpu);
  }
  return found;
}

function bareOf(rows: readonly Row[], row: Row): Row | undefined {
  return rows.find((other) => other.name === "bare" && isSameLoad(other, row));
}

function isSameLoad(a: Row, b: Row): boolean {
  return a.kind === b.kind && a.connections === b.connections;
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
