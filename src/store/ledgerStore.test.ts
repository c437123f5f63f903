import pg from "pg";
import { describe, expect, onTestFinished, test } from "vitest";
import { type TestDatabase, testDatabase } from "../../test/support/testDatabase.ts";
import { unwrap } from "../core/result.ts";
import {
  batchOf,
  describeLedgerStore,
  entriesOf,
  entryRow,
  receiptId,
  testLedger,
} from "../ledger/testing/storeSuite.ts";
import { type OpenLedgerStore, openLedgerStore } from "./ledgerStore.ts";

describeLedgerStore("PostgreSQL", async () => {
  const database = await testDatabase();
  const store = unwrap(await openLedgerStore(database));
  const close = async () => {
    await store.close();
    await database.drop();
  };
  return { store, close };
});

describe("a batch", () => {
  test.each([
    ["a seq that is taken", { entries: [entryRow(0), entryRow(1)] }],
    ["a receipt that is journalled", { entries: [entryRow(1), entryRow(2, 6, receiptId(1))] }],
    ["a receipt twice", { entries: [entryRow(1, 6, receiptId(2)), entryRow(2, 6, receiptId(2))] }],
    ["a movement that was booked", { entries: [entryRow(1)], movements: [movement("one")] }],
    ["an idempotency key that is used", { entries: [entryRow(1)], idempotency: [idempotency("used")] }],
  ])("with %s is refused, and nothing of it is written", async (_, rows) => {
    const { store } = await emptyStore();
    await store.takeOver(testLedger);
    const first = { entries: [entryRow(0, 6, receiptId(1))], movements: [movement("one")] };
    unwrap(await store.append(batchOf({ ...first, idempotency: [idempotency("used")] })));
    const beside = { openings: [{ receipt: receiptId(9), opening: "{}" }], movements: [movement("new")] };
    const batch = batchOf({ ...beside, idempotency: [idempotency("new")], ...rows });
    expect(await store.append(batch)).toMatchObject({ ok: false, error: { code: "conflict" } });
    expect(await entriesOf(store, 0, 10)).toHaveLength(1);
    expect(await store.movement(testLedger, "new")).toBeUndefined();
    expect(await store.idempotency(testLedger, "acct_a", "new")).toBeUndefined();
    unwrap(await store.append(batchOf({ entries: [entryRow(1)] })));
  });

  test("whose seqs leave a gap or run backwards is a bug, and is not written", async () => {
    const { store } = await emptyStore();
    await store.takeOver(testLedger);
    for (const entries of [
      [entryRow(0), entryRow(2)],
      [entryRow(1), entryRow(0)],
    ])
      await expect(store.append(batchOf({ entries }))).rejects.toThrow("broken invariant");
    unwrap(await store.append(batchOf({ entries: [entryRow(0)] })));
    expect(await entriesOf(store, 0, 10)).toHaveLength(1);
  });

  test("ledgers in one database do not see each other", async () => {
    const { store } = await emptyStore();
    const other = new Uint8Array(32).fill(7);
    await store.takeOver(testLedger);
    await store.takeOver(other);
    const rows = { entries: [entryRow(0, 6, receiptId(1))], movements: [movement("one")] };
    unwrap(await store.append(batchOf({ ...rows, idempotency: [idempotency("k")] })));
    unwrap(await store.append(batchOf({ ...rows, ledger: other, entries: [entryRow(0, 6, receiptId(1), 500)] })));
    expect((await entriesOf(store, 0, 9)).map(({ bytes }) => bytes.length)).toEqual([220]);
    expect((await entriesOf(store, 0, 9, other)).map(({ bytes }) => bytes.length)).toEqual([500]);
    expect(await store.idempotency(other, "acct_a", "k")).toBeUndefined();
    expect(unwrap(await store.takeOver(other))).toMatchObject({ term: 2, lastSeq: 0 });
    expect(unwrap(await store.takeOver(testLedger))).toMatchObject({ term: 2, lastSeq: 0 });
  });
});

