import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { sha256 } from "../core/hash.ts";
import { refuse, unwrap } from "../core/result.ts";
import type { AppendBatch, LedgerStore } from "./ports.ts";
import { memoryStore } from "./testing/memoryStore.ts";
import { account, draft, open, type SmallLedger, SmallWorld, smallLedger, verified } from "./testing/smallLedger.ts";

/** What becomes of an append whose answer the writer does not get, and of its answer. */
const fates = [
  "answered",
  // It was committed, and then the connection broke.
  "written",
  // The connection broke, and the server took it back.
  "absent",
  // It was still on its way when the writer asked, and came through before the writer could append it again.
  "late",
] as const;
type Fate = (typeof fates)[number];

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout"] }));
afterEach(() => void vi.useRealTimers());

test("whatever answers of the store are lost, every receipt is journalled once, and acknowledged", async () => {
  const histories = fc.array(fc.array(fc.constantFrom(...fates), { maxLength: 4 }), { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(histories, async (rounds) => {
      const fated: Fate[] = [];
      const small = await smallLedger({ store: unreliable(memoryStore(), fated) });
      const payer = await account(small, 1_000_000);
      const keys: string[] = [];
      for (const round of rounds) {
        fated.splice(0, fated.length, ...round);
        keys.push(...(await settled(postSome(small, payer.id, keys.length))));
      }
      await expectOnce(small, payer.id, keys);
    }),
    { numRuns: 60 },
  );
});

/** Posts three receipts at once, each under a key of its own; the keys. */
async function postSome({ ledger }: SmallLedger, payer: string, from: number): Promise<string[]> {
  const keys = [from, from + 1, from + 2].map(String);
  const posted = keys.map(async (key) => {
    const hold = unwrap(ledger.holds.place({ account: payer, amount: 150 }));
    const idempotency = { key, bodyHash: sha256(hold.id) };
    const { promise, receipt } = unwrap(await ledger.books.post(draft(hold.id, 60, 40, { idempotency })));
    expect([promise.receipt, receipt.id]).toEqual([hold.id, hold.id]);
    return promise.seq;
  });
  expect(new Set(await Promise.all(posted)).size).toBe(keys.length);
  return keys;
}

/** The journal holds each receipt once, and a ledger that is built from it knows what the writer knew. */
async function expectOnce(small: SmallLedger, payer: string, keys: readonly string[]): Promise<void> {
  const { ledger, store, world } = small;
  expect((await verified(small)).kinds.receipt).toBe(keys.length);
  const spent = BigInt(100 * keys.length);
  expect(ledger.accounts.balance(payer)).toMatchObject({ spent, held: 0n, available: 1_000_000n - spent });
  expect(ledger.holds.count()).toBe(0);
  const receipts = keys.map((key) => store.idempotency(ledger.id, payer, key));
  const ids = (await Promise.all(receipts)).map((row) => row?.receipt.join());
  expect(new Set(ids).size).toBe(keys.length);
  expect(ids).not.toContain(undefined);
  expect(world.warnings).toEqual([]);
  const [totals, size] = [ledger.books.totals(), ledger.books.size()];
  await ledger.close();
  const rebuilt = await open(store, new SmallWorld());
  expect([rebuilt.books.totals(), rebuilt.books.size()]).toEqual([totals, size]);
}

/** A store whose next appends meet the given fates; a duplicate is refused, as a database does. */
function unreliable(store: LedgerStore, fated: Fate[]): LedgerStore {
  const lost = refuse("store_unavailable", "connection lost");
  const written = new Set<AppendBatch>();
  let onItsWay: AppendBatch | undefined;
  const write = async (batch: AppendBatch) => {
    if (written.has(batch)) return refuse("conflict", "a duplicate");
    written.add(batch);
    return store.append(batch);
  };
  return {
    ...store,
    append: async (batch) => {
      if (onItsWay !== undefined) unwrap(await write(onItsWay));
      onItsWay = undefined;
      // What is refused as a duplicate of itself is settled next.
      if (written.has(batch)) return write(batch);
      const fate = fated.shift() ?? "answered";
      if (fate === "answered") return write(batch);
      if (fate === "written") unwrap(await write(batch));
      if (fate === "late") onItsWay = batch;
      return lost;
    },
  };
}

/** Lets the writer's waits pass. */
async function settled<T>(work: Promise<T>): Promise<T> {
  let isDone = false;
  const done = work.finally(() => {
    isDone = true;
  });
  while (!isDone) await vi.advanceTimersByTimeAsync(1_000);
  return done;
}
