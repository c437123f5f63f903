import { ok, type Refusal, RefusalError, type Result, refuse } from "../core/result.ts";
import { isOver, type Job, type JobStatus } from "./job.ts";
import type { JobBook } from "./jobBook.ts";
import { JobRun, type RunEnd } from "./jobRun.ts";
import type { FactoryPorts } from "./ports.ts";

/** Why a running job is made to stop: it is cancelled, set aside, or goes on after a restart. */
type Intent = "cancelled" | "paused" | "queued";

interface Running {
  readonly id: string;
  readonly controller: AbortController;
  readonly done: Promise<void>;
  intent: Intent | undefined;
}

/** What comes after a training, serving and measuring. It is done again where it was interrupted, and so does nothing twice. */
export type AfterTraining = (job: Job, signal: AbortSignal) => Promise<void>;

/** Runs jobs one at a time in the order in which they came: a second training would only make both slower. */
export class JobQueue {
  readonly #ports: FactoryPorts;
  readonly #book: JobBook;
  readonly #onTrained: AfterTraining;
  #running: Running | undefined;
  #isClosed = false;

  constructor(ports: FactoryPorts, book: JobBook, onTrained: AfterTraining) {
    this.#ports = ports;
    this.#book = book;
    this.#onTrained = onTrained;
  }

  /** Takes up what a stopped or killed node has left: jobs that ran go on from their checkpoints. */
  async start(): Promise<Result<void>> {
    for (const job of await this.#ports.store.openJobs()) {
      if (job.status !== "running") continue;
      const queued = await this.#book.update(job.id, (now) => ok({ ...now, status: "queued" }));
      if (!queued.ok) return queued;
      this.#book.event(job.id, "info", "The node was restarted; the job goes on from its checkpoint.");
    }
    this.pump();
    return ok(undefined);
  }

  get running(): string | undefined {
    return this.#running?.id;
  }

  /** Waiting jobs, the next one first. */
  async waiting(): Promise<readonly string[]> {
    const open = await this.#ports.store.openJobs();
    return open.filter((job) => isWaiting(job) && job.id !== this.running).map(({ id }) => id);
  }

