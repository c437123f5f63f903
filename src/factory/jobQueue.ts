import { ok, type Refusal, type Result, refuse } from "../core/result.ts";
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

/** Runs jobs one at a time in the order in which they came: a second training would only make both slower. */
export class JobQueue {
  readonly #ports: FactoryPorts;
  readonly #book: JobBook;
  /** What comes after a training: measuring and serving. */
  readonly #onTrained: (job: Job, signal: AbortSignal) => Promise<void>;
  #running: Running | undefined;
  #isClosed = false;

  constructor(ports: FactoryPorts, book: JobBook, onTrained: (job: Job, signal: AbortSignal) => Promise<void>) {
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
    return open.filter(({ status }) => status === "queued").map(({ id }) => id);
  }

  /** Begins the next job if none runs. */
  pump(): void {
    void this.#next().catch((error: unknown) => {
      // The store is away: whoever orders or looks next begins again.
      if (!(error instanceof Error && error.name === "RefusalError")) throw error;
    });
  }

  /** A job that is over stays what it is: cancelling twice is cancelling once. */
  async cancel(id: string): Promise<Result<Job>> {
    const stopped = await this.#stop(id, "cancelled");
    if (stopped !== undefined) return stopped;
    const done = await this.#book.update(id, (job) => {
      if (job.status === "cancelled") return ok(job);
      if (isOver(job)) return refuse("conflict", `the job has ${job.status} already`);
      return ok({ ...job, status: "cancelled", finishedMs: this.#ports.nowMs() });
    });
    if (done.ok) this.#book.event(id, "info", "The job was cancelled.");
    return done;
  }

  async pause(id: string): Promise<Result<Job>> {
    const stopped = await this.#stop(id, "paused");
    return stopped ?? this.#move(id, ["queued", "paused"], "paused");
  }

  async resume(id: string): Promise<Result<Job>> {
    const moved = await this.#move(id, ["paused", "queued", "running"], "queued");
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

  async #move(id: string, from: readonly JobStatus[], to: "paused" | "queued"): Promise<Result<Job>> {
    return this.#book.update(id, (job) => {
      if (!from.includes(job.status)) return refuse("conflict", `the job has ${job.status} already`);
      return ok(job.status === "running" ? job : { ...job, status: to });
    });
  }

  async #stop(id: string, intent: Intent): Promise<Result<Job> | undefined> {
    const running = this.#running;
    if (running?.id !== id) return undefined;
    running.intent = intent;
    running.controller.abort();
    await running.done;
    const job = await this.#book.find(id);
    // It may have come to its end before it heard of it.
    return job.ok && job.value.status !== intent && intent === "cancelled"
      ? refuse("conflict", `the job has ${job.value.status} already`)
      : job;
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
        if (job.status !== "queued") return refuse("conflict", "the job is not waiting any more");
        return ok({ ...job, status: "running", startedMs: job.startedMs ?? this.#ports.nowMs() });
      });
      hasRun = true;
      if (begun.ok) await this.#run(begun.value, running);
    } finally {
      this.#running = undefined;
      end();
      if (hasRun) this.pump();
    }
  }

  async #run(job: Job, running: Running): Promise<void> {
    const run = new JobRun(this.#ports, this.#book, job);
    const end = await run.train(running.controller.signal);
    if (end.kind === "trained") await this.#onTrained(end.job, running.controller.signal);
    await this.#finish(job.id, end, running.intent);
  }

  async #finish(id: string, end: RunEnd, intent: Intent | undefined): Promise<void> {
    const { nowMs, folders } = this.#ports;
    const finishedMs = nowMs();
    const isStopped = end.kind === "stopped" || (end.kind === "failed" && intent !== undefined);
    const status = end.kind === "trained" ? "succeeded" : isStopped ? (intent ?? "queued") : "failed";
    const error: Refusal | undefined = status === "failed" && end.kind === "failed" ? end.refusal : undefined;
    const isLast = status === "succeeded" || status === "failed" || status === "cancelled";
    await this.#book.update(id, (now) => {
      const { error: _before, ...rest } = now;
      return ok({
        ...{ ...rest, status },
        ...(isLast ? { finishedMs } : {}),
        ...(error === undefined ? {} : { error }),
      });
    });
    this.#book.progress(id, undefined);
    if (isLast) await folders.tidy(id);
    if (error === undefined) this.#book.event(id, "info", said[status]);
    else this.#book.event(id, "error", `The job failed: ${error.message}`);
    await this.#book.settled();
  }
}

const said: Readonly<Record<JobStatus, string>> = {
  succeeded: "The job has successfully completed.",
  cancelled: "The job was cancelled.",
  paused: "The job is set aside.",
  queued: "The job waits.",
  running: "The job runs.",
  failed: "The job failed.",
};
