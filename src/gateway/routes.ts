import type { IncomingHttpHeaders } from "node:http";
import { z } from "zod";
import { ok, type Result } from "../core/result.ts";
import type { ApiKey } from "../ledger/ledger.ts";
import type { Capability } from "../protocol/capabilities.ts";
import { parseInput } from "../protocol/parse.ts";
import { empty } from "../protocol/scalars.ts";
import type { Exchange } from "./exchange.ts";
import type { Refused } from "./refused.ts";

/** Who may call: anybody, holders of a live key, holders of an admin key. `optional`: anybody, a key shows more. */
export type Access = "open" | "optional" | "key" | "admin";
export type Method = "GET" | "POST" | "PUT" | "DELETE";

/** Whether a call of this method has a body. */
export function takesBody(method: Method): boolean {
  return method === "POST" || method === "PUT";
}

/** Done; made; done, and nothing to say. */
export type Success = 200 | 201 | 204;

/** One endpoint. The schemas that validate a call are the ones that the OpenAPI document is made of. */
export interface RouteSpec<P, Q, B, H> {
  readonly method: Method;
  /** With `{name}` for parameters; a last `{name*}` takes the rest of the path. */
  readonly path: string;
  readonly summary: string;
  readonly tag: string;
  readonly access: Access;
  /** So cheap that callers without a key are not counted: see {@link Guests}. */
  readonly isFree?: true;
  /** What a key that acts in an organisation needs for it, in its role; without one such a key is refused. */
  readonly needs?: Capability;
  /** How an administrative act is noted: with its body, without it where that is personal, or not at all where the books themselves say as much. */
  readonly audit?: "bodiless" | "none";
  readonly params: z.ZodType<P>;
  readonly query: z.ZodType<Q>;
  readonly body: z.ZodType<B>;
  /** What the call may say in its head, and its answer in its own, beside what HTTP itself says there. */
  readonly headers: z.ZodObject & z.ZodType<H>;
  readonly answerHeaders?: z.ZodObject;
  /** Says cheaply that a body is valid as it stands; what it does not know is left to the schema. */
  isPlain?(body: unknown): body is B;
  readonly response: z.ZodType | "bytes" | "text";
  /** How success is answered, the usual first; 200 where it is left out. */
  readonly statuses?: readonly [Success, ...Success[]];
  /** Media types of the answer, where these are not JSON's, `application/octet-stream` for bytes and `text/plain` for a text. */
  readonly produces?: readonly string[];
  /** Media types, other than JSON's, whose bodies the route reads by itself; then JSON too comes as bytes alone. */
  readonly media?: readonly string[];
  /** The body is a `multipart/form-data` form with these fields, which the handler reads from `rawBody`. */
  readonly form?: z.ZodType;
  /** Whatever is sent with it is not looked at: OpenAI's clients send no body then, and no media type. */
  readonly isBodyless?: boolean;
  /** For a route whose bodies are larger than the server's usual limit. The server takes in one such body at a time. */
  readonly bodyBytesMax?: number;
  handle(call: Call<P, Q, B, H>): Promise<Result<Reply, Refused>> | Result<Reply, Refused>;
}

export interface Call<P, Q, B, H = unknown> {
  readonly exchange: Exchange;
  /** Present where the route's access asks for one, and where an optional one was shown. */
  readonly key: ApiKey | undefined;
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  readonly headers: H;
  /** The bytes that `body` was parsed from. */
  readonly rawBody: Uint8Array;
}

/** `sent`: the handler wrote the response itself. */
export type Reply =
  | {
      readonly kind: "json";
      readonly body: unknown;
      /** The route's usual one where it is left out. */
      readonly status?: Success;
      readonly headers?: Record<string, string>;
    }
  | { readonly kind: "bytes"; readonly body: Uint8Array | string; readonly headers: Record<string, string> }
  /** 204: done, and nothing to say. */
  | { readonly kind: "none" }
  | { readonly kind: "sent" };

/** A route with its types closed over: what the table holds. */
export interface Route
  extends Omit<RouteSpec<never, never, never, never>, "handle" | "params" | "query" | "body" | "headers" | "isPlain"> {
  readonly params: z.ZodType;
  readonly query: z.ZodType;
  readonly body: z.ZodType;
  readonly headers: z.ZodObject;
  run(raw: RawCall): Promise<Result<Reply, Refused>> | Result<Reply, Refused>;
}

export interface RawCall {
  readonly exchange: Exchange;
  readonly key: ApiKey | undefined;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  readonly body: unknown;
  readonly rawBody: Uint8Array;
}

/** A call without parameters or without a query carries this very object: what a route makes of it is known beforehand. */
export const noFields: Readonly<Record<string, string>> = {};

/** Spread first into a route that takes no parameters, query, headers or body of some sort. */
export const plain = { params: empty, query: empty, headers: empty, body: z.unknown() } as const;

