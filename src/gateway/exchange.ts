import type { IncomingMessage, ServerResponse } from "node:http";
import { ok, type Result, refuse } from "../core/result.ts";
import { openAiBug, openAiError, PROBLEM_MEDIA_TYPE, problem, problemOfBug } from "../protocol/errors.ts";
import { refusalRow } from "../protocol/refusals.ts";
import type { Refused } from "./refused.ts";

/** One request and its response, and the few ways in which we read and write them. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId: string;
  readonly path: string;
  readonly search: string;
}

export type Headers = Readonly<Record<string, string>>;

/** Which error format a path speaks: OpenAI's under `/v1`, RFC 9457 elsewhere. */
export function speaksOpenAi(path: string): boolean {
  return path === "/v1" || path.startsWith("/v1/");
}

/** The whole body; refused when longer than `bytesMax`, without reading the rest. */
export function readBody({ request }: Exchange, bytesMax: number): Promise<Result<Buffer, Refused>> {
  const announced = Number(request.headers["content-length"] ?? 0);
  if (announced > bytesMax) return Promise.resolve(tooLarge(bytesMax));
  return new Promise((resolve) => {
    const parts: Buffer[] = [];
    let length = 0;
    const onData = (part: Buffer) => {
      length += part.length;
      parts.push(part);
      if (length <= bytesMax) return;
      request.off("data", onData);
      request.pause();
      parts.length = 0;
      resolve(tooLarge(bytesMax));
    };
    request.on("data", onData);
    request.on("end", () => resolve(ok(parts.length === 1 ? parts[0]! : Buffer.concat(parts))));
    request.on("close", () => {
      if (!request.readableEnded) resolve(refuse("cancelled", "the body did not arrive whole"));
    });
  });
}

export function sendJson(exchange: Exchange, status: number, body: unknown, headers: Headers = {}): void {
  sendText(exchange, status, JSON.stringify(body), { "content-type": "application/json", ...headers });
}

/** 204: done, and nothing to say. */
export function sendNothing({ response, requestId }: Exchange): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(204, { "x-request-id": requestId });
  response.end();
}

/** `headers` name the content type. */
export function sendText(
  { response, requestId }: Exchange,
  status: number,
  text: string | Uint8Array,
  headers: Headers,
): void {
  if (response.headersSent || response.destroyed) return;
  const bytes = typeof text === "string" ? encoded(text) : text;
  const all: (string | number)[] = ["content-length", bytes.length, "x-request-id", requestId];
  for (const name in headers) all.push(name, headers[name]!);
  response.writeHead(status, all);
  response.end(bytes);
}

/**
 * A text as UTF-8. One of as many bytes as characters is ASCII, and is copied rather than encoded. A response that is given a long text joins it to its
 * head and encodes both, once more in memory.
 */
export function encoded(text: string): Buffer {
  return Buffer.byteLength(text) === text.length ? Buffer.from(text, "latin1") : Buffer.from(text);
}

/**
 * Answers with a refusal in the path's own error format. The rest of a body that was not read is still taken in for a while, and thrown away:
 * a connection that is closed on what comes is reset, and its caller would lose the answer.
 */
export function sendRefusal(exchange: Exchange, refusal: Refused, headers: Headers = {}): void {
  const { request, response, path, requestId } = exchange;
  const isOpenAi = speaksOpenAi(path);
  const body = isOpenAi ? openAiError(refusal) : problem(refusal, `request:${requestId}`);
  if (!request.complete) response.once("finish", () => linger(request));
  sendJson(exchange, refusalRow(refusal.code).httpStatus, body, {
    ...(isOpenAi ? {} : { "content-type": PROBLEM_MEDIA_TYPE }),
    ...(refusal.code === "unauthenticated" || refusal.code === "key_revoked" ? { "www-authenticate": "Bearer" } : {}),
    ...retryHeaders(refusal),
    ...headers,
  });
}

/** RFC 9112, section 9.6. */
function linger(request: IncomingMessage): void {
  const timer = setTimeout(() => request.destroy(), LINGER_MS);
  request.once("close", () => clearTimeout(timer));
  request.resume();
}

const LINGER_MS = 10_000;

/** Says that a bug of ours was met, in the path's own error format. */
export function sendBroken(exchange: Exchange): void {
  const message = "something broke here; the log has it under this request id";
  if (speaksOpenAi(exchange.path)) sendJson(exchange, 500, openAiBug(message));
  else
    sendJson(exchange, 500, problemOfBug(message, `request:${exchange.requestId}`), {
      "content-type": PROBLEM_MEDIA_TYPE,
    });
}

/** `Retry-After` in whole seconds (RFC 9110) and the two headers that OpenAI's clients obey. */
export function retryHeaders(refusal: Refused): Headers {
  const { retryable } = refusalRow(refusal.code);
  const waitMs = refusal.retryAfterMs ?? (retryable ? 1_000 : undefined);
  return {
    "x-should-retry": String(retryable),
    ...(waitMs === undefined || !retryable
      ? {}
      : { "retry-after": String(Math.max(1, Math.ceil(waitMs / 1_000))), "retry-after-ms": String(Math.ceil(waitMs)) }),
  };
}

function tooLarge(bytesMax: number): Result<Buffer, Refused> {
  return refuse("payload_too_large", `the body is larger than ${bytesMax} bytes`);
}
