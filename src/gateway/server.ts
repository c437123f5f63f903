import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { ok, type Refusal, RefusalError, type Result, refuse } from "../core/result.ts";
import type { ApiKey, Ledger } from "../ledger/ledger.ts";
import type { Organisations } from "../ledger/organisations.ts";
import type { LiveAnswers } from "./completionRoutes.ts";
import { authenticate, checkHost, corsHeaders, type DoorRules, hasTestKey, parseBody, readQuery } from "./door.ts";
import { type Exchange, readBody, sendBroken, sendJson, sendNothing, sendRefusal, sendText } from "./exchange.ts";
import { Guests } from "./guests.ts";
import type { GatewayMetrics } from "./metrics.ts";
import { isAudited, permit, runAudited } from "./permission.ts";
import type { World } from "./ports.ts";
import { type Refused, refuseFor } from "./refused.ts";
import { type Found, type Reply, type Route, type Router, takesBody } from "./routes.ts";

export interface ServerOptions extends DoorRules {
  readonly bodyBytesMax: number;
  /** Where a request comes from; by default whoever is at the other end of the connection. What a request says of that itself is never believed. */
  readonly remoteOf?: (request: IncomingMessage) => string | undefined;
}

export interface ServerParts {
  readonly world: World;
  readonly ledger: Ledger;
  readonly metrics: GatewayMetrics;
  readonly router: Router;
  readonly live: LiveAnswers;
  readonly organisations: Organisations | undefined;
  /** Where requests with a test key are answered: another world, behind the same port. */
  readonly testWorld: Pick<HttpDoor, "serve"> | undefined;
}

/** The HTTP server: guards, routes, reads, answers. Every refusal leaves through one place, in the path's own error format. */
export class HttpDoor {
  readonly #parts: ServerParts;
  readonly #options: ServerOptions;
  readonly #server: Server;
  readonly #boot: string;
  readonly #guests: Guests;
  #requests = 0;
  #isTakingLarge = false;
  #open = 0;
  #isDraining = false;

