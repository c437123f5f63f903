import { isUtf8 } from "node:buffer";
import type { IncomingMessage } from "node:http";
import { ok, type Result, refuse } from "../core/result.ts";
import type { Accounts, ApiKey } from "../ledger/ledger.ts";
import { answerHeaders, completionAnswerHeaders, completionHeaders, refusalHeaders } from "../protocol/headers.ts";
import { parseJson } from "../protocol/parse.ts";
import { type Access, type Method, noFields, takesBody } from "./routes.ts";

/** Who knocks, and with what: keys, hosts, origins, media types. */
export interface DoorRules {
  /** Names other than loopback ones that `Host` may carry; undefined accepts any (a public address behind a proxy). */
  readonly hosts: readonly string[] | undefined;
  /** Origins whose pages may call; none by default. */
  readonly origins: readonly string[];
}

/**
 * A page on the web can make its own name resolve to 127.0.0.1 and so reach a server that only listens there (DNS rebinding).
 * It cannot forge `Host`.
 */
export function checkHost(request: IncomingMessage, rules: DoorRules): Result<void> {
  if (rules.hosts === undefined || request.headers.host === usualHost) return welcome;
  const host = (request.headers.host ?? "").toLowerCase();
  const name = host.startsWith("[") ? host.slice(0, host.indexOf("]") + 1) : (host.split(":")[0] ?? "");
  if (loopbackNames.has(name)) usualHost = request.headers.host ?? usualHost;
  if (loopbackNames.has(name) || rules.hosts.includes(name)) return welcome;
  return refuse("forbidden", `this server does not answer to the name "${name.slice(0, 100)}"`, {
    hint: "call it as localhost or 127.0.0.1, or start it with that name allowed",
  });
}

const askedHeaders = ["authorization", "content-type", ...Object.keys(completionHeaders.shape)].join(", ");
const exposedHeaders = [answerHeaders, completionAnswerHeaders, refusalHeaders]
  .flatMap(({ shape }) => Object.keys(shape))
  .join(", ");

/** CORS headers for an allowed origin; undefined for every other, and then browsers keep the response from the page. */
export function corsHeaders(request: IncomingMessage, rules: DoorRules): Record<string, string> | undefined {
  const { origin } = request.headers;
  if (origin === undefined || !rules.origins.includes(origin)) return undefined;
  return {
    "access-control-allow-origin": origin,
    vary: "origin",
    "access-control-allow-methods": "GET, POST, PUT, DELETE",
    "access-control-allow-headers": askedHeaders,
    "access-control-expose-headers": exposedHeaders,
    "access-control-max-age": "600",
  };
}

/** The secrets of a test world's keys begin with it; a live one's go on in hex digits, and so never do. */
export const TEST_KEY_PREFIX = "ol_test_";

export function hasTestKey({ headers }: IncomingMessage): boolean {
  const { authorization } = headers;
  return authorization !== undefined && /^Bearer +ol_test_/i.test(authorization);
}

/** The key of the `Authorization: Bearer` header, as far as the route asks for one. */
export function authenticate(request: IncomingMessage, accounts: Accounts, access: Access): Result<ApiKey | undefined> {
  const header = request.headers.authorization;
  if (access === "open" || (header === undefined && access === "optional")) return ok(undefined);
  const secret = header === undefined ? undefined : /^Bearer +(\S{1,200})$/i.exec(header)?.[1];
  if (secret === undefined) {
    return refuse("unauthenticated", "no API key was given", { hint: "send it as: Authorization: Bearer ol_…" });
  }
  const key = accounts.findKey(secret);
  if (key === undefined) {
    const hint = secret.startsWith(TEST_KEY_PREFIX)
      ? { hint: "test keys work where the node runs with: openledger up --test" }
      : {};
    return refuse("unauthenticated", "the API key is not known here", hint);
  }
  if (key.revokedMs !== undefined) return refuse("key_revoked", `the API key ${key.hint} was revoked`);
  if (access === "admin" && !key.admin) return refuse("forbidden", "this needs an admin key");
  return ok(key);
}

/** The body's JSON, of methods that have one; a media type that a plain HTML form can send is refused, and so is all that a route does not name in `media`. */
export function parseBody(
  request: IncomingMessage,
  method: Method,
  body: Buffer,
  media?: readonly string[],
): Result<unknown> {
  if (!takesBody(method)) return ok(undefined);
  const type = mediaType(request);
  if (type !== "application/json" && media?.includes(type) !== true) {
    return refuse("unsupported_media_type", `the body is sent as "${type}"`, {
      hint: `send it as content-type: ${["application/json", ...(media ?? [])].join(" or ")}`,
    });
  }
  if (media !== undefined) return ok(undefined);
  const encoding = request.headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity")
    return refuse("unsupported_media_type", `the body is encoded as "${encoding.slice(0, 100)}"`, {
      hint: "send it as it is",
    });
  if (!isUtf8(body)) return refuse("invalid_request", "the body is not UTF-8, as JSON has to be (RFC 8259)");
  return parseJson(body.toString("utf8"));
}

/** The fields of a query string; of one that comes twice, the last. No field here may have a character 0, which no store keeps in a text. */
export function readQuery(search: string): Result<Readonly<Record<string, string>>> {
  if (search === "") return ok(noFields);
  const fields = Object.fromEntries(new URLSearchParams(search));
  const bad = Object.keys(fields).find((name) => fields[name]?.includes("\0"));
  return bad === undefined ? ok(fields) : refuse("invalid_request", `${bad}: has a character 0`, { field: bad });
}

/** The content type without its parameters, in lower case. */
export function mediaType(request: IncomingMessage): string {
  const given = request.headers["content-type"] ?? "";
  return given === "application/json" ? given : (given.split(";")[0]?.trim().toLowerCase() ?? "");
}

/** The loopback name, with its port, by which it was called last: mostly the same as the next. */
let usualHost = "localhost";
const welcome = ok(undefined);
const loopbackNames = new Set(["localhost", "127.0.0.1", "[::1]"]);
