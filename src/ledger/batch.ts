import { batchDigest, type Domain } from "../core/eip712.ts";
import { type EntryBody, type EntryKind, encodeEntry, encodeReceipt, entryKinds, type Room } from "../core/entry.ts";
import type { Nano } from "../core/money.ts";
import type { ReceiptFacts } from "../core/receipt.ts";
import type { LegColumns } from "../core/route.ts";
import { BatchTree } from "./batchTree.ts";
import type { BookState } from "./bookState.ts";
import type { Spending } from "./ledger.ts";
import type { AppendBatch, EntryRow, LedgerWorld, Signer } from "./ports.ts";

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
  readonly #options: BatchOptions;
  readonly #first: number;
  readonly #jobs: number;
  #checkpoint: AppendBatch["checkpoint"];
  /** Entries stand one behind the other: one piece of memory for a batch, and the store sends it as it is. */
  #memory = new Uint8Array(0);
  #used = 0;

  /** `jobs` are waiting to be run into it. */
  constructor(state: BookState, options: BatchOptions, jobs: number) {
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

export interface BatchOptions {
  readonly ledger: Uint8Array;
  readonly term: number;
  readonly world: LedgerWorld;
  readonly signer: Signer;
  readonly domain: Domain;
  /** How long after its commit an entry may take to be published. */
  readonly publishWithinMs: number;
}

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

/** Large enough to share a commit well, small enough that building one and committing another overlap. */
export const BATCH_BYTES_MAX = 512 * 1024;
/** What a job journals, more or less: a receipt of 40 legs. */
export const JOB_BYTES = 1_280;
/** The `batch` entry. */
const SEAL_BYTES = 256;

/** What is signed for this ledger names it: from the entry on with which a ledger moves to a chain, that chain. */
export function domainNow({ moved }: BookState, { domain }: BatchOptions): Domain {
  return moved?.domain ?? domain;
}

/** The receipt that an entry is, or amends. */
function namedReceipt(body: EntryBody): Uint8Array | undefined {
  if (body.kind === "receipt") return body.receipt.id;
  return body.kind === "correction" ? body.correction.receipt : undefined;
}
