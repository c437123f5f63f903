import { type ChildProcess, execFile, fork, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Pool } from "undici";
import { assert } from "../src/core/result.ts";

const CONCURRENCY = 16;
const WARM_UP = 1_500;
const JSON_REQUESTS = 6_000;
const SSE_REQUESTS = 3_000;
const ROUNDS = 3;
const PORTKEY = "@portkey-ai/gateway@1.15.2";

/**
 * CPU for each request of the gateway (key check, hold, journal entry, receipt, promise) beside a bare node:http + undici proxy in the same run,
 * and beside Portkey's gateway where it installs. One JSON answer, or a stream of 32 chunks, from one upstream in this process.
 */
export async function run(): Promise<void> {
  const upstream = await startUpstream();
  const rows: Row[] = [];
  for (const kind of ["bare", "ours"]) rows.push(await measure(kind, () => startOwn(kind, upstream.url)));
  const portkey = await measurePortkey(upstream.url);
  if (portkey !== undefined) rows.push(portkey);
  upstream.close();
  const [bare, ours] = rows;
  assert(bare !== undefined && ours !== undefined, "two proxies were measured");
  console.log(
    "CPU for each request, microseconds (median of rounds), durable on PostgreSQL (its own CPU not counted)\n",
  );
  console.log("proxy      JSON       SSE 32 chunks   JSON/bare  SSE/bare");
  for (const { name, json, sse } of rows) {
    const cells = [name.padEnd(9), json.toFixed(0).padStart(6), sse.toFixed(0).padStart(14)];
    console.log(
      [...cells, (json / bare.json).toFixed(2).padStart(14), (sse / bare.sse).toFixed(2).padStart(9)].join(" "),
    );
  }
  if (portkey === undefined)
    console.log(`\n${PORTKEY} was not measured: it could not be installed or did not run here`);
  const ratios = {
    jsonToBare: ours.json / bare.json,
    sseToBare: ours.sse / bare.sse,
    ...(portkey === undefined ? {} : { portkeyToJson: portkey.json / ours.json, portkeyToSse: portkey.sse / ours.sse }),
  };
  console.log(JSON.stringify({ bench: "gateway", ledger: "postgresql", rows, ratios }));
}

interface Row {
  readonly name: string;
  readonly json: number;
  readonly sse: number;
}

interface Proxy {
  readonly url: string;
  readonly headers: Record<string, string>;
  cpuMicros(): Promise<number>;
  stop(): Promise<void>;
}

async function measure(name: string, start: () => Promise<Proxy>): Promise<Row> {
  const proxy = await start();
  const pool = new Pool(proxy.url, { connections: CONCURRENCY });
  try {
    const figures: Record<"json" | "sse", number[]> = { json: [], sse: [] };
    for (const kind of ["json", "sse"] as const) {
      await load(pool, proxy.headers, kind, WARM_UP);
      const count = kind === "json" ? JSON_REQUESTS : SSE_REQUESTS;
      for (let round = 0; round < ROUNDS; round++) {
        const before = await proxy.cpuMicros();
        await load(pool, proxy.headers, kind, count);
        figures[kind].push(((await proxy.cpuMicros()) - before) / count);
      }
    }
    return { name, json: median(figures.json), sse: median(figures.sse) };
  } finally {
    await pool.close();
    await proxy.stop();
  }
}