describe("a takeover", () => {
  test("waits for an append that is under way, and sees what it wrote", async () => {
    const { store, database } = await emptyStore();
    await store.takeOver(testLedger);
    const release = await lockEntries(database);
    const append = store.append(batchOf({ entries: [entryRow(0)] }));
    await blocked(database, 1);
    const taken = store.takeOver(testLedger);
    await blocked(database, 2);
    await release();
    expect(await append).toEqual({ ok: true, value: undefined });
    expect(unwrap(await taken)).toMatchObject({ term: 2, lastSeq: 0 });
  });

  test("of many at once gives each its own term", async () => {
    const { store } = await emptyStore();
    const taken = await Promise.all(Array.from({ length: 6 }, () => store.takeOver(testLedger)));
    expect(taken.map((one) => unwrap(one).term).sort()).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test("among appends: the journal goes on exactly where it was read", async () => {
    const { store } = await emptyStore();
    let { term } = unwrap(await store.takeOver(testLedger));
    for (let round = 0; round < 10; round++) {
      const { lastSeq } = unwrap(await store.takeOver(testLedger));
      term += 1;
      const writing = appendUntilFenced(store, term, lastSeq + 1);
      await new Promise((resolve) => setTimeout(resolve, round * 3));
      const taken = unwrap(await store.takeOver(testLedger));
      term = taken.term;
      expect(await writing).toBe(taken.lastSeq);
    }
  });
});

describe("settling", () => {
  test("waits out an append whose connection was lost, until the server has ended it", async () => {
    const { store, database } = await emptyStore();
    await store.takeOver(testLedger);
    const batch = batchOf({ entries: [entryRow(0)] });
    const release = await lockEntries(database);
    void store.append(batch);
    await blocked(database, 1);
    let settled: unknown;
    const settling = store.settle(batch).then((outcome) => {
      settled = outcome;
    });
    await blocked(database, 2);
    expect(settled).toBeUndefined();
    await release();
    await settling;
    expect(settled).toEqual({ ok: true, value: "written" });
  });
});

describe("a lost connection", () => {
  test.each(["waiting for its lock", "in its place, writing"])(
    "%s: refused as unavailable, and can be settled",
    async (when) => {
      const { store, database } = await emptyStore();
      await store.takeOver(testLedger);
      const release =
        when === "waiting for its lock"
          ? await locked(database, "SELECT 1 FROM ledger.shard FOR UPDATE")
          : await lockEntries(database);
      const batch = batchOf({ entries: [entryRow(0)] });
      const append = store.append(batch);
      await blocked(database, 1);
      await command(
        database,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
      );
      expect(await append).toMatchObject({ ok: false, error: { code: "store_unavailable" } });
      await release();
      expect(await store.settle(batch)).toEqual({ ok: true, value: "absent" });
      unwrap(await store.append(batch));
      expect(await store.settle(batch)).toEqual({ ok: true, value: "written" });
    },
  );

  test("idle: the next call is served by a new one", async () => {
    const { store, database } = await emptyStore();
    await store.takeOver(testLedger);
    await command(
      database,
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    await expect.poll(() => store.append(batchOf({ entries: [entryRow(0)] }))).toMatchObject({ ok: true });
    expect(await entriesOf(store, 0, 9)).toHaveLength(1);
  });

  test("for good: writes are refused, reads throw", async () => {
    const { store, database } = await emptyStore();
    await store.takeOver(testLedger);
    await database.drop();
    const unavailable = { ok: false, error: { code: "store_unavailable" } };
    expect(await store.takeOver(testLedger)).toMatchObject(unavailable);
    expect(await store.append(batchOf({ entries: [entryRow(0)] }))).toMatchObject(unavailable);
    expect(await store.settle(batchOf({ entries: [entryRow(0)] }))).toMatchObject(unavailable);
    await expect(store.receipt(testLedger, receiptId(1))).rejects.toThrow();
  });
});

describe("opening", () => {
  test("several nodes at once make the schema once", async () => {
    const { database } = await emptyStore();
    const stores = await Promise.all(Array.from({ length: 5 }, () => open(database)));
    await stores[0]!.takeOver(testLedger);
    expect(unwrap(await stores[4]!.takeOver(testLedger)).term).toBe(2);
  });

  test("a schema of a newer program is refused", async () => {
    const { database } = await emptyStore();
    await command(database, "INSERT INTO ledger.migration (step) VALUES (999)");
    expect(await openLedgerStore(database)).toMatchObject({ ok: false, error: { code: "store_unavailable" } });
  });

  test.each(["postgres://nobody@127.0.0.1:1/none", "postgres://nobody@host.invalid/none"])(
    "%s is refused",
    async (url) => {
      expect(await openLedgerStore({ url })).toMatchObject({ ok: false, error: { code: "store_unavailable" } });
    },
  );
});

async function emptyStore(): Promise<{ readonly store: OpenLedgerStore; readonly database: TestDatabase }> {
  const database = await testDatabase();
  onTestFinished(() => database.drop());
  return { store: await open(database), database };
}

async function open(database: TestDatabase): Promise<OpenLedgerStore> {
  const store = unwrap(await openLedgerStore(database));
  onTestFinished(() => store.close());
  return store;
}

/** Appends one entry after the other; the last seq that was acknowledged. */
async function appendUntilFenced(store: OpenLedgerStore, term: number, from: number): Promise<number> {
  for (let seq = from; ; seq++) {
    const outcome = await store.append(batchOf({ term, entries: [entryRow(seq)] }));
    if (outcome.ok) continue;
    expect(outcome.error.code).toBe("writer_fenced");
    return seq - 1;
  }
}

function movement(reference: string) {
  const fixed = { kind: "grant", party: "acct_a", amount: 5, block: 0, note: "", timeMs: 1 } as const;
  return { ...fixed, reference };
}

function idempotency(key: string) {
  return { account: "acct_a", key, bodyHash: new Uint8Array(32), receipt: receiptId(1), response: undefined };
}

/** Appends from seq 0 stop between taking their place in the ledger and writing their entries, until this is released: the same seq is being written. */
function lockEntries(database: TestDatabase): Promise<() => Promise<void>> {
  return locked(
    database,
    "INSERT INTO ledger.entry (ledger, seq, kind, bytes) SELECT ledger, 0, 1, '' FROM ledger.shard",
  );
}

async function locked(database: TestDatabase, text: string): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: database.url });
  client.on("error", () => undefined);
  await client.connect();
  await client.query("BEGIN");
  await client.query(text);
  return () => client.end();
}

/** Waits until so many sessions wait for locks. */
async function blocked(database: TestDatabase, count: number): Promise<void> {
  const text =
    "SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
  await expect.poll(() => command(database, text), { interval: 20, timeout: 5_000 }).toEqual([{ n: count }]);
}

async function command(database: TestDatabase, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}
