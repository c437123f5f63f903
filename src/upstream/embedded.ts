import type { Worker } from "node:worker_threads";
import { type Engine, type EngineEvent, type EngineRequest, failed, type StopSignal } from "../core/engine.ts";
import type { FromWorker, ToWorker } from "./workerProtocol.ts";
import { startWorker } from "./workerThread.ts";

export interface EmbeddedOptions {
  /** The worker's module: it calls `serveEngine`. In a source tree it is TypeScript and is run through tsx. */
  readonly worker: URL;
  /** What the worker is told at its start, for example where its index lies. */
  readonly data: unknown;
  /** How long it may take to load. */
  readonly startMs?: number;
  /** A crash within so short a time of the one before makes the next start wait. */
  readonly backoffMs?: number;
}

/**
 * An engine in a worker thread, so that generating never holds up the event loop that serves HTTP and money.
 * A crash fails the runs that were in it and is followed by a fresh worker at the next request; runs are cancelled by message.
 */
export class EmbeddedEngine implements Engine {
  readonly #options: EmbeddedOptions;
  #live: Live | undefined;
  #isClosed = false;
  #restarts = 0;
  #crashedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: EmbeddedOptions) {
    this.#options = options;
  }

  /** Workers started after a crash. */
  get restarts(): number {
    return this.#restarts;
  }

  async *complete(request: EngineRequest, signal: StopSignal): AsyncGenerator<readonly EngineEvent[]> {
    const live = this.#isClosed ? undefined : this.#worker();
    if (live === undefined || !(await live.ready)) {
      yield [failed("upstream_failed", "the embedded engine is not running")];
      return;
    }
    const run = live.begin(request);
    const onAbort = () => live.cancel(run);
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    try {
      while (!run.isOver || run.events.length > 0) {
        if (signal.aborted) return;
        if (run.events.length > 0) yield run.events.splice(0);
        else
          await new Promise<void>((resolve) => {
            run.wake = resolve;
          });
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
      if (!run.isOver) live.cancel(run);
    }
  }

  /** Starts the worker ahead of the first request; false when it does not come up. */
  start(): Promise<boolean> {
    return this.#isClosed ? Promise.resolve(false) : this.#worker().ready;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#live?.worker.terminate();
    this.#live = undefined;
  }

  #worker(): Live {
    if (this.#live !== undefined) return this.#live;
    const waitMs = performance.now() - this.#crashedAtMs < 10_000 ? (this.#options.backoffMs ?? 250) : 0;
    const live = new Live(this.#options, waitMs, () => {
      if (this.#live !== live) return;
      this.#live = undefined;
      this.#restarts += this.#isClosed ? 0 : 1;
      this.#crashedAtMs = performance.now();
    });
    this.#live = live;
    return live;
  }
}

interface Run {
  readonly id: number;
  readonly events: EngineEvent[];
  isOver: boolean;
  wake: () => void;
}

/** One worker and the runs in it. */
class Live {
  readonly worker: Worker;
  readonly ready: Promise<boolean>;
  readonly #runs = new Map<number, Run>();
  #ids = 0;

  constructor({ worker: url, data, startMs = 120_000 }: EmbeddedOptions, waitMs: number, onExit: () => void) {
    this.worker = startWorker(url, data);
    this.ready = new Promise((resolve) => {
      const timer = setTimeout(() => {
        resolve(false);
        void this.worker.terminate();
      }, startMs);
      this.worker.on("message", (message: FromWorker) => {
        if (message.type === "events") this.#take(message);
        else setTimeout(() => resolve(true), waitMs);
        clearTimeout(timer);
      });
      this.worker.on("error", (error) => this.#failAll(error instanceof Error ? error.message : String(error)));
      this.worker.on("exit", () => {
        clearTimeout(timer);
        resolve(false);
        this.#failAll("its worker ended");
        onExit();
      });
    });
    this.worker.unref();
  }

  begin(request: EngineRequest): Run {
    this.#ids += 1;
    const run: Run = { id: this.#ids, events: [], isOver: false, wake: () => {} };
    this.#runs.set(run.id, run);
    this.#send({ type: "complete", id: run.id, request });
    return run;
  }

  cancel(run: Run): void {
    if (!this.#runs.delete(run.id)) return;
    run.isOver = true;
    run.wake();
    this.#send({ type: "cancel", id: run.id });
  }

  #send(message: ToWorker): void {
    this.worker.postMessage(message);
  }

  #take({ id, events, isOver }: Extract<FromWorker, { type: "events" }>): void {
    const run = this.#runs.get(id);
    if (run === undefined) return;
    run.events.push(...events);
    if (isOver) {
      run.isOver = true;
      this.#runs.delete(id);
    }
    run.wake();
  }

  #failAll(reason: string): void {
    for (const run of this.#runs.values()) {
      run.events.push(failed("upstream_failed", `the embedded engine broke down: ${reason}`));
      run.isOver = true;
      run.wake();
    }
    this.#runs.clear();
  }
}
