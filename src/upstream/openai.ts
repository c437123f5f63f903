import { Pool } from "undici";
import type { Engine, EngineEvent, EngineRequest, StopSignal } from "../core/engine.ts";
import { assert, type Refusal } from "../core/result.ts";
import { Inbox } from "./inbox.ts";
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

  async *complete(request: EngineRequest, signal: StopSignal): AsyncGenerator<readonly EngineEvent[]> {
    if (signal.aborted) return;
    const inbox = new Inbox();
    const onAbort = () => inbox.stop();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      const path = `${this.#path}/${request.mode === "chat" ? "chat/completions" : "completions"}`;
      const body = wireRequest(request);
      this.#pool.dispatch({ method: "POST", path, headers: this.#headers, body }, inbox);
      await inbox.head();
      if (inbox.status !== 200) {
        yield [{ type: "failed", refusal: await refusalOfStatus(inbox) }];
        return;
      }
      const isStream = inbox.contentType.startsWith("text/event-stream");
      const answer = isStream ? new StreamedAnswer(this.#bytesMax) : new WholeAnswer(this.#bytesMax);
      while (!answer.isOver) {
        const parts = await inbox.read();
        // One batch for all that arrived together.
        const events = answer.read(parts);
        if (events.length > 0) yield events;
      }
    } catch (error) {
      if (!signal.aborted) yield [{ type: "failed", refusal: refusalOfError(error) }];
    } finally {
      signal.removeEventListener("abort", onAbort);
      inbox.stop();
    }
  }

  close(): Promise<void> {
    return this.#pool.close();
  }
}

/** Reads an answer as it comes; the end of it is undefined. */
interface AnswerReader {
  readonly isOver: boolean;
  read(parts: readonly Uint8Array[] | undefined): readonly EngineEvent[];
}

class StreamedAnswer implements AnswerReader {
  isOver = false;
  readonly #bytesMax: number;
  readonly #chunks = new ChunkReader();
  readonly #parser = new SseParser();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  read(parts: readonly Uint8Array[] | undefined): readonly EngineEvent[] {
    this.isOver = parts === undefined;
    if (parts === undefined) return [this.#chunks.ended()];
    const events: EngineEvent[] = [];
    const arrived = joined(parts);
    this.#bytes += arrived.length;
    for (const data of this.#parser.push(arrived)) this.#chunks.read(data, events);
    if (this.#bytes > this.#bytesMax && !this.#chunks.isOver) events.push(tooLarge(this.#bytesMax));
    this.isOver = this.#chunks.isOver || this.#bytes > this.#bytesMax;
    return events;
  }
}

/** A server that does not stream answers with one object. */
class WholeAnswer implements AnswerReader {
  isOver = false;
  readonly #bytesMax: number;
  readonly #parts: Uint8Array[] = [];
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  read(parts: readonly Uint8Array[] | undefined): readonly EngineEvent[] {
    if (parts === undefined) return this.#end();
    for (const part of parts) {
      this.#bytes += part.length;
      this.#parts.push(part);
    }
    this.isOver = this.#bytes > this.#bytesMax;
    return this.isOver ? [tooLarge(this.#bytesMax)] : [];
  }

  #end(): readonly EngineEvent[] {
    this.isOver = true;
    const events: EngineEvent[] = [];
    const chunks = new ChunkReader(false);
    chunks.read(bufferOf(joined(this.#parts)).toString("utf8"), events);
    if (!chunks.isOver) events.push(chunks.ended());
    return events;
  }
}

/** What the server's status means for a caller. Only a bad request is the caller's own; a refused key or an unknown model is between us and the operator. */
async function refusalOfStatus(inbox: Inbox): Promise<Refusal> {
  const { status: statusCode } = inbox;
  const text = (await boundedText(inbox, 65_536)) ?? "";
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

function refusalOfError(error: unknown): Refusal {
  const code = String(field(error, "code") ?? "");
  if (code.endsWith("_TIMEOUT")) return { code: "upstream_timeout", message: "the operator did not answer in time" };
  return { code: "upstream_failed", message: `the operator cannot be reached${code === "" ? "" : ` (${code})`}` };
}

/** The whole body as text; undefined when it is larger than `bytesMax`. */
async function boundedText(inbox: Inbox, bytesMax: number): Promise<string | undefined> {
  const all: Uint8Array[] = [];
  let bytes = 0;
  for (;;) {
    const parts = await inbox.read();
    if (parts === undefined) return bufferOf(joined(all)).toString("utf8");
    for (const part of parts) {
      bytes += part.length;
      all.push(part);
    }
    if (bytes > bytesMax) return undefined;
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
}

function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
