import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { Pool } from "undici";
import { assert, unwrap } from "./src/core/result.ts";
import { Gateway } from "./src/gateway/gateway.ts";
import { MemoryLedger } from "./src/gateway/testing/memoryLedger.ts";
import { OpenAiEngine } from "./src/upstream/openai.ts";

/**
 * One proxy under test, in a process of its own so that its CPU is its own: `bare` pipes requests through node:http and an undici pool,
 * `ours` is the gateway over a ledger in memory. Says `{url, secret}` when it listens, and answers `cpu` with microseconds used so far.
 */
const [kind, upstream] = process.argv.slice(2);
assert(upstream !== undefined, "the upstream's URL is the second argument");
const started = kind === "bare" ? await startBare(upstream) : await startOurs(upstream);
process.on("message", () => {
  const { user, system } = process.cpuUsage();
  process.send?.({ cpuMicros: user + system, receipts: started.receipts() });
});
process.on("disconnect", () => process.exit(0));
process.send?.({ url: started.url, secret: started.secret });

interface Started {
  readonly url: string;
  readonly secret: string;
  receipts(): number;
}

async function startBare(origin: string): Promise<Started> {
  const pool = new Pool(origin, { connections: 64 });
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part);
    const path = request.url ?? "/";
    const headers = { "content-type": "application/json" };
    const answer = await pool.request({ method: "POST", path, headers, body: Buffer.concat(parts) });
    response.writeHead(answer.statusCode, { "content-type": String(answer.headers["content-type"]) });
    answer.body.pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert(address !== null && typeof address === "object", "a TCP server has a port");
  return { url: `http://127.0.0.1:${address.port}`, secret: "none", receipts: () => 0 };
}

async function startOurs(origin: string): Promise<Started> {
  const ledger = new MemoryLedger(() => Date.now(), 0, 1_000);
  const account = unwrap(await ledger.accounts.open({ name: "bench" }));
  unwrap(await ledger.accounts.credit({ account: account.id, amount: Number.MAX_SAFE_INTEGER, key: "k", note: "" }));
  const { secret } = unwrap(await ledger.accounts.createKey({ account: account.id, name: "bench" }));
  const world = {
    nowMs: () => Date.now(),
    elapsedMs: () => performance.now(),
    randomBytes: (size: number) => randomBytes(size),
    log: () => {},
  };
  const V = process.env["V"] ?? "";
  if (V.includes("post")) { let kept: any; const real = ledger.books.post; (ledger.books as any).post = async (d: any) => { if (kept) { ledger.holds.release(d.hold); return kept; } kept = await real(d); return kept; }; }
  const gateway = new Gateway({ world, ledger });
  if (V.includes("metrics")) { const m: any = gateway.metrics; m.executed = () => {}; m.took = () => {}; }
  if (V.includes("rhythm")) { (gateway.floor.rhythm as any).count = () => {}; }
  const prices = { inPerMillion: 1_000_000, outPerMillion: 2_000_000, perCall: 50 };
  gateway.catalog.put({
    ...{ name: "bench", asset: randomBytes(32), ownedBy: "bench", createdMs: 0, contextTokens: 8_192 },
    ...{ unit: "nano", royalty: prices },
  });
  gateway.operators.put({
    ...{ name: "upstream", payee: randomBytes(32), engine: (process.env["V"] ?? "").includes("engine") ? { complete: async function* () { yield [{ type: "text" as const, text: "word ".repeat(32) }, { type: "usage" as const, tokensIn: 5, tokensOut: 32 }, { type: "end" as const, reason: "stop" as const }]; } } : new OpenAiEngine({ baseUrl: `${origin}/v1` }) },
    ...{ models: { bench: "bench" }, unit: "nano", cost: prices, concurrency: 64 },
  });
  const { url } = unwrap(await gateway.listen(0));
  return { url, secret, receipts: () => ledger.books.totals().receipts };
}
