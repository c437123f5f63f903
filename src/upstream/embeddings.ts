import { Pool } from "undici";
import type { Embedder, StopSignal } from "../core/engine.ts";
import { assert, ok, type Result, refuse } from "../core/result.ts";
import { field } from "./openaiWire.ts";

/** An OpenAI-compatible `/embeddings` endpoint. */
export interface OpenAiEmbedderOptions {
  /** With its path, for example `http://127.0.0.1:8000/v1`. The only address that is ever called. */
  readonly baseUrl: string;
  readonly model: string;
  readonly apiKey?: string;
  readonly timeoutMs?: number;
  /** For one text alone, behind which somebody waits for an answer. */
  readonly questionTimeoutMs?: number;
}

/** What one request may hold; longer texts are cut. */
const TEXTS_MAX = 64;
const CHARACTERS_MAX = 8_000;
const DIMENSIONS_MAX = 8_192;
const BYTES_MAX = 64 * 1024 * 1024;

/** Calls the server; redirects are not followed, and the key is never repeated in a message. */
export class OpenAiEmbedder implements Embedder {
  readonly name: string;
  readonly #model: string;
  readonly #pool: Pool;
  readonly #path: string;
  readonly #timeoutsMs: { readonly many: number; readonly one: number };
  readonly #headers: Record<string, string>;

  constructor({ baseUrl, model, apiKey, timeoutMs = 30_000, questionTimeoutMs = 2_000 }: OpenAiEmbedderOptions) {
    const url = new URL(baseUrl);
    assert(url.protocol === "http:" || url.protocol === "https:", "an embedder's base URL is http or https");
    this.#path = `${url.pathname.replace(/\/+$/, "")}/embeddings`;
    this.#model = model;
    this.name = `${url.origin}${this.#path} ${model}`;
    this.#headers = {
      "content-type": "application/json",
      ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
    };
    this.#timeoutsMs = { many: timeoutMs, one: questionTimeoutMs };
    this.#pool = new Pool(url.origin, {
      ...{ connections: 4, maxResponseSize: BYTES_MAX, connect: { timeout: questionTimeoutMs } },
    });
  }

  async embed(texts: readonly string[], signal: StopSignal): Promise<Result<readonly Float32Array[]>> {
    const vectors: Float32Array[] = [];
    for (let from = 0; from < texts.length; from += TEXTS_MAX) {
      if (signal.aborted) return refuse("cancelled", "The request was cancelled.");
      const some = texts.slice(from, from + TEXTS_MAX).map((text) => text.slice(0, CHARACTERS_MAX));
      const found = await this.#ask(some, signal);
      if (!found.ok) return found;
      vectors.push(...found.value);
    }
    const isEven = vectors.every(({ length }) => length === vectors[0]!.length);
    return isEven ? ok(vectors) : unlike("vectors of several lengths");
  }

  close(): Promise<void> {
    return this.#pool.close();
  }

  async #ask(input: readonly string[], signal: StopSignal): Promise<Result<readonly Float32Array[]>> {
    const stop = new AbortController();
    const onAbort = () => stop.abort();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      const timeoutMs = input.length === 1 ? this.#timeoutsMs.one : this.#timeoutsMs.many;
      const body = JSON.stringify({ model: this.#model, input, encoding_format: "float" });
      const { statusCode, body: reply } = await this.#pool.request({
        ...{ method: "POST", path: this.#path, headers: this.#headers, body, signal: stop.signal },
        ...{ headersTimeout: timeoutMs, bodyTimeout: timeoutMs },
      });
      if (statusCode === 200) return vectorsOf(await reply.json(), input.length);
      await reply.dump();
      return refuse("upstream_failed", `the embeddings server answered ${statusCode}`);
    } catch (error) {
      if (signal.aborted) return refuse("cancelled", "The request was cancelled.");
      const code = String(field(error, "code") ?? "");
      return refuse("upstream_failed", `the embeddings server cannot be used${code === "" ? "" : ` (${code})`}`);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }
}

/** In the order of their `index`, each scaled to length 1. */
function vectorsOf(reply: unknown, count: number): Result<readonly Float32Array[]> {
  const data = field(reply, "data");
  if (!Array.isArray(data) || data.length !== count) return unlike("another number of vectors than texts");
  const vectors = new Array<Float32Array | undefined>(count).fill(undefined);
  for (const item of data) {
    const [index, values] = [field(item, "index"), field(item, "embedding")];
    if (typeof index !== "number" || !(index in vectors)) return unlike("vectors out of place");
    if (!Array.isArray(values) || values.length === 0 || values.length > DIMENSIONS_MAX) return unlike("no vector");
    const vector = Float32Array.from(values, Number);
    const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
    if (!(length > 0 && length < Number.POSITIVE_INFINITY)) return unlike("a vector of no length");
    vectors[index] = vector.map((value) => value / length);
  }
  const whole = vectors.filter((vector) => vector !== undefined);
  return whole.length === count ? ok(whole) : unlike("one vector twice");
}

function unlike(what: string): Result<never> {
  return refuse("upstream_failed", `the embeddings server sent ${what}`);
}