  /** Begins the next job if none runs. Where the store is away nothing happens: whoever calls next begins again. */
  pump(): void {
    void this.#next().catch((error: unknown) => {
      if (!(error instanceof RefusalError)) throw error;
    });
  }

  /** A job that is over stays what it is: cancelling twice is cancelling once. */
  async cancel(id: string): Promise<Result<Job>> {
    const cancelled = await this.#leave(id, "cancelled", (job) => {
      if (job.status === "cancelled") return ok(job);
      if (isOver(job)) return refuse("conflict", `the job has ${job.status} already`);
      return ok({ ...job, status: "cancelled", finishedMs: this.#ports.nowMs() });
    });
    if (cancelled.ok) await this.#ports.folders.tidy(id);
    return cancelled;
  }

  pause(id: string): Promise<Result<Job>> {
    return this.#leave(id, "paused", (job) => {
      if (isOver(job)) return refuse("conflict", `the job has ${job.status} already`);
      return ok(job.status === "paused" ? job : { ...job, status: "paused" });
    });
  }

  async resume(id: string): Promise<Result<Job>> {
    const moved = await this.#book.update(id, (job) => {
      if (isOver(job)) return refuse("conflict", `the job has ${job.status} already`);
      return ok(job.status === "paused" ? { ...job, status: "queued" } : job);
    });
    if (moved.ok) this.pump();
    return moved;
  }

  /** Stops the running job at its next step; it goes on when the factory starts again. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const running = this.#running;
    if (running === undefined) return;
    running.intent ??= "queued";
    running.controller.abort();
    await running.done;
  }

  /** Stops the job where it runs; what is not written by its run's end is written here. */
  async #leave(id: string, to: "cancelled" | "paused", change: (job: Job) => Result<Job>): Promise<Result<Job>> {
    for (;;) {
      const running = this.#running;
      if (running?.id === id) {
        running.intent = to;
        running.controller.abort();
        await running.done;
      }
      let [hasBegun, isChanged] = [false, false];
      const done = await this.#book.update(id, (job) => {
        // It was begun while this change waited for its turn.
        hasBegun = job.status === "running" && this.#running?.id === id;
        const changed = hasBegun ? ok(job) : change(job);
        isChanged = changed.ok && changed.value !== job;
        return changed;
      });
      if (hasBegun) continue;
      if (isChanged) this.#book.event(id, "info", said[to]);
      await this.#book.settled();
      return done;
    }
  }

  async #next(): Promise<void> {
    if (this.#isClosed || this.#running !== undefined) return;
    // Taken before anything is awaited, so that two calls do not both begin a job.
    const controller = new AbortController();
    let end: () => void = () => {};
    const running: Running = {
      ...{ id: "", controller, intent: undefined },
      done: new Promise((resolve) => {
        end = resolve;
      }),
    };
    this.#running = running;
    let hasRun = false;
    try {
      const [id] = await this.waiting();
      if (id === undefined) return;
      this.#running = Object.assign(running, { id });
      const begun = await this.#book.update(id, (job) => {
        if (!isWaiting(job)) return refuse("conflict", "the job is not waiting any more");
        return ok({ ...job, status: "running", startedMs: job.startedMs ?? this.#ports.nowMs() });
      });
      hasRun = begun.ok ? await this.#run(begun.value, running) : begun.error.code === "conflict";
    } finally {
      this.#running = undefined;
      end();
      if (hasRun) this.pump();
    }
  }

  /** False where the store is away: the job is then as it was, and begun again later. */
  async #run(job: Job, running: Running): Promise<boolean> {
    const { signal } = running.controller;
    const end = await this.#endOf(job, signal);
    if (end.kind === "failed" && end.refusal.code === "store_unavailable") return false;
    return this.#finish(job.id, end, running.intent);
  }

  async #endOf(job: Job, signal: AbortSignal): Promise<RunEnd> {
    try {
      const end = await new JobRun(this.#ports, this.#book, job).train(signal);
      if (end.kind !== "trained") return end;
      await this.#onTrained(end.job, signal);
      return signal.aborted ? { kind: "stopped" } : end;
    } catch (error) {
      if (error instanceof RefusalError) return { kind: "failed", refusal: error.refusal };
      // A bug ends the job and not the node, which would meet it again when it starts.
      const message = `something broke here: ${error instanceof Error ? error.message : String(error)}`;
      return { kind: "failed", refusal: { code: "upstream_failed", message } };
    }
  }

  async #finish(id: string, end: RunEnd, intent: Intent | undefined): Promise<boolean> {
    const { nowMs, folders } = this.#ports;
    const finishedMs = nowMs();
    const isStopped = end.kind === "stopped" || (end.kind === "failed" && intent !== undefined);
    const status = end.kind === "trained" ? "succeeded" : isStopped ? (intent ?? "queued") : "failed";
    const error: Refusal | undefined = status === "failed" && end.kind === "failed" ? end.refusal : undefined;
    const isLast = status === "succeeded" || status === "failed" || status === "cancelled";
    // Before the change: whoever sees that the job is over finds its last event.
    if (error === undefined) this.#book.event(id, "info", said[status]);
    else this.#book.event(id, "error", `The job failed: ${error.message}`);
    const kept = await this.#book.update(id, (now) => {
      const { error: _before, ...rest } = now;
      return ok({
        ...{ ...rest, status },
        ...(isLast ? { finishedMs } : {}),
        ...(error === undefined ? {} : { error }),
      });
    });
    this.#book.progress(id, undefined);
    if (!kept.ok) return false;
    if (isLast) await folders.tidy(id);
    return true;
  }
}

/** A job that is said to run while none does was interrupted: by a kill, or because the store was away at its end. */
function isWaiting({ status }: Job): boolean {
  return status === "queued" || status === "running";
}

const said: Readonly<Record<JobStatus, string>> = {
  succeeded: "The job has successfully completed.",
  cancelled: "The job was cancelled.",
  paused: "The job is set aside.",
  queued: "The job waits.",
  running: "The job runs.",
  failed: "The job failed.",
};
