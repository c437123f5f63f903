import { connect, createServer, type Socket } from "node:net";
import pg from "pg";
import { describe, expect, onTestFinished, test } from "vitest";
import { type TestDatabase, testDatabase } from "../../test/support/testDatabase.ts";
import type { Hex } from "../core/bytes.ts";
import { RefusalError, unwrap } from "../core/result.ts";
import type { Binding } from "../datanets/binding.ts";
import { createDatanet, type Datanet } from "../datanets/datanet.ts";
import { sealRecord } from "../datanets/record.ts";
import { type OpenDatanetStore, openDatanetStore } from "./datanetStore.ts";

describe("PostgreSQL: two writers", () => {
  test("of the same records in opposite orders never wait for each other for ever", async () => {
    const database = await emptyDatabase();
    const store = await open(database);
    await given(store);
    await given(store, "other");
    const titles = Array.from({ length: 9 }, (_, i) => `title${i}`);
    const middle = recordsOf(titles)[4]!;
    // Somebody else holds the middle one, so that each writer has stored its first ones before either goes on.
    const release = await holdLock(database, `INSERT INTO datanets.content VALUES ('${middle.id}', '{}')`);
    const waiting = Promise.all([add(store, "net", titles), add(store, "other", titles.toReversed())]);
    await expect.poll(() => command(database.url, blockedSessions), { interval: 20 }).toEqual([2]);
    await release();
    expect(await waiting).toMatchObject([{ ok: true }, { ok: true }]);
    expect(await store.contributionRecords("net", unknownId)).toEqual(recordsOf(titles));
    expect(await store.contributionRecords("other", unknownId)).toEqual(recordsOf(titles.toReversed()));
  });
});

describe("PostgreSQL: a lost connection", () => {
  test("idle: the next call is served by a new one", async () => {
    const database = await emptyDatabase();
    const store = await open(database);
    await given(store);
    await endSessions(database);
    await expect
      .poll(() =>
        store.datanets().then(
          (all) => all.length,
          () => -1,
        ),
      )
      .toBe(1);
  });

  test("in a transaction: refused, nothing half written, and it can be done again", async () => {
    const database = await emptyDatabase();
    const store = await open(database);
    await given(store);
    const release = await holdLock(database, "SELECT 1 FROM datanets.datanet WHERE name = 'net' FOR UPDATE");
    const waiting = add(store);
    await expect.poll(() => command(database.url, blockedSessions), { interval: 20 }).toEqual([1]);
    await endSessions(database, "AND wait_event_type = 'Lock'");
    expect(await waiting).toMatchObject({ ok: false, error: { code: "store_unavailable" } });
    await release();
    expect(await store.contributions("net")).toEqual([]);
    expect(unwrap(await add(store))).toMatchObject({ number: 1 });
  });

  test("cut in a transaction, without a word from the server: refused, and the process lives on", async () => {
    const database = await emptyDatabase();
    await given(await open(database));
    const line = await lineTo(database.url);
    const store = await open({ ...database, url: line.url });
    const release = await holdLock(database, "SELECT 1 FROM datanets.datanet WHERE name = 'net' FOR UPDATE");
    const waiting = add(store);
    await expect.poll(() => command(database.url, blockedSessions), { interval: 20 }).toEqual([1]);
    line.cut();
    expect(await waiting).toMatchObject({ ok: false, error: { code: "store_unavailable" } });
    await release();
    expect(unwrap(await add(store))).toMatchObject({ number: 1 });
  });

  test("for good: writes are refused, reads throw the refusal", async () => {
    const database = await testDatabase();
    const store = await open(database);
    const datanet = await given(store);
    await database.drop();
    const unavailable = { ok: false, error: { code: "store_unavailable" } };
    expect(await store.createDatanet(datanet, new Uint8Array(32))).toMatchObject(unavailable);
    expect(await store.saveBinding("net", undefined, binding)).toMatchObject(unavailable);
    const reads = [
      store.datanet("net"),
      store.datanets(),
      store.datanetSecret("net"),
      store.contribution("net", unknownId),
      store.contributions("net"),
      store.contributionRecords("net", unknownId),
      store.version("net"),
      store.versions("net"),
      store.versionRecords("net", 1),
      store.context(unknownId),
      store.binding("net", "npm:a"),
      store.bindings("net"),
    ];
    for (const outcome of await Promise.allSettled(reads)) {
      expect(outcome).toMatchObject({ status: "rejected", reason: { refusal: { code: "store_unavailable" } } });
      expect(outcome.status === "rejected" && outcome.reason instanceof RefusalError).toBe(true);
    }
  });
});

const unknownId: Hex = `0x${"00".repeat(32)}`;
const zeros = { datanet: unknownId, ledger: unknownId, proofHash: unknownId };
const binding: Binding = {
  ...zeros,
  ...{ identity: "npm:a", state: "refused", to: null, noticedMs: 0, noticeEndsMs: 0, changedMs: 1 },
};
const blockedSessions =
  "SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";

async function given(store: OpenDatanetStore, name = "net"): Promise<Datanet> {
  const made = createDatanet({ name, summary: "A datanet for tests", licence: "CC0-1.0" }, unknownId, 1);
  return unwrap(await store.createDatanet(unwrap(made), new Uint8Array(32)));
}

function recordsOf(titles: readonly string[]) {
  const same = { headingPath: [], text: "text", source: "test", licence: "MIT", date: null, authors: [] };
  return titles.map((title) => sealRecord({ title, ...same }, unknownId));
}

function add(store: OpenDatanetStore, datanet = "net", titles: readonly string[] = ["alpha"]) {
  const contribution = {
    ...{ id: unknownId, datanet, by: "npm:someone", label: "all", licence: "MIT", records: titles.length },
    ...{ status: "pending" as const, decision: null, notes: [], submittedMs: 3 },
  };
  return store.addContribution({ contribution, records: recordsOf(titles) });
}

async function emptyDatabase(): Promise<TestDatabase> {
  const database = await testDatabase();
  onTestFinished(() => database.drop());
  return database;
}

async function open(database: TestDatabase): Promise<OpenDatanetStore> {
  const store = unwrap(await openDatanetStore(database));
  let closed: Promise<void> | undefined;
  const end = store.close.bind(store);
  const close = () => (closed ??= end());
  onTestFinished(close);
  return Object.assign(store, { close });
}

/** Every value of every row, one after the other. */
async function command(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query({ text, rowMode: "array" })).rows.flat();
  } finally {
    await client.end();
  }
}

function endSessions(database: TestDatabase, which = ""): Promise<unknown[]> {
  return command(
    database.url,
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() ${which}`,
  );
}

async function holdLock(database: TestDatabase, text: string): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await client.query("BEGIN");
  await client.query(text);
  return () => client.end();
}

/** A way to the server that can be cut; after the cut new connections pass again. */
async function lineTo(url: string): Promise<{ url: string; cut(): void }> {
  const target = new URL(url);
  const port = Number(target.port);
  const ends = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(port, target.hostname);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      ends.add(from);
      from.on("error", () => undefined).on("close", () => to.destroy());
      from.pipe(to);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const address = server.address();
  target.port = String(typeof address === "object" && address !== null ? address.port : 0);
  return {
    url: target.href,
    cut: () => {
      for (const end of ends) end.destroy();
    },
  };
}
