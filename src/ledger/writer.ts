import { batchDigest, type Domain } from "../core/eip712.ts";
import { type EntryBody, type EntryKind, encodeEntry, encodeReceipt, entryKinds, type Room } from "../core/entry.ts";
import type { Nano } from "../core/money.ts";
import type { ReceiptFacts } from "../core/receipt.ts";
import { assert, type Refusal, type Result, refuse } from "../core/result.ts";
import type { LegColumns } from "../core/route.ts";
import { BatchTree } from "./batchTree.ts";
import type { BookState } from "./bookState.ts";
import type { Spending } from "./ledger.ts";
import { Pace } from "./pace.ts";
import type { AppendBatch, EntryRow, LedgerStore, LedgerWorld, Signer } from "./ports.ts";

/**
 * The one writer of a ledger. Jobs that queued while a commit was under way are the next commit: the more load, the larger the batch.
 * A job changes the state when its batch is built and is answered when the batch is durable. If a commit fails, the state is ahead of what is durable,
 * so the writer stops for good: whoever opens the ledger again rebuilds from the journal.
 */
export class Writer {
  readonly state: BookState;
  readonly #options: WriterOptions;
  readonly #queue: Queued[] = [];
  readonly #pace = new Pace();
  #running: Promise<void> | undefined;
  #durableSize: number;
  #stopped: Result<never> | undefined;
  #closing = false;

  constructor(state: BookState, options: WriterOptions) {
    this.state = state;
    this.#options = options;
    this.#durableSize = state.size;
  }

  /** How far the journal is durable; the state may be a batch ahead. */
  /** Why nothing is written any more; undefined while it is. */
  get stopped(): Refusal | undefined {
    return this.#stopped?.ok === false ? this.#stopped.error : undefined;
  }

  get durableSize(): number {
    return this.#durableSize;
  }

