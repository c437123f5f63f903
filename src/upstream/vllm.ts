import { Pool } from "undici";
import type { Engine, EngineEvent, EngineRequest, StopSignal } from "../core/engine.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { answered, OpenAiEngine, type OpenAiEngineOptions } from "./openai.ts";
import { field, messageOf } from "./openaiWire.ts";
import { type AdapterLease, VllmAdapters } from "./vllmAdapters.ts";

/** A model on a vLLM server. */
export interface VllmModel {
  /** The base as the server names it (`--served-model-name`). */
  readonly base: string;
  /** A PEFT folder as the server sees it: it reads the files itself. Never written twice. */
  readonly adapter?: string;
}

export interface VllmOptions extends OpenAiEngineOptions {
  /** What a model is on the server; asked at each request, so models may come and go. */
  find(model: string): VllmModel | undefined;
  /** Adapters loaded at once: not above the server's `--max-cpu-loras`. */
  readonly adaptersMax?: number;
}

/**
 * A vLLM server as an engine, with adapters that are loaded and unloaded as they are asked for
 * (https://docs.vllm.ai/en/stable/features/lora.html, "Dynamically serving LoRA adapters"). The server must run with `--enable-lora` and
 * `VLLM_ALLOW_RUNTIME_LORA_UPDATING=True`, where nobody but us can reach it: whoever can may load any folder.
 */
export class VllmEngine implements Engine {
  readonly #find: VllmOptions["find"];
  readonly #engine: OpenAiEngine;
  readonly #server: LoraServer;
  readonly #adapters: VllmAdapters;

  constructor(options: VllmOptions) {
    this.#find = options.find;
    this.#engine = new OpenAiEngine(options);
    this.#server = new LoraServer(options);
    this.#adapters = new VllmAdapters(this.#server, options.adaptersMax ?? 32);
  }

  async *complete(request: EngineRequest, signal: StopSignal): AsyncGenerator<readonly EngineEvent[]> {
    const model = this.#find(request.model);
    if (model === undefined) yield [{ type: "failed", refusal: unknownModel(request.model) }];
    else if (model.adapter === undefined) yield* this.#engine.complete({ ...request, model: model.base }, signal);
    else yield* this.#adapted(model.adapter, request, signal);
  }

  async close(): Promise<void> {
    await Promise.all([this.#engine.close(), this.#server.close()]);
  }

  /** A server that was started anew has lost its adapters: then it is told once more, before anything was said. */
  async *#adapted(folder: string, request: EngineRequest, signal: StopSignal): AsyncGenerator<readonly EngineEvent[]> {
    for (let attempt = 1; ; attempt++) {
      const lease = await this.#adapters.lease(folder, signal);
      if (!lease.ok) {
        if (!signal.aborted) yield [{ type: "failed", refusal: lease.error }];
        return;
      }
      const isKnown = yield* this.#leased(lease.value, request, signal, attempt > 1);
      if (isKnown) return;
    }
  }

  /** False where the server does not know the adapter and nothing has been said yet. */
  async *#leased(
    lease: AdapterLease,
    request: EngineRequest,
    signal: StopSignal,
    isLast: boolean,
  ): AsyncGenerator<readonly EngineEvent[], boolean> {
    try {
      for await (const batch of this.#engine.complete({ ...request, model: lease.name }, signal)) {
        if (!isLast && isUnknownModel(batch[0])) {
          lease.forget();
          return false;
        }
        yield batch;
      }
      return true;
    } finally {
      lease.release();
    }
  }
}

const ANSWER_BYTES_MAX = 65_536;

/** vLLM's endpoints for adapters. Errors carry a message, on top (before vLLM 0.10) or in `error`. */
class LoraServer {
  readonly #pool: Pool;
  readonly #path: string;
  readonly #headers: Record<string, string>;

  constructor({ baseUrl, apiKey, connectTimeoutMs = 5_000, headersTimeoutMs = 600_000 }: OpenAiEngineOptions) {
    const url = new URL(baseUrl);
    this.#path = url.pathname.replace(/\/+$/, "");
    this.#headers = {
      "content-type": "application/json",
      ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
    };
    // Loading takes the server's one lock in any case.
    this.#pool = new Pool(url.origin, {
      connections: 2,
      connect: { timeout: connectTimeoutMs },
      headersTimeout: headersTimeoutMs,
    });
  }

  async load(name: string, folder: string): Promise<Result<void>> {
    const answer = await this.#post("load_lora_adapter", { lora_name: name, lora_path: folder });
    if (!answer.ok) return answer;
    const { status, said } = answer.value;
    // "The lora adapter 'x' has already been loaded": by us, before one of us was started anew.
    if (status === 200 || (status === 400 && said.includes("already been loaded"))) return ok(undefined);
    // A route that is not there answers "Not Found" and nothing of an adapter.
    if (status === 404 && !/adapter|lora/i.test(said))
      return refuse("upstream_failed", "the vLLM server does not load adapters", {
        hint: "Start it with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True.",
      });
    return refuse("upstream_failed", `the vLLM server did not load the adapter (${status}): ${said}`);
  }

  async unload(name: string): Promise<Result<void>> {
    const answer = await this.#post("unload_lora_adapter", { lora_name: name });
    if (!answer.ok) return answer;
    const { status, said } = answer.value;
    if (status === 200 || status === 404) return ok(undefined);
    return refuse("upstream_failed", `the vLLM server did not unload the adapter (${status}): ${said}`);
  }

  close(): Promise<void> {
    return this.#pool.close();
  }

  async #post(verb: string, body: object): Promise<Result<{ readonly status: number; readonly said: string }>> {
    try {
      const { statusCode, body: answer } = await this.#pool.request({
        ...{ method: "POST", path: `${this.#path}/${verb}`, headers: this.#headers, body: JSON.stringify(body) },
      });
      let text = "";
      for await (const part of answer.setEncoding("utf8")) {
        text += part;
        if (text.length > ANSWER_BYTES_MAX) return refuse("upstream_failed", "the vLLM server's answer is too long");
      }
      return ok({ status: statusCode, said: messageIn(text) });
    } catch (error) {
      const code = String(field(error, "code") ?? "");
      if (code.endsWith("_TIMEOUT")) return refuse("upstream_timeout", "the vLLM server did not answer in time");
      return refuse("upstream_failed", `the vLLM server cannot be reached${code === "" ? "" : ` (${code})`}`);
    }
  }
}

function messageIn(text: string): string {
  try {
    const answer: unknown = JSON.parse(text);
    return messageOf(field(answer, "error") ?? field(answer, "detail") ?? answer);
  } catch {
    return text.slice(0, 200);
  }
}

/** A chat with a model that the server does not know is answered 404. */
function isUnknownModel(event: EngineEvent | undefined): boolean {
  return event?.type === "failed" && event.refusal.message === answered(404).message;
}

function unknownModel(model: string) {
  return { code: "upstream_failed", message: `the vLLM engine has no model "${model}"` } as const;
}
