import type { Domain } from "../core/eip712.ts";
import { assert, type Refusal, type Result, refuse } from "../core/result.ts";
import { BATCH_BYTES_MAX, Batch, type BatchOptions, type Commit, domainNow, JOB_BYTES } from "./batch.ts";
import type { BookState } from "./bookState.ts";
import { Pace } from "./pace.ts";
import type { AppendBatch, LedgerStore, StoreRefusal } from "./ports.ts";

/**
 * The one writer of a ledger. Jobs that queued while a commit was under way are the next commit: the more load, the larger the batch.
 * A job changes the state when its batch is built and is answered when the batch is durable. While a store cannot take a batch that it may take later, the writer waits with it:
 * new jobs are refused, but for those that must not be lost. If a commit fails for good, the state is ahead of what is durable, so the writer stops: whoever opens the ledger again rebuilds from the journal.
 */
export class Writer {
  readonly state: BookState;
  readonly #options: WriterOptions;
  #queue: Queued[] = [];
  readonly #pace = new Pace();
  #running: Promise<void> | undefined;
  #durableSize: number;
  #stopped: Failure | undefined;
  #waiting: Failure | undefined;
  #closing = false;

  constructor(state: BookState, options: WriterOptions) {
    this.state = state;
    this.#options = options;
    this.#durableSize = state.size;
  }

  /** Why nothing is written any more; undefined while it is. */
  get stopped(): Refusal | undefined {
    return this.#stopped?.error;
  }

  /** Why nothing is written now, until the store takes it again. */
  get waiting(): Refusal | undefined {
    return this.#waiting?.error;
  }

  /** How far the journal is durable; the state may be a batch ahead. */
  get durableSize(): number {
    return this.#durableSize;
  }

  /** What is signed for this ledger names it: from the entry on with which a ledger moves to a chain, that chain. */
  get domain(): Domain {
    return domainNow(this.state, this.#options);
  }

  /** Runs the job in the next batch. What it returns is called with the commit once that is durable. A patient job waits with the writer. */
  run<T>(job: Job<T>, { isPatient = false } = {}): Promise<Result<T>> {
    const failure = this.#stopped ?? (isPatient ? undefined : this.#waiting);
    if (failure !== undefined) return Promise.resolve(failure);
    if (this.#closing) return Promise.resolve(refuse("shutting_down", "the ledger is closing"));
    return new Promise((resolve) => {
      this.#pace.waiting(this.#queue.push({ run: enqueued(job, resolve), isPatient }));
      this.#running ??= this.#drain();
    });
  }

  /** Answers all that is queued, then refuses. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#running;
  }

  /**
   * Commits follow each other. A batch that is full is built while the one before is committed; one that is not takes in what comes meanwhile,
   * for a commit costs the same whatever is in it.
   */
  async #drain(): Promise<void> {
    let committing: Promise<void> = Promise.resolve();
    do {
      while (this.#queue.length > 0 && this.#stopped === undefined) {
        if (this.#queue.length < JOBS_FULL) {
          await committing;
          await this.#pace.pause;
          await turnEnds();
        }
        const built = this.#build();
        await committing;
        committing = this.#finish(built);
        // Its answers may queue more: where nothing waits, wait for them.
        if (this.#queue.length === 0) await committing;
      }
      await committing;
      // Nothing is awaited between this look and the end, so no job can slip in unseen.
    } while (this.#queue.length > 0 && this.#stopped === undefined);
    this.#running = undefined;
    const stopped = this.#stopped;
    if (stopped !== undefined) this.#answerQueued(stopped, () => true);
  }

  /** Runs waiting jobs into a batch. A job that throws is a bug of ours, and the state may be half changed: nothing more is written. */
  #build(): Built {
    const answers: Answer[] = [];
    const batch = new Batch(this.state, this.#options, this.#queue.length);
    try {
      while (this.#queue.length > 0 && batch.bytes < BATCH_BYTES_MAX) {
        const { run: job } = this.#queue.shift()!;
        // Answered even if it throws: until it has run, its answer is that the writer stopped.
        const place = answers.push(job(undefined)) - 1;
        answers[place] = job(batch);
      }
      return { answers, sealed: { batch, commit: batch.seal() } };
    } catch (error) {
      this.#stop(error);
      return { answers, sealed: undefined };
    }
  }

  #stop(error: unknown): Failure {
    const message = `the ledger's writer stops: ${error instanceof Error ? error.message : String(error)}`;
    this.#options.world.warn(message);
    this.#stopped = refuse("store_unavailable", message, { hint: RESTART });
    return this.#stopped;
  }

  async #finish({ answers, sealed }: Built): Promise<void> {
    const durable =
      sealed === undefined || this.#stopped !== undefined
        ? this.#stopped!
        : await this.#commit(sealed.batch, sealed.commit).catch((error: unknown) => this.#stop(error));
    for (const answer of answers) answer(durable);
    this.#pace.committed(answers.length);
  }

  async #commit(batch: Batch, commit: Commit): Promise<Result<Commit>> {
    if (batch.isEmpty) return { ok: true, value: commit };
    const { world } = this.#options;
    const rows = batch.rows();
    const outcome = await this.#append(rows);
    if (outcome.ok) {
      if (this.#waiting !== undefined) world.warn("the store takes what is written again");
      this.#waiting = undefined;
      this.#durableSize = rows.entries.length === 0 ? this.#durableSize : rows.entries.at(-1)!.seq + 1;
      return { ok: true, value: commit };
    }
    const { code, message, hint = RESTART } = outcome.error;
    world.warn(`the ledger's writer stops: ${message}`);
    this.#stopped = refuse(code, message, { hint: code === "disk_full" ? `free some space, then ${RESTART}` : hint });
    return this.#stopped;
  }

  /**
   * Appends the batch until it is known what became of it. The same bytes under the same term, and never before the store has said that they are not there:
   * so nothing is written twice, nothing out of order, and nothing once another writer has taken over, however long it takes.
   */
  async #append(rows: AppendBatch): Promise<Result<void, StoreRefusal>> {
    const { store } = this.#options;
    let outcome = await store.append(rows);
    for (let attempt = 1, conflicts = 0; !outcome.ok; attempt++) {
      const { code, mayPass } = outcome.error;
      if (code === "conflict") conflicts += 1;
      if (!isUnsettled(outcome.error, attempt, conflicts)) return outcome;
      if (mayPass && attempt >= ATTEMPTS_MAX) {
        if (this.#closing) return outcome;
        this.#wait(outcome.error);
      }
      await new Promise((resolve) => setTimeout(resolve, Math.min(100 * 2 ** attempt, WAIT_MS)));
      // The commit may have gone through before the connection broke: never append blindly.
      const settled = await store.settle(rows);
      if (!settled.ok) outcome = settled;
      else outcome = settled.value === "written" ? { ok: true, value: undefined } : await store.append(rows);
    }
    return outcome;
  }

  /** From now on the batch at hand waits for the store. */
  #wait({ code, message }: StoreRefusal): void {
    if (this.#waiting === undefined)
      this.#options.world.warn(`nothing is written until the store takes it again: ${message}`);
    const hint = `${code === "disk_full" ? "free some space" : "check that the store runs"}; the node goes on by itself`;
    this.#waiting = refuse(code, message, { hint });
    this.#answerQueued(this.#waiting, ({ isPatient }) => !isPatient);
  }

  #answerQueued(failure: Failure, whom: (job: Queued) => boolean): void {
    const queue = this.#queue;
    this.#queue = queue.filter((job) => !whom(job));
    for (const job of queue.filter(whom)) job.run(undefined)(failure);
  }
}

