import { ok, type Refusal, RefusalError, type Result, refuse } from "../core/result.ts";
import { backAtCheckpoint, isWaitingForRoom, LOOK_AGAIN_MS, roomWanted, waitingForRoom } from "./diskRoom.ts";
import { isOver, type Job, type JobStatus, overAlready } from "./job.ts";
import type { JobBook } from "./jobBook.ts";
import { JobRun, type RunEnd } from "./jobRun.ts";
import { owedAt } from "./payment.ts";
import type { FactoryPorts } from "./ports.ts";
import type { Till } from "./till.ts";

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
  readonly #till: Till;
  readonly #onTrained: AfterTraining;
  #running: Running | undefined;
  #isClosed = false;
  /** When a full disk has set a job aside. */
  readonly #fullMs = new Map<string, number>();

  constructor(ports: FactoryPorts, book: JobBook, till: Till, onTrained: AfterTraining) {
    this.#ports = ports;
    this.#book = book;
    this.#till = till;
    this.#onTrained = onTrained;
  }

  /** Takes up what a stopped or killed node has left: jobs that ran go on from their checkpoints, and money is set aside again for those that wait. */
  async start(): Promise<Result<void>> {
    for (const job of await this.#ports.store.openJobs()) {
      const isForRoom = isWaitingForRoom(job);
      // What is refused now is refused again, and said, when it is about to begin.
      if (isWaiting(job) || isForRoom) await this.#till.hold(job);
      if (job.status !== "running" && !isForRoom) continue;
      const queued = await this.#book.update(job.id, ({ error: _before, ...now }) => ok({ ...now, status: "queued" }));
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
    return this.#waitingOf(await this.#ports.store.openJobs()).map(({ id }) => id);
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
      if (isOver(job)) return overAlready(job);
      return ok(withOwed({ ...job, status: "cancelled", finishedMs: this.#ports.nowMs() }));
    });
    if (cancelled.ok) await this.#tidy(id);
    return cancelled;
  }

  pause(id: string): Promise<Result<Job>> {
    return this.#leave(id, "paused", (job) => {
      if (isOver(job)) return overAlready(job);
      // Whoever sets it aside does not want it to go on by itself.
      const { error: _before, ...rest } = job;
      if (job.status === "paused") return ok(isWaitingForRoom(job) ? rest : job);
      return ok(withOwed({ ...rest, status: "paused" }));
    });
  }

  /** Refuses `insufficient_funds` where the rest cannot be set aside. */
  async resume(id: string, keyId?: string): Promise<Result<Job>> {
    const job = await this.#book.update(id, (now) =>
      ok(keyId === undefined || now.status !== "paused" ? now : { ...now, keyId }),
    );
    if (!job.ok) return job;
    const held = isOver(job.value) ? ok(undefined) : await this.#till.hold(job.value);
    if (!held.ok) return held;
    const moved = await this.#book.update(id, ({ error: _before, ...now }) => {
      if (isOver(now)) return overAlready(now);
      return ok(now.status === "paused" ? { ...now, status: "queued" } : now);
    });
    if (moved.ok) this.pump();
    else await this.#till.release(id);
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
      const settled = done.ok ? await this.#till.settle(id) : done;
      await this.#book.settled();
      return settled.ok ? settled : done;
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
      let open = await this.#ports.store.openJobs();
      for (const { id, owed } of open) if (owed !== undefined) await this.#till.settle(id);
      if (await this.#goOnWithRoom(open)) open = await this.#ports.store.openJobs();
      const [next] = this.#waitingOf(open);
      if (next === undefined) return;
      const { id } = next;
      this.#running = Object.assign(running, { id });
      const held = await this.#till.hold(next);
      if (!held.ok) {
        hasRun = await this.#setAside(id, held.error);
        return;
      }
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

  #waitingOf(open: readonly Job[]): readonly Job[] {
    return open.filter((job) => isWaiting(job) && job.id !== this.running);
  }

  /** Jobs that a full disk has set aside wait again once it has room for them. Answers with whether there are such. */
  async #goOnWithRoom(open: readonly Job[]): Promise<boolean> {
    let hasAny = false;
    for (const job of open) {
      const { id, base, options } = job;
      if (!isWaitingForRoom(job) || this.#ports.nowMs() - (this.#fullMs.get(id) ?? 0) < LOOK_AGAIN_MS) continue;
      const found = await this.#ports.bases.find(base.name);
      if (!found.ok || (await this.#ports.folders.freeBytes()) < roomWanted(found.value.shape, options)) continue;
      this.#fullMs.set(id, this.#ports.nowMs());
      const resumed = await this.resume(id);
      if (!resumed.ok) continue;
      hasAny = true;
      this.#book.event(id, "info", "The disk has room again; the job goes on from its checkpoint.");
    }
    return hasAny;
  }

  /** Nothing is held for it, so it does not begin. False where that may be otherwise in a moment. */
  async #setAside(id: string, refusal: Refusal): Promise<boolean> {
    if (passing.includes(refusal.code)) return false;
    const kept = await this.#book.update(id, (job) => {
      if (!isWaiting(job)) return refuse("conflict", "the job is not waiting any more");
      return ok(withOwed({ ...job, status: "paused", error: refusal }));
    });
    if (kept.ok) this.#book.event(id, "warn", `The job is set aside: ${refusal.message}`);
    return kept.ok || kept.error.code === "conflict";
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
    const finishedMs = this.#ports.nowMs();
    const { status, error } = statusAfter(end, intent);
    const isLast = isOver({ status });
    // Before the change: whoever sees that the job is over finds its last event.
    if (error === undefined) this.#book.event(id, "info", said[status]);
    else if (status === "failed") this.#book.event(id, "error", `The job failed: ${error.message}`);
    else this.#setAsideFull(id, error);
    const kept = await this.#book.update(id, (now) => {
      const { error: _before, ...rest } = end.kind === "failed" && !isLast ? backAtCheckpoint(now) : now;
      const ended: Job = {
        ...{ ...rest, status },
        ...(isLast ? { finishedMs } : {}),
        ...(error === undefined ? {} : { error }),
      };
      return ok(status === "queued" ? ended : withOwed(ended));
    });
    this.#book.progress(id, undefined);
    if (!kept.ok) return false;
    if (status === "queued") return true;
    // What cannot be posted now stays owed, and is asked for again before the next job.
    const settled = await this.#till.settle(id);
    if (!settled.ok) this.#book.event(id, "warn", `What it costs is not posted yet: ${settled.error.message}`);
    if (isLast) await this.#tidy(id);
    return true;
  }

  #setAsideFull(id: string, { message, hint }: Refusal): void {
    this.#fullMs.set(id, this.#ports.nowMs());
    this.#book.event(id, "warn", `The job is set aside: ${message.replace(/\.$/, "")}; ${hint}.`);
  }

  /** A file that cannot be removed takes up room, and nothing else. */
  async #tidy(id: string): Promise<void> {
    try {
      await this.#ports.folders.tidy(id);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#book.event(id, "warn", `What is no longer needed of it could not be removed: ${why}`);
    }
  }
}

/** A full disk is nothing that the job has done: it is set aside with its last checkpoint. */
function statusAfter(
  end: RunEnd,
  intent: Intent | undefined,
): { readonly status: JobStatus; readonly error?: Refusal } {
  if (end.kind === "trained") return { status: "succeeded" };
  if (end.kind === "stopped" || intent !== undefined) return { status: intent ?? "queued" };
  if (end.refusal.code === "disk_full") return { status: "paused", error: waitingForRoom(end.refusal) };
  return { status: "failed", error: end.refusal };
}

/** What is refused so may be granted in a moment, and is asked for again. */
const passing: readonly Refusal["code"][] = ["store_unavailable", "shutting_down", "writer_fenced"];

/**
 * With what its stretch leaves to be paid: all steps that were done, where it has succeeded, was cancelled or set aside; where it has failed, those up to the
 * last checkpoint that can be served.
 */
function withOwed(job: Job): Job {
  const kept = job.checkpoints.filter(({ isKept }) => isKept).map(({ step }) => step);
  const done = job.result?.steps ?? (job.status === "failed" ? (kept.at(-1) ?? 0) : (job.progress?.step ?? 0));
  const owed = job.owed ?? owedAt(job, done);
  return owed === undefined ? job : { ...job, owed };
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
