import { randomBytes } from "node:crypto";
import pg from "pg";
import { expect, onTestFinished, test } from "vitest";
import { unwrap } from "../../src/core/result.ts";
import type { OpenLedger } from "../../src/ledger/openLedger.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../../src/store/embedded.ts";
import { type OpenLedgerStore, openLedgerStore } from "../../src/store/ledgerStore.ts";
import { temporaryFolder } from "../support/folders.ts";
import { testDatabase } from "../support/testDatabase.ts";
import { Witness } from "./crashChecks.ts";
import { openCrashLedger, postOne, prepare } from "./crashLedger.ts";

test("PostgreSQL killed -9 while receipts are posted: the writer goes on, each is there once", {
  timeout: 90_000,
}, async () => {
  const server = unwrap(
    await startEmbeddedPostgres({ data: await temporaryFolder(), randomBytes, onEvent: () => undefined }),
  );
  onTestFinished(() => server.stop());
  const store = await openStore(server.url);
  const witness = new Witness("server");
  const ledger = unwrap(await openCrashLedger("server", store));
  const posting = startPosting("server", ledger, witness);
  for (let kill = 0; kill < 3; kill++) {
    await posting.more(60);
    await killServer(server);
    await posting.more(20);
  }
  await posting.end();
  await ledger.close();
  await witness.check(store);
  expect(posting.refusals).toEqual([]);
});

test("connections cut in the middle of appends: nothing is refused, and each receipt is there once", {
  timeout: 60_000,
}, async () => {
  const { url } = await emptyDatabase();
  const store = await openStore(url);
  const witness = new Witness("cuts");
  const ledger = unwrap(await openCrashLedger("cuts", store));
  const posting = startPosting("cuts", ledger, witness);
  const cuts = new pg.Client({ connectionString: url });
  await cuts.connect();
  let cut = 0;
  for (let round = 0; round < 8; round++) {
    await posting.more(10);
    cut += await cutUntil(cuts);
  }
  await posting.end();
  await cuts.end();
  await ledger.close();
  await witness.check(store);
  expect(posting.refusals).toEqual([]);
  expect(cut).toBeGreaterThanOrEqual(8);
});

test("a stale writer in the middle of its work can append nothing after the takeover", {
  timeout: 60_000,
}, async () => {
  const { url } = await emptyDatabase();
  const [witness, stores] = [new Witness("stale"), [await openStore(url), await openStore(url)]];
  let ledger = unwrap(await openCrashLedger("stale", stores[0]!));
  for (let round = 1; round <= 12; round++) {
    const posting = startPosting("stale", ledger, witness, `${round}`);
    await posting.more(5 + round * 3);
    const next = unwrap(await openCrashLedger("stale", stores[round % 2]!));
    const size = next.books.size();
    await posting.end();
    expect(posting.refusals.length).toBeGreaterThan(0);
    expect([...new Set(posting.refusals)]).toEqual(["writer_fenced"]);
    expect(unwrap(await openCrashLedger("stale", stores[0]!)).books.size()).toBe(size);
    await witness.check(stores[0]!);
    ledger = unwrap(await openCrashLedger("stale", stores[round % 2]!));
  }
});

interface Posting {
  /** Codes of what was refused. A lane that is refused posts nothing more. */
  readonly refusals: string[];
  /** Waits until so many more are acknowledged. */
  more(count: number): Promise<void>;
  end(): Promise<void>;
}

/** Eight lanes that post until they are told to end. */
function startPosting(name: string, ledger: OpenLedger, witness: Witness, run = "0"): Posting {
  const refusals: string[] = [];
  let [isEnding, count, acknowledged] = [false, 0, 0];
  const lane = async (account: string): Promise<void> => {
    while (!isEnding) {
      const key = `${run}-${count++}`;
      witness.try(key);
      const posted = await postOne(name, ledger, account, key);
      if (!posted.ok) {
        refusals.push(posted.error.code);
        return;
      }
      acknowledged += 1;
      witness.acknowledge(key, Buffer.from(posted.value.receipt.id).toString("hex"));
    }
  };
  const all = prepare(name, ledger).then(({ id }) => Promise.all(Array.from({ length: 8 }, () => lane(id))));
  const more = async (wanted: number): Promise<void> => {
    const goal = acknowledged + wanted;
    await expect.poll(() => acknowledged >= goal || refusals.length > 0, { interval: 2, timeout: 30_000 }).toBe(true);
  };
  const end = async (): Promise<void> => {
    isEnding = true;
    await all;
  };
  return { refusals, more, end };
}

/** Kills the server as the kernel would, and waits until its supervisor has another. */
async function killServer(server: EmbeddedPostgres): Promise<void> {
  const pid = server.pid()!;
  process.kill(pid, "SIGKILL");
  await expect.poll(() => server.pid() !== undefined && server.pid() !== pid, { timeout: 30_000 }).toBe(true);
}

/** Ends sessions that are in a transaction until one was caught. How many were. */
async function cutUntil(client: pg.Client): Promise<number> {
  for (;;) {
    const { rowCount } = await client.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND pid <> pg_backend_pid() AND (state LIKE 'idle in%' OR state = 'active')`,
    );
    if (rowCount !== null && rowCount > 0) return rowCount;
  }
}

async function emptyDatabase(): Promise<{ readonly url: string }> {
  const database = await testDatabase();
  onTestFinished(() => database.drop());
  return database;
}

async function openStore(url: string): Promise<OpenLedgerStore> {
  const store = unwrap(await openLedgerStore({ url }));
  onTestFinished(() => store.close());
  return store;
}
