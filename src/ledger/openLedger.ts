import type { Domain } from "../core/eip712.ts";
import { decodeEntry } from "../core/entry.ts";
import type { MoveLine } from "../core/move.ts";
import type { FeePolicy } from "../core/policy.ts";
import { assert, ok, type Result, refuse } from "../core/result.ts";
import { AccountBook } from "./accountBook.ts";
import { AssetBook } from "./assetBook.ts";
import { AuditTrail } from "./auditTrail.ts";
import { BookKeeping } from "./bookkeeping.ts";
import { BookState } from "./bookState.ts";
import { EarningsBook } from "./earningsBook.ts";
import { EpochBook } from "./epochBook.ts";
import { HoldTable } from "./holds.ts";
import { KeyBook } from "./keyBook.ts";
import type { ClosedEpoch, Ledger } from "./ledger.ts";
import { MethodsBook } from "./methodsBook.ts";
import { type MoveDraft, positionsOf } from "./moving.ts";
import { OrganisationBook } from "./organisationBook.ts";
import type { Organisations } from "./organisations.ts";
import type { LedgerStore, LedgerWorld, Signer, Takeover } from "./ports.ts";
import { Purses } from "./purses.ts";
import type { MovedState } from "./stateImage.ts";
import { periodOf, statementOf } from "./statement.ts";
import { Writer } from "./writer.ts";

export interface LedgerOptions {
  readonly id: Uint8Array;
  readonly store: LedgerStore;
  readonly world: LedgerWorld;
  readonly signer: Signer;
  /** What batches are signed for where the ledger begins; one that has moved knows from its journal where it is. */
  readonly domain: Domain;
  /** 32 bytes that never leave the node: see {@link AccountBook}. */
  readonly secret: Uint8Array;
  /** 32-byte party id of the node: who pays for API-key accounts. */
  readonly node: Uint8Array;
  /** The policy to journal if the ledger has another or none. */
  readonly policy: FeePolicy;
  /** With a chain: a hold also needs its payer's deposit. */
  readonly requireDeposit: boolean;
  /** What the secrets of API keys begin with: `ol_` where it is left out. */
  readonly keyPrefix?: string;
  readonly publishWithinMs?: number;
  readonly onProgress?: (done: number, total: number) => void;
}

/** A ledger with all that its node does with it. */
export interface OpenLedger extends Ledger {
  readonly organisations: Organisations;
  readonly methods: MethodsBook;
  /** Where it moved to, of a ledger that began on credit. */
  moved(): MovedState | undefined;
  /** Whether everything that was credited or charged lies in a closed epoch. */
  isClosed(): Promise<boolean>;
  /** What a ledger on credit owes to whom: see {@link positionsOf}. */
  positions(paid: MoveDraft["paid"]): Result<readonly MoveLine[]>;
  /** See {@link EpochBook.move}. */
  move(draft: MoveDraft): Promise<Result<ClosedEpoch>>;
}

const PUBLISH_WITHIN_MS = 60_000;

/**
 * Takes the ledger over from whatever writer it had, rebuilds its state from the last checkpoint and the journal after it, and serves it.
 * Refuses with `store_unavailable` where the store does not answer.
 */
export async function openLedger(options: LedgerOptions): Promise<Result<OpenLedger>> {
  const { id, store, world } = options;
  assert(id.length === 32 && options.secret.length === 32, "a ledger's id and secret have 32 bytes");
  const taken = await store.takeOver(id);
  if (!taken.ok) return taken;
  const state = await rebuild(options, taken.value);
  if (!state.ok) return state;
  const writer = new Writer(state.value, {
    ...{ ledger: id, term: taken.value.term, store, world, signer: options.signer, domain: options.domain },
    publishWithinMs: options.publishWithinMs ?? PUBLISH_WITHIN_MS,
  });
  const purses = new Purses(state.value, options.node, options.requireDeposit);
  for (const account of taken.value.accounts) purses.add(account);
  for (const movement of taken.value.movements) purses.move(movement);
  const holds = new HoldTable(
    purses,
    () => world.nowMs(),
    () => world.randomBytes(16),
    () => writer.stopped ?? writer.waiting,
  );
  const books = new BookKeeping(writer, holds, purses, store, options.secret);
  if (!books.hasPolicy(options.policy)) {
    const set = await books.setPolicy(options.policy);
    if (!set.ok) return set;
  }
  const keys = new KeyBook(taken.value.keys, options.secret, world, options.keyPrefix);
  const accounts = new AccountBook(writer, purses, {
    ...{ ledger: id, store, world, keys, secret: options.secret, node: options.node },
    statement: (query) => {
      const account = query.account === undefined ? undefined : purses.account(query.account);
      const earners = account === undefined ? [] : purses.earners(account);
      return statementOf(state.value, store, query, account, earners);
    },
    period: (fromMs, untilMs) => periodOf(state.value, store, fromMs, untilMs),
  });
  const earnings = new EarningsBook({ ledger: id, writer, purses, accounts, keys, world });
  const epochs = new EpochBook(writer, purses, store, taken.value.epochMarks);
  const trail = new AuditTrail(taken.value.auditHeads);
  const organisations = new OrganisationBook(taken.value.organisations, {
    ...{ ledger: id, writer, accounts, keys, store, trail, world },
  });
  const assets = new AssetBook(writer);
  return ok({
    ...{ id, accounts, earnings, organisations, holds, books, epochs, assets, close: () => writer.close() },
    methods: new MethodsBook(writer),
    moved: () => state.value.moved,
    isClosed: () => epochs.isClosed(),
    positions: (paid) => positionsOf(state.value, paid),
    move: (draft) => epochs.move(draft),
  });
}

async function rebuild(options: LedgerOptions, taken: Takeover): Promise<Result<BookState>> {
  const { id, store, world } = options;
  const seed = world.randomBytes(32);
  const restored = taken.checkpoint === undefined ? undefined : BookState.restore(id, taken.checkpoint.state, seed);
  const state = restored ?? new BookState(id, seed);
  state.expectCuts(taken.epochEnds);
  const total = taken.lastSeq + 1;
  for await (const { seq, bytes } of store.entries(id, state.size, total)) {
    const entry = decodeEntry(bytes);
    if (!entry.ok)
      return refuse("data_folder_damaged", `entry ${seq} of the journal cannot be read: ${entry.error.message}`);
    state.apply(entry.value);
    if (seq % 10_000 === 0) options.onProgress?.(seq, total);
  }
  if (state.size !== total)
    return refuse("data_folder_damaged", `the journal has ${state.size} entries where it should have ${total}`);
  return ok(state);
}
