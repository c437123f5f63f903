import { createServer } from "node:http";
import { Pool } from "undici";
import { assert, unwrap } from "../../src/core/result.ts";
import { Gateway } from "../../src/gateway/gateway.ts";
import { OpenAiEngine } from "../../src/upstream/openai.ts";
import { benchKey, benchModel, benchWorld, openBenchLedger } from "./benchLedger.ts";

/**
 * One proxy under test, in a process of its own so that its CPU is its own: `bare` pipes requests through node:http and an undici pool,
 * `ours` is the gateway over a ledger on PostgreSQL. Says `{url, secret}` when it listens, and answers `cpu` with microseconds used and receipts journalled so far.
 */
const [kind, upstream] = process.argv.slice(2);
assert(upstream !== undefined, "the upstream's URL is the second argument");
const started = kind === "bare" ? await startBare(upstream) : await startOurs(upstream);
process.on("message", () => {
  const { user, system } = process.cpuUsage();
  process.send?.({ cpuMicros: user + system, ...started.journal() });
});
if (kind === "bare") process.on("disconnect", () => process.exit(0));
process.send?.({ url: started.url, secret: started.secret, storePid: started.storePid });

interface Started {
  readonly url: string;
  readonly secret: string;
  readonly storePid?: number | undefined;
  /** How many receipts there are, and how many commits they took. */
  journal(): { readonly receipts: number; readonly commits: number };
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
  return { url: `http://127.0.0.1:${address.port}`, secret: "none", journal: () => ({ receipts: 0, commits: 0 }) };
}

async function startOurs(origin: string): Promise<Started> {
  const bench = await openBenchLedger();
  const { ledger } = bench;
  process.on("disconnect", () => void bench.stop().finally(() => process.exit(0)));
  const gateway = new Gateway({ world: benchWorld, ledger });
  const model = await benchModel(ledger);
  gateway.catalog.put(model);
  gateway.operators.put({
    ...{ name: "upstream", payee: benchWorld.randomBytes(32), engine: new OpenAiEngine({ baseUrl: `${origin}/v1` }) },
    ...{ models: { [model.name]: "bench" }, unit: "nano", cost: model.royalty, concurrency: 64 },
  });
  const secret = await benchKey(ledger);
  const { url } = unwrap(await gateway.listen(0));
  const atStart = ledger.books.size();
  // Every commit adds one entry to its receipts: the signature over them.
  const journal = () => {
    const { receipts } = ledger.books.totals();
    return { receipts, commits: ledger.books.size() - atStart - receipts };
  };
  return { url, secret, storePid: bench.storePid, journal };
}