  constructor(parts: ServerParts, options: ServerOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#boot = Buffer.from(parts.world.randomBytes(6)).toString("hex");
    this.#guests = new Guests(parts.world.randomBytes(32));
    this.#server = createServer({
      maxHeaderSize: 16_384,
      headersTimeout: 10_000,
      requestTimeout: 60_000,
      keepAliveTimeout: 20_000,
    });
    this.#server.on("request", (request, response) => void this.serve(request, response));
    this.#server.on("clientError", refuseSocket);
  }

  /** Requests that are not answered yet. */
  get open(): number {
    return this.#open;
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  listen(port: number, host: string): Promise<Result<AddressInfo>> {
    return new Promise((resolve) => {
      const onError = (error: NodeJS.ErrnoException) => {
        const isTaken = error.code === "EADDRINUSE";
        const message = isTaken
          ? `port ${port} on ${host} is in use`
          : `cannot listen on ${host}:${port}: ${error.message}`;
        const isPort = isTaken || error.code === "EACCES";
        resolve(
          refuse(isTaken ? "port_in_use" : "invalid_request", message, {
            hint: isPort ? "choose another one with --port" : "name an address of this machine with --host",
          }),
        );
      };
      this.#server.once("error", onError);
      this.#server.listen(port, host, () => {
        this.#server.off("error", onError);
        const address = this.#server.address();
        if (address === null || typeof address === "string") throw new Error("a TCP server has a port");
        resolve(ok(address));
      });
    });
  }

  /** No new requests; those that run may finish for `patienceMs`, as may the receipts of answers that did not wait for them, then answers are cut and posted as far as they were delivered. */
  async drain(patienceMs: number): Promise<void> {
    this.#isDraining = true;
    const closed = new Promise<void>((resolve) => {
      if (this.#server.listening) this.#server.close(() => resolve());
      else resolve();
    });
    this.#server.closeIdleConnections();
    await this.#quiet(patienceMs);
    const reason: Refusal = { code: "shutting_down", message: "the server is going down" };
    for (const answer of this.#parts.live) answer.abort(reason);
    await this.#quiet(5_000);
    this.#server.closeAllConnections();
    await closed;
  }

  async #quiet(patienceMs: number): Promise<void> {
    const { elapsedMs } = this.#parts.world;
    const until = elapsedMs() + patienceMs;
    while (this.#open + this.#parts.live.size > 0 && elapsedMs() < until)
      await new Promise((resolve) => setTimeout(resolve, 10));
  }

  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { testWorld } = this.#parts;
    if (testWorld !== undefined && hasTestKey(request)) return testWorld.serve(request, response);
    const url = request.url ?? "/";
    const cut = url.indexOf("?");
    const [path, search] = cut < 0 ? [url, ""] : [url.slice(0, cut), url.slice(cut + 1)];
    this.#requests += 1;
    const exchange = { request, response, path, search, requestId: `req_${this.#boot}${this.#requests.toString(36)}` };
    this.#open += 1;
    request.on("error", ignore);
    response.on("error", ignore);
    try {
      const entered = this.#enter(exchange);
      const replied =
        "ok" in entered
          ? entered
          : entered.route.bodyBytesMax === undefined
            ? await this.#run(entered, await bodyOf(entered, this.#options.bodyBytesMax))
            : await this.#runLarge(entered, entered.route.bodyBytesMax);
      if (replied.ok) send(exchange, replied.value);
      else this.#refuse(exchange, replied.error);
    } catch (error) {
      // A store that is away is no bug.
      if (error instanceof RefusalError && !response.headersSent) this.#refuse(exchange, error.refusal);
      else this.#broke(exchange, error);
    } finally {
      this.#open -= 1;
    }
  }

  /** What a request's head says: its reply where that is enough, or whom to run with what. */
  #enter(exchange: Exchange): Result<Reply, Refused> | Entered {
    const { request, path, search } = exchange;
    const method = request.method ?? "GET";
    const host = checkHost(request, this.#options);
    if (!host.ok) return host;
    const cors = corsHeaders(request, this.#options);
    if (cors !== undefined) for (const [name, value] of Object.entries(cors)) exchange.response.setHeader(name, value);
    if (method === "OPTIONS" && cors !== undefined) return ok({ kind: "bytes", body: "", headers: {} });
    const found = this.#parts.router.find(method === "HEAD" ? "GET" : method, path);
    if (!("route" in found)) return notHere(exchange, method, found.allowed);
    if (this.#isDraining && path !== "/api/health") return refuse("shutting_down", "the server is going down");
    const { route, params } = found;
    const key = authenticate(request, this.#parts.ledger.accounts, route.access);
    if (!key.ok) return key;
    const welcome = key.value === undefined && route.isFree !== true ? this.#welcome(request) : key;
    if (!welcome.ok) return welcome;
    const permitted = permit(key.value, route, this.#parts.organisations);
    if (!permitted.ok) return permitted;
    const query = readQuery(search);
    if (!query.ok) return query;
    return { exchange, route, params, key: key.value, query: query.value };
  }

  /** A route that is open to all does not look at keys; who shows a live one is no guest there either. */
  #welcome(request: IncomingMessage): Result<void, Refused> {
    const shown = authenticate(request, this.#parts.ledger.accounts, "optional");
    if (shown.ok && shown.value !== undefined) return ok(undefined);
    const { remoteOf } = this.#options;
    const remote = remoteOf === undefined ? request.socket.remoteAddress : remoteOf(request);
    return this.#guests.enter(remote ?? "", this.#parts.world.nowMs());
  }

  /** Large bodies are read whole: as they come one at a time, what they take of memory is bounded. */
  async #runLarge(entered: Entered, bytesMax: number): Promise<Result<Reply, Refused>> {
    if (this.#isTakingLarge)
      return refuseFor("queue_full", "another large body is being taken in", { retryAfterMs: 2_000 });
    this.#isTakingLarge = true;
    try {
      return await this.#run(entered, await bodyOf(entered, bytesMax));
    } finally {
      this.#isTakingLarge = false;
    }
  }

  #run(
    { exchange, route, params, key, query }: Entered,
    body: Result<Buffer, Refused>,
  ): Promise<Result<Reply, Refused>> | Result<Reply, Refused> {
    if (!body.ok) return body;
    const isParsed = route.form === undefined && route.isBodyless !== true;
    const parsed = isParsed ? parseBody(exchange.request, route.method, body.value, route.media) : ok(undefined);
    if (!parsed.ok) return parsed;
    const { organisations } = this.#parts;
    const call = { exchange, key, params, query, body: parsed.value, rawBody: body.value };
    return isAudited(route) && organisations !== undefined ? runAudited(route, call, organisations) : route.run(call);
  }

  #refuse(exchange: Exchange, refusal: Refused): void {
    this.#parts.metrics.refused(refusal.code);
    this.#parts.world.log("info", "refused", { request: exchange.requestId, path: exchange.path, code: refusal.code });
    sendRefusal(exchange, refusal);
  }

  /** A bug of ours. The caller learns the request id, the log what happened. */
  #broke(exchange: Exchange, error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#parts.world.log("error", "a request broke", {
      request: exchange.requestId,
      path: exchange.path,
      error: text,
    });
    if (exchange.response.headersSent) exchange.response.destroy();
    else sendBroken(exchange);
  }
}

