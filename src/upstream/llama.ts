import { availableParallelism } from "node:os";
import type { Engine, EngineEvent, EngineRequest, StopSignal } from "../core/engine.ts";
import { type Refusal, type Result, refuse } from "../core/result.ts";
import { LlamaProcess, type LlamaRun } from "./llamaProcess.ts";
import type { LlamaModel, LlamaSetup, Score, ScoreRequest } from "./llamaProtocol.ts";

export interface LlamaOptions extends Partial<LlamaSetup> {
  readonly cacheFolder: string;
  /** Where a model lies; asked at each request, so models may come and go. Its folders are never written twice. */
  find(model: string): LlamaModel | undefined;
  readonly startMs?: number;
  /** Doubles with each crash in a row. */
  readonly backoffMs?: number;
}

/**
 * Neural models on the CPU through llama.cpp: hundreds of adapters over one base, in a child process. A crash fails the runs that were in it and
 * is followed by a fresh child at the next request.
 */
export class LlamaEngine implements Engine {
  readonly #options: LlamaOptions;
  #live: LlamaProcess | undefined;
  #isClosed = false;
  #restarts = 0;
  #crashesInARow = 0;
  #crashedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: LlamaOptions) {
    this.#options = options;
  }

  /** Children that were lost and replaced. */
  get restarts(): number {
    return this.#restarts;
  }

  /** The child that serves; undefined while there is none. */
  get pid(): number | undefined {
    return this.#live?.pid;
  }

  async *complete(request: EngineRequest, signal: StopSignal): AsyncGenerator<readonly EngineEvent[]> {
    const begun = await this.#begin(request.model);
    if (!begun.ok) {
      if (!signal.aborted) yield [{ type: "failed", refusal: begun.error }];
      return;
    }
    const run = new Completion();
    if (signal.aborted) return;
    const stop = begun.value.live.begin({ type: "complete", model: begun.value.model, request }, run);
    const onAbort = () => {
      stop();
      run.wake();
    };
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      while (!run.isOver || run.events.length > 0) {
        if (signal.aborted) return;
        if (run.events.length > 0) yield run.events.splice(0);
        else await run.something();
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
      stop();
    }
  }

  /** How likely the model finds a text after a prompt. Refuses as `complete` fails, `cancelled` when the signal aborts. */
  async score(request: ScoreRequest, signal: StopSignal): Promise<Result<Score>> {
    const begun = await this.#begin(request.model);
    if (!begun.ok) return begun;
    return new Promise((resolve) => {
      const cancelled = refuse("cancelled", "The request was cancelled.");
      if (signal.aborted) return resolve(cancelled);
      const done = (result: Result<Score>): true => {
        signal.removeEventListener("abort", onAbort);
        resolve(result);
        return true;
      };
      const stop = begun.value.live.begin(
        { type: "score", model: begun.value.model, request },
        {
          onMessage: (message) => message.type === "scored" && done(message.score),
          onLost: (refusal) => void done({ ok: false, error: refusal }),
        },
      );
      const onAbort = () => {
        stop();
        resolve(cancelled);
      };
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** Starts the child ahead of the first request and says what is wrong where it cannot serve. */
  async start(): Promise<Result<void>> {
    const refusal = this.#isClosed ? closed : await this.#child().ready;
    return refusal === undefined ? { ok: true, value: undefined } : { ok: false, error: refusal };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#live?.end();
    this.#live = undefined;
  }

  async #begin(name: string): Promise<Result<{ readonly live: LlamaProcess; readonly model: LlamaModel }>> {
    const model = this.#options.find(name);
    if (model === undefined) return refuse("upstream_failed", `the llama.cpp engine has no model "${name}"`);
    const live = this.#isClosed ? undefined : this.#child();
    const refusal = live === undefined ? closed : await live.ready;
    if (live === undefined || refusal !== undefined) return { ok: false, error: refusal ?? closed };
    return { ok: true, value: { live, model } };
  }

  #child(): LlamaProcess {
    if (this.#live !== undefined) return this.#live;
    const { startMs = 60_000, backoffMs = 250 } = this.#options;
    const isRecent = performance.now() - this.#crashedAtMs < 60_000;
    if (!isRecent) this.#crashesInARow = 0;
    const waitMs = isRecent ? Math.min(30_000, backoffMs * 2 ** (this.#crashesInARow - 1)) : 0;
    const live = new LlamaProcess({
      ...{ setup: setupOf(this.#options), startMs, waitMs },
      onExit: (isCrash) => {
        if (this.#live === live) this.#live = undefined;
        if (!isCrash) return;
        this.#restarts++;
        this.#crashesInARow++;
        this.#crashedAtMs = performance.now();
      },
    });
    this.#live = live;
    return live;
  }
}

const closed: Refusal = { code: "upstream_failed", message: "the llama.cpp engine is not running" };

function setupOf(options: LlamaOptions): LlamaSetup {
  const { cacheFolder, weights = "auto", memoryBytesMax = 2 ** 30, sequences = 4, threads = "auto" } = options;
  const threadsMax = availableParallelism();
  return {
    ...{ cacheFolder, weights, memoryBytesMax, sequences },
    threads: threads === "auto" ? threads : Math.min(threads, threadsMax),
  };
}

class Completion implements LlamaRun {
  readonly events: EngineEvent[] = [];
  isOver = false;
  wake: () => void = () => {};

  onMessage(message: Parameters<LlamaRun["onMessage"]>[0]): boolean {
    if (message.type === "events") {
      this.events.push(...message.events);
      this.isOver = message.isOver;
    }
    this.wake();
    return this.isOver;
  }

  onLost(refusal: Refusal): void {
    this.events.push({ type: "failed", refusal });
    this.isOver = true;
    this.wake();
  }

  something(): Promise<void> {
    return new Promise((resolve) => {
      this.wake = resolve;
    });
  }
}
