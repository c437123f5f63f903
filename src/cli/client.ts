import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { ok, type Refusal, type Result, refusalCodes, refuse } from "../core/result.ts";
import { readIfThere } from "../host/files.ts";
import { isAlive } from "../host/processes.ts";
import { adminKeyPath } from "../node/secrets.ts";
import { problemSchema } from "../protocol/errors.ts";
import { parseInput } from "../protocol/parse.ts";
import { refusalTable } from "../protocol/refusals.ts";

/** A node's HTTP API, typed by the schemas that the node itself answers by. Every failure is a refusal with the node's own code. */
export interface Client {
  /** Without a slash at its end. */
  readonly url: string;
  /** The API key that it sends. */
  readonly key: string | undefined;
  get<T>(path: string, schema: z.ZodType<T>, query?: Query): Promise<Result<T>>;
  post<T>(path: string, body: unknown, schema: z.ZodType<T>): Promise<Result<T>>;
  put<T>(path: string, body: unknown, schema: z.ZodType<T>): Promise<Result<T>>;
  /** The bytes as they are, as this media type. */
  send<T>(path: string, body: Uint8Array<ArrayBuffer>, type: string, schema: z.ZodType<T>): Promise<Result<T>>;
  delete<T>(path: string, schema: z.ZodType<T>): Promise<Result<T>>;
  bytes(path: string): Promise<Result<Uint8Array>>;
  /** The `data:` objects of a stream of server-sent events, to its `[DONE]`. A refusal is the last. */
  events(path: string, body: unknown): AsyncGenerator<Result<unknown>, void, undefined>;
}

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface NodeAddress {
  readonly url: string;
  readonly key: string | undefined;
}