  /** What is signed for this ledger names it: from the entry on with which a ledger moves to a chain, that chain. */
  get domain(): Domain {
    return domainNow(this.state, this.#options);
  }

  /** Runs the job in the next batch. What it returns is called with the commit once that is durable. */
  run<T>(job: Job<T>): Promise<Result<T>> {
    if (this.#stopped !== undefined) return Promise.resolve(this.#stopped);
    if (this.#closing) return Promise.resolve(refuse("shutting_down", "the ledger is closing"));
    return new Promise((resolve) => {
      this.#pace.waiting(this.#queue.push(enqueued(job, resolve)));
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
    if (stopped !== undefined) for (const job of this.#queue.splice(0)) job(undefined)(stopped);
  }

  /** Runs waiting jobs into a batch. A job that throws is a bug of ours, and the state may be half changed: nothing more is written. */
  #build(): Built {
    const answers: Answer[] = [];
    const batch = new Batch(this.state, this.#options, this.#queue.length);
    try {
      while (this.#queue.length > 0 && batch.bytes < BATCH_BYTES_MAX) {
        const job = this.#queue.shift()!;
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

  #stop(error: unknown): Result<never> {
    const message = `the ledger's writer stops: ${error instanceof Error ? error.message : String(error)}`;
    this.#options.world.warn(message);
    this.#stopped = refuse("store_unavailable", message, { hint: "restart the node: it rebuilds from the journal" });
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
    const { store, world } = this.#options;
    const rows = batch.rows();
    let outcome = await store.append(rows);
    for (let attempt = 1; isUnsettled(outcome, attempt) && attempt < ATTEMPTS_MAX; attempt++) {
      await new Promise((resolve) => setTimeout(resolve, 100 * 2 ** attempt));
      // The commit may have gone through before the connection broke: never append blindly.
      const settled = await store.settle(rows);
      if (!settled.ok) outcome = settled;
      else outcome = settled.value === "written" ? { ok: true, value: undefined } : await store.append(rows);
    }
    if (outcome.ok) {
      this.#durableSize = rows.entries.length === 0 ? this.#durableSize : rows.entries.at(-1)!.seq + 1;
      return { ok: true, value: commit };
    }
    world.warn(`the ledger's writer stops: ${outcome.error.message}`);
    const isFull = outcome.error.code === "disk_full";
    const hint = `${isFull ? "free some space, then " : ""}restart the node: it rebuilds from the journal`;
    this.#stopped = { ok: false, error: { hint, ...outcome.error, ...(isFull ? { hint } : {}) } };
    return this.#stopped;
  }
}

export interface WriterOptions {
  readonly ledger: Uint8Array;
  readonly term: number;
  readonly store: LedgerStore;
  readonly world: LedgerWorld;
  readonly signer: Signer;
  readonly domain: Domain;
  /** How long after its commit an entry may take to be published. */
  readonly publishWithinMs: number;
}

export type Job<T> = (batch: Batch) => Result<(commit: Commit) => T>;

/** A batch that became durable. */
export interface Commit {
  readonly first: number;
  readonly count: number;
  readonly root: Uint8Array;
  readonly deadlineMs: number;
  readonly signature: Uint8Array;
  /** RFC 6962 audit path of an entry within the batch. */
  pathOf(seq: number): Uint8Array[];
}

interface Built {
  readonly answers: readonly Answer[];
  /** Undefined where a job threw. */
  readonly sealed: { readonly batch: Batch; readonly commit: Commit } | undefined;
}

type Answer = (durable: Result<Commit>) => void;
type Queued = (batch: Batch | undefined) => Answer;

const ATTEMPTS_MAX = 6;
/** Large enough to share a commit well, small enough that building one and committing another overlap. */
const BATCH_BYTES_MAX = 512 * 1024;
/** What a job journals, more or less: a receipt of 40 legs. */
const JOB_BYTES = 1_280;
/** The `batch` entry. */
const SEAL_BYTES = 256;
const JOBS_FULL = Math.ceil(BATCH_BYTES_MAX / JOB_BYTES);

/** When the other events of this turn of the event loop have been seen: what they queue shares the batch. */
function turnEnds(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** One commit while it is built. */
export class Batch {
  readonly entries: EntryRow[] = [];
  readonly openings: AppendBatch["openings"][number][] = [];
  readonly idempotency: AppendBatch["idempotency"][number][] = [];
  readonly accounts: AppendBatch["accounts"][number][] = [];
  readonly keys: AppendBatch["keys"][number][] = [];
  readonly movements: AppendBatch["movements"][number][] = [];
  readonly organisations: AppendBatch["organisations"][number][] = [];
  readonly audits: AppendBatch["audits"][number][] = [];
  readonly epochMarks: AppendBatch["epochMarks"][number][] = [];
  readonly epochLeaves: AppendBatch["epochLeaves"][number][] = [];
  readonly timeMs: number;
  bytes = 0;
  wantsCheckpoint = false;
  readonly #spending = new Map<string, Spending>();
  readonly #state: BookState;
  readonly #options: WriterOptions;
  readonly #first: number;
  readonly #jobs: number;
  #checkpoint: AppendBatch["checkpoint"];
  /** Entries stand one behind the other: one piece of memory for a batch, and the store sends it as it is. */
  #memory = new Uint8Array(0);
  #used = 0;

  /** `jobs` are waiting to be run into it. */
  constructor(state: BookState, options: WriterOptions, jobs: number) {
    this.#state = state;
    this.#options = options;
    this.#first = state.size;
    this.#jobs = jobs;
    this.timeMs = Math.max(options.world.nowMs(), state.timeMs);
  }

  /** Journals an entry: it gets the next seq, and the state takes it in. */
  add(body: EntryBody): { readonly seq: number; readonly bytes: Uint8Array } {
    const seq = this.#state.size;
    const entry = { ledger: this.#options.ledger, seq, timeMs: this.timeMs, ...body };
    const bytes = encodeEntry(entry, this.#room);
    this.#state.apply(entry);
    return this.#keep(seq, body.kind, namedReceipt(body), bytes);
  }

  /** The same for a receipt whose legs are columns. */
  addReceipt(facts: ReceiptFacts, legs: LegColumns): { readonly seq: number; readonly bytes: Uint8Array } {
    const seq = this.#state.size;
    const bytes = encodeReceipt({ ledger: this.#options.ledger, seq, timeMs: this.timeMs }, facts, legs, this.#room);
    this.#state.applyReceipt(seq, this.timeMs, facts, legs);
    return this.#keep(seq, "receipt", facts.id, bytes);
  }

  get isEmpty(): boolean {
    const rows = [
      this.entries,
      this.accounts,
      this.keys,
      this.movements,
      this.epochMarks,
      this.idempotency,
      this.audits,
    ];
    return rows.every((list) => list.length === 0);
  }

  /** A receipt of a metered key: its rows of a batch are one. */
  meter({ key, day }: { readonly key: string; readonly day: number }, nano: Nano, tokens: number): void {
    const place = `${day} ${key}`;
    const before = this.#spending.get(place);
    if (before === undefined) this.#spending.set(place, { day, key, nano, receipts: 1, tokens });
    else
      this.#spending.set(place, {
        ...{ day, key, nano: before.nano + nano },
        ...{ receipts: before.receipts + 1, tokens: before.tokens + tokens },
      });
  }

  /** Signs what was added, as the batch's last entry. */
  seal(): Commit {
    const { ledger, signer, publishWithinMs } = this.#options;
    // The batch of the move's own entry is the first that is signed for the chain.
    const domain = domainNow(this.#state, this.#options);
    const tree = new BatchTree(this.entries);
    const statement = {
      ledger,
      first: this.#first,
      count: this.entries.length,
      root: tree.root,
      deadlineMs: this.timeMs + publishWithinMs,
    };
    const { first, count, root, deadlineMs } = statement;
    const signature = count === 0 ? new Uint8Array(65) : signer.sign(batchDigest(domain, statement));
    if (count > 0) this.add({ kind: "batch", batch: { first, count, root, deadlineMs, signature } });
    if (this.wantsCheckpoint) this.#checkpoint = { seq: this.#state.size, state: this.#state.serialise() };
    return { first, count, root, deadlineMs, signature, pathOf: (seq) => tree.path(seq - first) };
  }

  rows(): AppendBatch {
    const { ledger, term } = this.#options;
    const { entries, openings, idempotency, accounts, keys, movements, epochMarks, epochLeaves } = this;
    const { organisations, audits } = this;
    const spending = [...this.#spending.values()];
    const beside = { accounts, keys, movements, organisations, audits, spending, epochMarks, epochLeaves };
    const rows = { entries, openings, idempotency, ...beside };
    return { ledger, term, ...rows, checkpoint: this.#checkpoint };
  }

  #keep(seq: number, kind: EntryKind, receipt: Uint8Array | undefined, bytes: Uint8Array) {
    this.entries.push({ seq, kind: entryKinds.indexOf(kind) + 1, receipt, bytes });
    this.bytes += bytes.length;
    return { seq, bytes };
  }

  readonly #room: Room = (size) => {
    if (this.#used + size > this.#memory.length) {
      const waiting = Math.min(this.#jobs * JOB_BYTES, BATCH_BYTES_MAX) - this.bytes;
      this.#memory = new Uint8Array(Math.max(size, waiting) + SEAL_BYTES);
      this.#used = 0;
    }
    this.#used += size;
    return this.#memory.subarray(this.#used - size, this.#used);
  };
}

function domainNow({ moved }: BookState, { domain }: WriterOptions): Domain {
  return moved?.domain ?? domain;
}

function enqueued<T>(job: Job<T>, resolve: (result: Result<T>) => void): Queued {
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

/** A connection can break with the append on its way, so that it is written after all: when it is appended again, or after that, as a duplicate of itself. */
function isUnsettled(outcome: Result<void>, attempt: number): boolean {
  if (outcome.ok) return false;
  // A disk that is full for a moment is like a connection that is.
  if (outcome.error.code === "disk_full") return true;
  return outcome.error.code === "store_unavailable" || (outcome.error.code === "conflict" && attempt > 1);
}

/** The receipt that an entry is, or amends. */
function namedReceipt(body: EntryBody): Uint8Array | undefined {
  if (body.kind === "receipt") return body.receipt.id;
  return body.kind === "correction" ? body.correction.receipt : undefined;
}
