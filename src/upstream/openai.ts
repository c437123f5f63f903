import { type Dispatcher, Pool } from "undici";
import { type Engine, type EngineEvent, type EngineRequest, failed, type StopSignal } from "../core/engine.ts";
import { assert, type Refusal } from "../core/result.ts";
import { Reply, type ReplyReader } from "./openaiReply.ts";
import { ChunkReader, field, messageOf, tooLarge, wireRequest } from "./openaiWire.ts";
import { SseParser } from "./sse.ts";

/** An OpenAI-compatible server: vLLM, llama.cpp, a provider, another node. */
export interface OpenAiEngineOptions {
  /** With its path, for example `http://127.0.0.1:8000/v1`. The only address that is ever called: callers have no say in it. */
  readonly baseUrl: string;
  readonly apiKey?: string;
  /** Connections kept open at most. */
  readonly connections?: number;
  readonly connectTimeoutMs?: number;
  /** Until the response's head: for an answer that is not streamed, until all of it is there. */
  readonly headersTimeoutMs?: number;
  /** Between two parts of the response's body. */
  readonly bodyTimeoutMs?: number;
  /** An answer larger than this is cut off as a failure. */
  readonly bytesMax?: number;
}

/**
 * Calls the server and turns its chunks, or its one object where nobody reads along, into events. Redirects are not followed: a server that we trust must not be able to
 * send us, and the credentials, anywhere else. The API key is sent, and never logged or repeated in a message.
 */
export class OpenAiEngine implements Engine {
  readonly #pool: Pool;
  readonly #path: string;
  readonly #headers: Record<string, string>;
  readonly #bytesMax: number;

  constructor(options: OpenAiEngineOptions) {
    const url = new URL(options.baseUrl);
    assert(url.protocol === "http:" || url.protocol === "https:", "an engine's base URL is http or https");
    assert(url.username === "" && url.password === "", "an engine's base URL carries no credentials");
    this.#path = url.pathname.replace(/\/+$/, "");
    this.#bytesMax = options.bytesMax ?? 64 * 1024 * 1024;
    this.#headers = {
      ...{ "content-type": "application/json", accept: "text/event-stream" },
      ...(options.apiKey === undefined ? {} : { authorization: `Bearer ${options.apiKey}` }),
    };
    this.#pool = new Pool(url.origin, {
      connections: options.connections ?? 64,
      connect: { timeout: options.connectTimeoutMs ?? 5_000 },
      headersTimeout: options.headersTimeoutMs ?? 600_000,
      bodyTimeout: options.bodyTimeoutMs ?? 60_000,
    });
  }

  complete(request: EngineRequest, signal: StopSignal): Reply {
    const path = `${this.#path}/${request.mode === "chat" ? "chat/completions" : "completions"}`;
    const send = (handler: Dispatcher.DispatchHandler) => {
      this.#pool.dispatch({ method: "POST", path, headers: this.#headers, body: wireRequest(request) }, handler);
    };
    return new Reply({ send, readerOf: this.#readerOf, failureOf }, signal);
  }

  close(): Promise<void> {
    return this.#pool.close();
  }

  readonly #readerOf = (status: number, contentType: string): ReplyReader => {
    if (status !== 200) return new Refusing(status);
    return contentType.startsWith("text/event-stream")
      ? new StreamedAnswer(this.#bytesMax)
      : new WholeAnswer(this.#bytesMax);
  };
}

class StreamedAnswer implements ReplyReader {
  isOver = false;
  readonly #bytesMax: number;
  readonly #chunks = new ChunkReader();
  readonly #parser = new SseParser();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  read(parts: readonly Uint8Array[], events: EngineEvent[]): void {
    const arrived = joined(parts);
    this.#bytes += arrived.length;
    for (const data of this.#parser.push(arrived)) this.#chunks.read(data, events);
    if (this.#bytes > this.#bytesMax && !this.#chunks.isOver) events.push(tooLarge(this.#bytesMax));
    this.isOver = this.#chunks.isOver || this.#bytes > this.#bytesMax;
  }

  end(events: EngineEvent[]): void {
    events.push(this.#chunks.ended());
  }
}

/** A server that does not stream answers with one object. */
class WholeAnswer implements ReplyReader {
  isOver = false;
  readonly #body: BoundedBody;

  constructor(bytesMax: number) {
    this.#body = new BoundedBody(bytesMax);
  }

  read(parts: readonly Uint8Array[], events: EngineEvent[]): void {
    this.isOver = !this.#body.take(parts);
    if (this.isOver) events.push(tooLarge(this.#body.bytesMax));
  }

  end(events: EngineEvent[]): void {
    const chunks = new ChunkReader(false);
    chunks.read(this.#body.text(), events);
    if (!chunks.isOver) events.push(chunks.ended());
  }
}

/** What is answered with another status than 200. */
class Refusing implements ReplyReader {
  isOver = false;
  readonly #status: number;
  readonly #body = new BoundedBody(65_536);

  constructor(status: number) {
    this.#status = status;
  }

  read(parts: readonly Uint8Array[], events: EngineEvent[]): void {
    this.isOver = !this.#body.take(parts);
    if (this.isOver) events.push({ type: "failed", refusal: refusalOfStatus(this.#status, "") });
  }

  end(events: EngineEvent[]): void {
    events.push({ type: "failed", refusal: refusalOfStatus(this.#status, this.#body.text()) });
  }
}

class BoundedBody {
  readonly bytesMax: number;
  readonly #parts: Uint8Array[] = [];
  #bytes = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** False when it became larger than it may. */
  take(parts: readonly Uint8Array[]): boolean {
    for (const part of parts) {
      this.#bytes += part.length;
      this.#parts.push(part);
    }
    return this.#bytes <= this.bytesMax;
  }

  text(): string {
    return bufferOf(joined(this.#parts)).toString("utf8");
  }
}

/** What the server's status means for a caller. Only a bad request is the caller's own; a refused key or an unknown model is between us and the operator. */
function refusalOfStatus(statusCode: number, text: string): Refusal {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    parsed = undefined;
  }
  const error = field(parsed, "error");
  const said = error === undefined ? "" : `: ${messageOf(error)}`;
  if (field(error, "code") === "context_length_exceeded")
    return { code: "context_too_long", message: messageOf(error) };
  if (statusCode === 400 || statusCode === 422)
    return { code: "invalid_request", message: `the operator refused the request${said}` };
  if (statusCode === 429) return { code: "rate_limited", message: "the operator is at its limit" };
  if (statusCode === 408 || statusCode === 504) return { code: "upstream_timeout", message: "the operator timed out" };
  if (statusCode >= 300 && statusCode < 400)
    return { code: "upstream_failed", message: "the operator redirected, which is not followed" };
  return answered(statusCode);
}

/** A status that says nothing to the caller. */
export function answered(statusCode: number): Refusal {
  return { code: "upstream_failed", message: `the operator answered ${statusCode}` };
}

function failureOf(error: unknown): EngineEvent {
  const code = String(field(error, "code") ?? "");
  if (code.endsWith("_TIMEOUT")) return failed("upstream_timeout", "the operator did not answer in time");
  return failed("upstream_failed", `the operator cannot be reached${code === "" ? "" : ` (${code})`}`);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
}

function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
