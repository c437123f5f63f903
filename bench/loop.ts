import { type ChildProcess, fork } from "node:child_process";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { Pool } from "undici";
import { assert } from "../src/core/result.ts";

const DATA = "../shared/data/tldr.jsonl.gz";
const WARM_UP_SECONDS = 8;
const SECONDS = 10;
const CLOSED_LOOP = 64;

/**
 * The whole loop on one machine: streamed questions to an ∞-gram model of 7,425 pages, each answer attributed, routed and durable.
 * First as fast as a closed loop goes, then arrivals at that rate (1×) and at twice it (2×), from eight accounts, one of which sends half.
 * The delay is from the last byte of an answer's text to its promise, as its caller sees it.
 */
export async function run(): Promise<void> {
  if (!existsSync(DATA)) {
    console.log(`${resolve(DATA)} is not there: nothing measured`);
    console.log(JSON.stringify({ bench: "loop", skipped: true }));
    return;
  }
  const node = await startNode();
  try {
    await closedLoop(node, WARM_UP_SECONDS);
    const closed = await withCpu(node, () => closedLoop(node, SECONDS));
    assert(closed.served > 0, "the node answers");
    const capacity = closed.served / SECONDS;
    const once = await withCpu(node, () => openLoop(node, capacity * 0.95, SECONDS));
    const twice = await withCpu(node, () => openLoop(node, capacity * 2, SECONDS));
    const sums = await node.sums();
    print({ "closed loop": closed, "1×": once, "2×": twice });
    assert(sums.balanced, "debits equal credits and no hold is left");
    console.log(JSON.stringify({ bench: "loop", records: node.records, closed, once, twice, receipts: sums.receipts }));
  } finally {
    await node.stop();
  }
}

interface Figures {
  readonly offeredPerSecond: number;
  readonly served: number;
  readonly refused: number;
  readonly journalledPerSecond: number;
  readonly delayMs: { readonly p50: number; readonly p99: number };
  readonly wholeMs: { readonly p50: number; readonly p99: number };
  /** Least served share of what it sent among the seven small accounts, and that of the busy one. */
  readonly servedShare: { readonly small: number; readonly busy: number };
}

interface Sums {
  readonly receipts: number;
  readonly balanced: boolean;
  /** Of the node, its engine's worker and its PostgreSQL, so far. */
  readonly cpuMicros: number;
}

interface Node {
  readonly url: string;
  readonly secrets: readonly string[];
  readonly questions: readonly string[];
  readonly records: number;
  readonly pool: Pool;
  sums(): Promise<Sums>;
  stop(): Promise<void>;
}

async function startNode(): Promise<Node> {
  const isSource = import.meta.url.endsWith(".ts");
  const script = new URL(isSource ? "./support/loopProcess.ts" : "./support/loopProcess.js", import.meta.url);
  const child = fork(script, [DATA], { execArgv: isSource ? ["--import", "tsx"] : [] });
  const ready = await message<Pick<Node, "url" | "secrets" | "questions" | "records">>(child);
  const pool = new Pool(ready.url, { connections: 1_024 });
  const sums = async () => {
    const answer = message<Sums>(child);
    child.send("sums");
    return answer;
  };
  const stop = async () => {
    await pool.destroy();
    const exited = new Promise((done) => child.once("exit", done));
    child.disconnect();
    await exited;
  };
  return { ...ready, pool, sums, stop };
}

function message<T>(child: ChildProcess): Promise<T> {
  return new Promise((done, fail) => {
    const onExit = (code: number | null) => fail(new Error(`the node ended with ${code}`));
    child.once("exit", onExit);
    child.once("message", (value: T) => {
      child.off("exit", onExit);
      done(value);
    });
  });
}

class Tally {
  readonly delays: number[] = [];
  readonly wholes: number[] = [];
  readonly sent = new Array<number>(8).fill(0);
  readonly served = new Array<number>(8).fill(0);
  refused = 0;