export interface WriterOptions extends BatchOptions {
  readonly store: LedgerStore;
}

export type Job<T> = (batch: Batch) => Result<(commit: Commit) => T>;

interface Built {
  readonly answers: readonly Answer[];
  /** Undefined where a job threw. */
  readonly sealed: { readonly batch: Batch; readonly commit: Commit } | undefined;
}

type Answer = (durable: Result<Commit>) => void;
type Run = (batch: Batch | undefined) => Answer;
interface Queued {
  readonly run: Run;
  readonly isPatient: boolean;
}
type Failure = ReturnType<typeof refuse>;

/** As many take six seconds. */
const ATTEMPTS_MAX = 6;
const WAIT_MS = 5_000;
const RESTART = "restart the node: it rebuilds from the journal";
const JOBS_FULL = Math.ceil(BATCH_BYTES_MAX / JOB_BYTES);

/** When the other events of this turn of the event loop have been seen: what they queue shares the batch. */
function turnEnds(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function enqueued<T>(job: Job<T>, resolve: (result: Result<T>) => void): Run {
  return (batch) => {
    if (batch === undefined)
      return (stopped) => resolve(stopped.ok ? refuse("shutting_down", "the ledger is closing") : stopped);
    const before = batch.entries.length;
    const done = job(batch);
    if (!done.ok) {
      assert(batch.entries.length === before, "a job that refuses has journalled nothing");
      return () => resolve(done);
    }
    return (durable) => resolve(durable.ok ? { ok: true, value: done.value(durable.value) } : durable);
  };
}

/**
 * A connection can break with the append on its way, so that it is written after all: when it is appended again, or after that, as a duplicate of itself.
 * What may pass is never given up.
 */
function isUnsettled({ code, mayPass }: StoreRefusal, attempt: number, conflicts: number): boolean {
  if (code === "conflict") return attempt > 1 && conflicts < ATTEMPTS_MAX;
  return mayPass === true || (code === "store_unavailable" && attempt < ATTEMPTS_MAX);
}