/** A request whose head is in order: what its route runs with, but for the body. */
interface Entered {
  readonly exchange: Exchange;
  readonly route: Route;
  readonly params: Found["params"];
  readonly key: ApiKey | undefined;
  readonly query: Readonly<Record<string, string>>;
}

function bodyOf({ exchange, route }: Entered, bytesMax: number): Result<Buffer> | Promise<Result<Buffer, Refused>> {
  return takesBody(route.method) ? readBody(exchange, bytesMax) : noBody;
}

function send(exchange: Exchange, reply: Reply): void {
  if (reply.kind === "none") sendNothing(exchange);
  else if (reply.kind === "json") sendJson(exchange, reply.status ?? 200, reply.body, reply.headers);
  else if (reply.kind === "bytes") sendText(exchange, 200, reply.body, reply.headers);
}

/** What only nodes of another kind have. */
const ofOtherNodes: readonly (readonly [RegExp, string])[] = [
  [/^\/api\/(?:relay|claims\/[^/]+\/(?:relay|paid))\b/, "a ledger on credit pays by bank: openledger payout list"],
  [/^\/api\/(?:payouts\b|payees\/[^/]+\/details)/, "a ledger on a chain pays by claims: openledger claim PAYEE"],
  [/^\/api\/test\b/, "a test world is there where the node was started with: openledger up --test"],
];

function notHere(exchange: Exchange, method: string, allowed: readonly string[]): Result<Reply, Refused> {
  const { path, response } = exchange;
  const shown = path.slice(0, 200);
  if (allowed.length === 0)
    return refuse("not_found", `there is nothing at ${shown}`, {
      hint: ofOtherNodes.find(([where]) => where.test(path))?.[1] ?? "GET /api/openapi.json lists what there is",
    });
  response.setHeader("allow", allowed.join(", "));
  return refuse("method_not_allowed", `${method} is not possible at ${shown}`, {
    hint: `possible: ${allowed.join(", ")}`,
  });
}

/** What is not HTTP at all never reaches a handler. */
function refuseSocket(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable) return;
  const [status, message] = socketRefusals.get(error.code ?? "") ?? [
    "400 Bad Request",
    "this is not a whole HTTP request",
  ];
  const body = JSON.stringify({
    error: { message, type: "invalid_request_error", param: null, code: "invalid_request" },
  });
  const head = `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close`;
  socket.end(`${head}\r\n\r\n${body}`);
}

const socketRefusals = new Map<string, readonly [status: string, message: string]>([
  ["HPE_HEADER_OVERFLOW", ["431 Request Header Fields Too Large", "the headers are too large"]],
  ["ERR_HTTP_REQUEST_TIMEOUT", ["408 Request Timeout", "the request did not arrive whole in time"]],
]);

function ignore(): void {
  // The response's `close` event says the same, and is listened to.
}

const noBody = ok(Buffer.alloc(0));