export function route<P, Q, B, H>(spec: RouteSpec<P, Q, B, H>): Route {
  const { params, query, body, headers, handle, isPlain, ...rest } = spec;
  const usual = spec.statuses?.[0];
  const [noParams, noQuery] = [parseInput(params, noFields), parseInput(query, noFields)];
  const readHeaders = headerReader(headers);
  const parseBody = (raw: unknown) => (isPlain?.(raw) === true ? ok(raw) : parseInput(body, raw));
  return {
    ...rest,
    ...{ params, query, body, headers },
    run: (raw) => {
      const parsedParams = raw.params === noFields ? noParams : parseInput(params, raw.params);
      if (!parsedParams.ok) return parsedParams;
      const parsedQuery = raw.query === noFields ? noQuery : parseInput(query, raw.query);
      if (!parsedQuery.ok) return parsedQuery;
      const parsedBody = parseBody(raw.body);
      if (!parsedBody.ok) return parsedBody;
      const { exchange, key, rawBody } = raw;
      const said = readHeaders(exchange.request.headers);
      if (!said.ok) return said;
      const [fields, asked] = [parsedParams.value, parsedQuery.value];
      const call = {
        exchange,
        key,
        rawBody,
        params: fields,
        query: asked,
        body: parsedBody.value,
        headers: said.value,
      };
      return usual === undefined ? handle(call) : withStatus(handle(call), usual);
    },
  };
}

/** Most requests have none of the headers that are asked for, and what a schema makes of none is known beforehand. */
function headerReader<H>(schema: z.ZodObject & z.ZodType<H>): (headers: IncomingHttpHeaders) => Result<H> {
  const names = Object.keys(schema.shape);
  const none = parseInput(schema, noFields);
  return (headers) => {
    if (names.every((name) => headers[name] === undefined)) return none;
    return parseInput(schema, Object.fromEntries(names.map((name) => [name, headers[name]])));
  };
}

async function withStatus(
  answered: Promise<Result<Reply, Refused>> | Result<Reply, Refused>,
  usual: Success,
): Promise<Result<Reply, Refused>> {
  const replied = await answered;
  if (!replied.ok || replied.value.kind !== "json" || replied.value.status !== undefined) return replied;
  return ok({ ...replied.value, status: usual });
}

export function json(body: unknown, status?: Success): Result<Reply> {
  return ok({ kind: "json", body, ...(status !== undefined && { status }) });
}

/** A result's value as JSON, changed by `view`. */
export function jsonOf<T>(
  result: Result<T, Refused>,
  view: (value: T) => unknown = (value) => value,
): Result<Reply, Refused> {
  return result.ok ? json(view(result.value)) : result;
}

/** Finds the route of a method and path; `allowed` lists the methods that the path knows. */
export class Router {
  readonly routes: readonly Route[];
  /** By path, then by method. */
  readonly #exact = new Map<string, Map<string, Route>>();
  readonly #patterns: { readonly route: Route; readonly pattern: RegExp }[] = [];

  constructor(routes: readonly Route[]) {
    this.routes = routes;
    for (const one of routes) {
      if (one.path.includes("{")) this.#patterns.push({ route: one, pattern: patternOf(one.path) });
      else this.#exact.set(one.path, (this.#exact.get(one.path) ?? new Map<string, Route>()).set(one.method, one));
    }
  }

  find(method: string, path: string): Found | { readonly allowed: readonly string[] } {
    const methods = this.#exact.get(path);
    const exact = methods?.get(method);
    if (exact !== undefined) return { route: exact, params: noFields };
    const allowed = new Set<string>();
    for (const { route, pattern } of this.#patterns) {
      const params = pattern.exec(path)?.groups;
      if (params === undefined) continue;
      if (route.method !== method) allowed.add(route.method);
      else {
        const decoded = decodeAll(params);
        if (decoded !== undefined) return { route, params: decoded };
      }
    }
    for (const one of methods?.keys() ?? []) allowed.add(one);
    return { allowed: [...allowed] };
  }
}

export interface Found {
  readonly route: Route;
  readonly params: Readonly<Record<string, string>>;
}

function patternOf(path: string): RegExp {
  const source = path
    .split(/(\{[a-z]+\*?\})/)
    .map((part) => {
      const name = /^\{([a-z]+)(\*?)\}$/.exec(part);
      if (name === null) return part.replace(/[.*+?^$()|[\]\\]/g, "\\$&");
      return name[2] === "*" ? `(?<${name[1]}>.+)` : `(?<${name[1]}>[^/]+)`;
    })
    .join("");
  return new RegExp(`^${source}$`);
}

function decodeAll(params: Readonly<Record<string, string>>): Record<string, string> | undefined {
  try {
    const decoded = Object.entries(params).map(([name, value]) => [name, decodeURIComponent(value)] as const);
    // Nothing here has a name with a character 0 in it, and no store can be asked for one.
    return decoded.some(([, value]) => value.includes("\0")) ? undefined : Object.fromEntries(decoded);
  } catch {
    return undefined;
  }
}