  figures(seconds: number): Figures {
    const served = this.served.reduce((sum, count) => sum + count, 0);
    const share = (i: number) => this.served[i]! / Math.max(1, this.sent[i]!);
    return {
      offeredPerSecond: Math.round(this.sent.reduce((sum, count) => sum + count, 0) / seconds),
      ...{ served, refused: this.refused, journalledPerSecond: Math.round(served / seconds) },
      delayMs: { p50: quantile(this.delays, 0.5), p99: quantile(this.delays, 0.99) },
      wholeMs: { p50: quantile(this.wholes, 0.5), p99: quantile(this.wholes, 0.99) },
      servedShare: { small: Math.min(...[1, 2, 3, 4, 5, 6, 7].map(share)), busy: share(0) },
    };
  }
}

/** What ran, and the CPU that each journalled answer took of the node: a machine that also does other things disturbs it less than the rest. */
async function withCpu(node: Node, run: () => Promise<Figures>): Promise<Figures & { readonly cpuMs: number }> {
  const before = await node.sums();
  const figures = await run();
  const after = await node.sums();
  const cpuMs = (after.cpuMicros - before.cpuMicros) / 1_000 / Math.max(1, after.receipts - before.receipts);
  return { ...figures, cpuMs: Number(cpuMs.toFixed(2)) };
}

async function closedLoop(node: Node, seconds: number): Promise<Figures> {
  const tally = new Tally();
  const until = performance.now() + seconds * 1_000;
  let asked = 0;
  const worker = async (account: number) => {
    while (performance.now() < until) await ask(node, account, asked++, tally);
  };
  await Promise.all(Array.from({ length: CLOSED_LOOP }, (_, i) => worker(i % 8)));
  return tally.figures(seconds);
}

/** Arrivals at a fixed rate, whether or not there are answers. The first account sends half of them. */
async function openLoop(node: Node, perSecond: number, seconds: number): Promise<Figures> {
  const tally = new Tally();
  const startedMs = performance.now();
  const running: Promise<void>[] = [];
  for (let sent = 0; sent < perSecond * seconds; ) {
    const due = ((performance.now() - startedMs) / 1_000) * perSecond;
    for (; sent < due; sent++) running.push(ask(node, sent % 2 === 0 ? 0 : 1 + (((sent - 1) / 2) % 7), sent, tally));
    await new Promise((next) => setTimeout(next, 2));
  }
  await Promise.all(running);
  return tally.figures((performance.now() - startedMs) / 1_000);
}

async function ask(node: Node, account: number, turn: number, tally: Tally): Promise<void> {
  const question = node.questions[(turn * 7_919) % node.questions.length]!;
  const body = JSON.stringify({
    ...{ model: "bench", max_tokens: 200, stream: true, stream_options: { include_usage: true } },
    messages: [{ role: "user", content: question }],
  });
  const headers = { authorization: `Bearer ${node.secrets[account]}`, "content-type": "application/json" };
  tally.sent[account]! += 1;
  const startedMs = performance.now();
  const response = await node.pool.request({ method: "POST", path: "/v1/chat/completions", headers, body });
  let lastTextMs = startedMs;
  let tail = "";
  for await (const part of response.body) {
    const text = String(part);
    if (text.includes(`"delta":{"content"`)) lastTextMs = performance.now();
    tail = text.slice(-4_000);
  }
  if (response.statusCode !== 200 || !tail.includes(`"promise"`)) {
    tally.refused += 1;
    return;
  }
  tally.served[account]! += 1;
  tally.delays.push(performance.now() - lastTextMs);
  tally.wholes.push(performance.now() - startedMs);
}

function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return Number((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0).toFixed(2));
}

function print(rows: Readonly<Record<string, Figures & { readonly cpuMs: number }>>): void {
  console.log(
    "load          offered/s  journalled/s  refused  last byte→promise p50 / p99 ms   whole p99 ms  served: small / busy  CPU ms",
  );
  for (const [name, row] of Object.entries(rows)) {
    const cells = [
      ...[name.padEnd(13), String(row.offeredPerSecond).padStart(9), String(row.journalledPerSecond).padStart(13)],
      ...[String(row.refused).padStart(8), `${row.delayMs.p50} / ${row.delayMs.p99}`.padStart(32)],
      ...[String(row.wholeMs.p99).padStart(13)],
      `${(row.servedShare.small * 100).toFixed(0)} % / ${(row.servedShare.busy * 100).toFixed(0)} %`.padStart(20),
      row.cpuMs.toFixed(2).padStart(7),
    ];
    console.log(cells.join(" "));
  }
}