/** What the node leaves in its data folder, for commands on the same machine. */
export const nodeFileSchema = z.object({ url: z.string().regex(/^https?:\/\//), pid: z.number().int() });

/**
 * The node that a command means: `--url`, else the one that runs on this data folder. The folder's admin key goes to that node alone,
 * never to another address that somebody typed.
 */
export async function findNode(options: {
  readonly data: string;
  readonly url: string | undefined;
  readonly key: string | undefined;
}): Promise<Result<NodeAddress>> {
  const local = parseNodeFile(await readIfThere(join(options.data, "node.json")));
  if (options.url !== undefined) {
    const url = baseUrl(options.url);
    if (url === undefined) return refuse("invalid_request", `"${options.url}" is not an http URL`, { field: "url" });
    const isLocal = local !== undefined && baseUrl(local.url) === url;
    return ok({ url, key: options.key ?? (isLocal ? await adminKeyOf(options.data) : undefined) });
  }
  if (local === undefined || !isAlive(local.pid)) {
    return refuse("upstream_failed", `no node runs on the data folder ${options.data}`, {
      hint: "start one with: openledger up, or name one with --url",
    });
  }
  return ok({ url: local.url.replace(/\/+$/, ""), key: options.key ?? (await adminKeyOf(options.data)) });
}

export function openClient(address: NodeAddress, fetcher: typeof fetch): Client {
  const send = (method: string, path: string, body?: unknown) => request(address, fetcher, method, path, body);
  const json = async <T>(sent: Promise<Result<Response>>, schema: z.ZodType<T>): Promise<Result<T>> => {
    const response = await sent;
    return response.ok ? readJson(address.url, response.value, schema) : response;
  };
  return {
    url: address.url,
    key: address.key,
    get: (path, schema, query = {}) => json(send("GET", path + queryText(query)), schema),
    post: (path, body, schema) => json(send("POST", path, body), schema),
    put: (path, body, schema) => json(send("PUT", path, body), schema),
    send: (path, body, type, schema) => json(request(address, fetcher, "POST", path, body, type), schema),
    delete: (path, schema) => json(send("DELETE", path), schema),
    bytes: async (path) => {
      const response = await send("GET", path);
      return response.ok
        ? guarded(address.url, async () => new Uint8Array(await response.value.arrayBuffer()))
        : response;
    },
    events: async function* (path, body) {
      const response = await send("POST", path, body);
      if (!response.ok) return yield response;
      if (response.value.body !== null) yield* readEvents(address.url, response.value.body);
    },
  };
}

/** The refusal in an error body: RFC 9457 problems carry our code, OpenAI error objects their own, which the one table maps back. */
export function refusalOf(status: number, body: unknown): Refusal {
  const problem = problemSchema.safeParse(body);
  if (problem.success) {
    const { detail, hint, field } = problem.data;
    const code = refusalCodes.find((one) => one === problem.data.code);
    if (code !== undefined) return withPlace({ code, message: detail }, hint, field);
  }
  const openAi = openAiSchema.safeParse(body);
  if (openAi.success) {
    const { message, code: said, param } = openAi.data.error;
    const code = refusalCodes.find((one) => refusalTable[one].openaiCode === said);
    return withPlace({ code: code ?? byStatus(status), message }, undefined, param ?? undefined);
  }
  return { code: byStatus(status), message: `the node answered with HTTP status ${status}` };
}

const openAiSchema = z.object({
  error: z.object({ message: z.string(), code: z.string().nullable(), param: z.string().nullish() }),
});

function withPlace(refusal: Refusal, hint: string | undefined, field: string | undefined): Refusal {
  return { ...refusal, ...(hint === undefined ? {} : { hint }), ...(field === undefined ? {} : { field }) };
}

function byStatus(status: number): Refusal["code"] {
  const code = refusalCodes.find((one) => refusalTable[one].httpStatus === status);
  return code ?? "upstream_failed";
}

async function request(
  { url, key }: NodeAddress,
  fetcher: typeof fetch,
  method: string,
  path: string,
  body: unknown,
  type?: string,
): Promise<Result<Response>> {
  const hasBody = method === "POST" || method === "PUT";
  const headers = {
    ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
    ...(hasBody ? { "content-type": type ?? "application/json" } : {}),
  };
  const sentBody = body instanceof Uint8Array ? new Uint8Array(body) : JSON.stringify(body ?? {});
  // A redirect would carry the key to wherever it points.
  const sent = await guarded(url, () =>
    fetcher(url + path, {
      ...{ method, headers, redirect: "error" },
      ...(hasBody ? { body: sentBody } : {}),
    }),
  );
  if (!sent.ok || sent.value.ok) return sent;
  const text = await guarded(url, () => sent.value.text());
  return { ok: false, error: refusalOf(sent.value.status, text.ok ? parseText(text.value) : undefined) };
}

async function readJson<T>(url: string, response: Response, schema: z.ZodType<T>): Promise<Result<T>> {
  const text = await guarded(url, () => response.text());
  if (!text.ok) return text;
  const parsed = parseInput(schema, parseText(text.value));
  if (parsed.ok) return parsed;
  return refuse("upstream_failed", `${url} answered what this program does not understand: ${parsed.error.message}`, {
    hint: "is it an OpenLedger node, of the same version?",
  });
}

async function* readEvents(url: string, body: ReadableStream<Uint8Array>): AsyncGenerator<Result<unknown>> {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const part = await guarded(url, () => reader.read());
    if (!part.ok) return yield part;
    if (part.value.done) break;
    const lines = (rest + part.value.value).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (!line.startsWith("data: ")) continue;
      const data = line.slice("data: ".length);
      if (data === "[DONE]") return;
      const value = parseText(data);
      const failed = openAiSchema.safeParse(value);
      if (failed.success) return yield { ok: false, error: refusalOf(502, value) };
      yield ok(value);
    }
  }
  yield refuse("upstream_failed", "the answer broke off");
}

/** Network trouble, as a refusal; anything else is a bug and goes on. */
async function guarded<T>(url: string, work: () => Promise<T>): Promise<Result<T>> {
  try {
    return ok(await work());
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const cause = error.cause instanceof Error ? error.cause : error;
    const why = "code" in cause && typeof cause.code === "string" ? cause.code : cause.message;
    return refuse("upstream_failed", `${url} does not answer (${why})`, { hint: "is the node up? openledger up" });
  }
}

function parseNodeFile(text: string | undefined): z.infer<typeof nodeFileSchema> | undefined {
  const parsed = nodeFileSchema.safeParse(text === undefined ? undefined : parseText(text));
  return parsed.success ? parsed.data : undefined;
}

/** The admin key that a node left in its data folder. */
export async function adminKeyOf(data: string): Promise<string | undefined> {
  const text = await readFile(adminKeyPath(data), "utf8").catch(() => "");
  return text.trim() === "" ? undefined : text.trim();
}

function baseUrl(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== "http:" && url.protocol !== "https:")) return undefined;
  return `${url.origin}${url.pathname}`.replace(/\/+$/, "");
}

function queryText(query: Query): string {
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) asked.set(name, String(value));
  return asked.size === 0 ? "" : `?${asked}`;
}

function parseText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