async function load(pool: Pool, headers: Record<string, string>, kind: "json" | "sse", count: number): Promise<void> {
  const messages = [
    { role: "user", content: "How do I create an archive of a folder with tar, and then print what is in it?" },
  ];
  const body = JSON.stringify({
    model: "bench",
    messages,
    max_tokens: 100,
    ...(kind === "sse" ? { stream: true } : {}),
  });
  let left = count;
  const worker = async () => {
    while (left-- > 0) {
      const response = await pool.request({ method: "POST", path: "/v1/chat/completions", headers, body });
      const text = await response.body.text();
      assert(response.statusCode === 200, `the proxy answers, not ${response.statusCode}: ${text.slice(0, 200)}`);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
}

async function startOwn(kind: string, upstream: string): Promise<Proxy> {
  const isSource = import.meta.url.endsWith(".ts");
  const script = new URL(isSource ? "./support/proxyProcess.ts" : "./support/proxyProcess.js", import.meta.url);
  const child = fork(script, [kind, upstream], { execArgv: isSource ? ["--import", "tsx"] : [] });
  const { url, secret } = await message<{ url: string; secret: string }>(child);
  const cpuMicros = async () => {
    const answer = message<{ cpuMicros: number }>(child);
    child.send("cpu");
    return (await answer).cpuMicros;
  };
  const headers = { authorization: `Bearer ${secret}`, "content-type": "application/json" };
  return { url, headers, cpuMicros, stop: () => ended(child, () => child.disconnect()) };
}

function message<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null) => reject(new Error(`the proxy process ended with ${code}`));
    child.once("exit", onExit);
    child.once("message", (value: T) => {
      child.off("exit", onExit);
      resolve(value);
    });
  });
}

/** Installed into a temporary folder, run as its own start script runs it, CPU read from /proc. */
async function measurePortkey(upstream: string): Promise<Row | undefined> {
  if (!existsSync("/proc/self/stat")) return undefined;
  const folder = await mkdtemp(join(tmpdir(), "portkey-"));
  try {
    const arguments_ = ["install", "--prefix", folder, "--no-audit", "--no-fund", "--ignore-scripts", PORTKEY];
    const installed = await promisify(execFile)("npm", arguments_, { timeout: 180_000 }).then(
      () => true,
      () => false,
    );
    const script = join(folder, "node_modules/@portkey-ai/gateway/build/start-server.js");
    if (!installed || !existsSync(script)) return undefined;
    return await measure("portkey", () => startPortkey(script, folder, upstream));
  } catch (error) {
    console.log(`Portkey's gateway did not run: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function startPortkey(script: string, folder: string, upstream: string): Promise<Proxy> {
  const port = 20_000 + Math.floor(Math.random() * 20_000);
  const child = spawn(process.execPath, [script, `--port=${port}`, "--headless"], { cwd: folder, stdio: "ignore" });
  const url = `http://127.0.0.1:${port}`;
  for (let tries = 0; tries < 100 && !(await answers(url)); tries++) await new Promise((next) => setTimeout(next, 100));
  const config = { "x-portkey-provider": "openai", "x-portkey-custom-host": `${upstream}/v1` };
  const usual = {
    authorization: "Bearer none",
    "content-type": "application/json",
    accept: "*/*",
    "user-agent": "bench",
  };
  const headers = { ...config, ...usual };
  const cpuMicros = async () => {
    const fields = readFileSync(`/proc/${child.pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
    return (Number(fields[11]) + Number(fields[12])) * 10_000;
  };
  return { url, headers, cpuMicros, stop: () => ended(child, () => child.kill()) };
}

function answers(url: string): Promise<boolean> {
  return fetch(url).then(
    () => true,
    () => false,
  );
}

function ended(child: ChildProcess, stop: () => void): Promise<void> {
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    stop();
  });
}

async function startUpstream(): Promise<{ url: string; close(): void }> {
  const words = Array.from({ length: 32 }, (_, i) => `word${i} `);
  const head = `"id":"chatcmpl-1","created":1,"model":"bench"`;
  const usage = `"usage":{"prompt_tokens":24,"completion_tokens":32,"total_tokens":56}`;
  const whole = `{${head},"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":${JSON.stringify(words.join(""))}},"finish_reason":"stop"}],${usage}}`;
  const chunks = words.map(
    (word) =>
      `data: {${head},"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"${word}"},"finish_reason":null}]}\n\n`,
  );
  const finish = `data: {${head},"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n`;
  const last = `${finish}data: {${head},"choices":[],${usage}}\n\ndata: [DONE]\n\n`;
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (part: Buffer) => {
      body += part.toString();
    });
    request.on("end", () => {
      if (!body.includes(`"stream":true`)) {
        response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(whole) });
        response.end(whole);
        return;
      }
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (const chunk of chunks) response.write(chunk);
      response.end(last);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert(address !== null && typeof address === "object", "a TCP server has a port");
  return { url: `http://127.0.0.1:${address.port}`, close: () => server.close() };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
