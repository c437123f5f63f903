import { ok, type Refusal, type Result } from "../core/result.ts";
import type { EpochCloser } from "./settlement.ts";

/** How often a running node looks after itself. */
const ROUND_MS = 5_000;
/** What happened is told sooner: receivers wait for it. */
const TELL_MS = 1_000;

export interface HousekeepingParts {
  readonly ledger: {
    readonly books: {
      size(): number;
      recent(query: { limit: number }): Promise<readonly { readonly seq: number }[]>;
    };
    readonly epochs: { open(): { readonly first: number; readonly sinceMs: number } };
  };
  readonly publisher: {
    readonly published: { readonly size: number } | undefined;
    publish(size: number): Promise<unknown>;
  };
  readonly settlement: Pick<EpochCloser, "watchDeposits" | "advance" | "forked"> & {
    close(): Promise<Result<{ readonly record: { readonly epoch: number } }>>;
  };
  readonly workshop: { settleBindings(): Promise<Result<unknown>> };
  readonly chain: { readonly tend?: () => Promise<Result<unknown>> };
  /** Whoever made context is paid by what it changed of late: weighed anew at each close. */
  readonly contexts: { weighAll(): Promise<Result<unknown>> };
  /** Tells of what has happened. */
  readonly business: { round(): Promise<void>; watchClaims(): Promise<Result<unknown>> };
  /** Begins trainings that wait. */
  readonly factory: { pump(): void };
  /** An epoch with receipts is closed once it is this old; 0 leaves closing to whoever asks for it. */
  readonly epochMs: number;
  readonly nowMs: () => number;
  /** Stops the node, which must not go on; on credit there is no such case. */
  readonly end?: (why: Refusal) => void;
  readonly say: (text: string) => void;
}

/** Publishes the journal, books deposits, closes epochs that are due and settles bindings; what fails is said, and tried again at the next turn. */
export async function keepHouse(parts: HousekeepingParts): Promise<void> {
  const { ledger, publisher, settlement, workshop, factory, business, chain, say } = parts;
  factory.pump();
  if ((publisher.published?.size ?? 0) < ledger.books.size()) await publisher.publish(ledger.books.size());
  const turns = [
    async () => (await chain.tend?.()) ?? ok(undefined),
    () => settlement.watchDeposits(),
    () => closeWhenDue(parts),
    () => settlement.advance(),
    () => workshop.settleBindings(),
    () => business.watchClaims(),
  ];
  for (const turn of turns) {
    const done = await turn();
    if (!done.ok) say(done.error.message);
  }
  const fork = settlement.forked();
  if (fork !== undefined) parts.end?.(fork);
}

/** Closes the open epoch when it is old enough and has a receipt: an empty one would cost gas and settle nothing. */
async function closeWhenDue(parts: HousekeepingParts): Promise<Result<unknown>> {
  const { ledger, settlement, contexts, epochMs, nowMs, say } = parts;
  const { first, sinceMs } = ledger.epochs.open();
  if (epochMs === 0 || nowMs() - sinceMs < epochMs) return ok(undefined);
  const newest = (await ledger.books.recent({ limit: 1 }))[0];
  if (newest === undefined || newest.seq < first) return ok(undefined);
  const closed = await settlement.close();
  if (!closed.ok) return closed;
  say(`epoch ${closed.value.record.epoch} is closed`);
  return contexts.weighAll();
}

/** One round after the other while the node runs. Returns what ends it: the round in progress, and a last publication. */
export function startHousekeeping(parts: HousekeepingParts): () => Promise<void> {
  let turn: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    turn = turn
      .then(() => keepHouse(parts))
      .catch((error: unknown) => parts.say(`housekeeping: ${error instanceof Error ? error.message : String(error)}`));
  }, ROUND_MS);
  let telling: Promise<void> = Promise.resolve();
  let isTelling = false;
  const teller = setInterval(() => {
    if (isTelling) return;
    isTelling = true;
    telling = parts.business
      .round()
      .catch((error: unknown) => parts.say(`webhooks: ${error instanceof Error ? error.message : String(error)}`))
      .finally(() => {
        isTelling = false;
      });
  }, TELL_MS);
  return async () => {
    clearInterval(timer);
    clearInterval(teller);
    await turn;
    await telling;
    await parts.publisher.publish(parts.ledger.books.size());
  };
}
