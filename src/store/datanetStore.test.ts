import { randomBytes } from "node:crypto";
import pg from "pg";
import { describe, expect, onTestFinished, test } from "vitest";
import { type TestDatabase, testDatabase } from "../../test/support/testDatabase.ts";
import { type Hex, toHex } from "../core/bytes.ts";
import { unwrap } from "../core/result.ts";
import { applyProof, type Binding } from "../datanets/binding.ts";
import { structuringContext } from "../datanets/context.ts";
import { createDatanet, type Datanet } from "../datanets/datanet.ts";
import { publishVersion, submitContribution } from "../datanets/intake.ts";
import { type DatanetRecord, sealRecord } from "../datanets/record.ts";
import { describeDatanetStore } from "../datanets/storeSuite.ts";
import { buildVersion } from "../datanets/version.ts";
import { type OpenDatanetStore, openDatanetStore } from "./datanetStore.ts";

describeDatanetStore("PostgreSQL", async () => {
  const database = await testDatabase();
  const store = unwrap(await openDatanetStore(database));
  return {
    store,
    close: async () => {
      await store.close();
      await database.drop();
    },
  };
});

describe("opening", () => {
  test("what one process wrote, the next reads to the letter", async () => {
    const database = await emptyDatabase();
    const first = await open(database);
    const datanet = await given(first, "net", "open");
    const odd = 'tab\t "quoted" back\\slash {brace} NULL 𝕌nicode \u0000 end';
    const put = [record(odd), record("plain")];
    const contribution = { ...contributionOf(put), status: "approved" as const };
    const written = unwrap(await first.addContribution({ contribution, records: put }));
    const { version } = unwrap(await publishVersion(first, "net", owner, 10));
    const binding = bindingOf(datanet.id, 1);
    unwrap(await first.saveBinding("net", undefined, binding));
    const records = await first.contributionRecords("net", written.id);
    await first.close();

    const second = await open(database);
    expect(await second.datanets()).toEqual([datanet]);
    expect(await second.datanetSecret("net")).toEqual(secret);
    expect(await second.contributions("net")).toEqual([written]);
    expect(records).toEqual(put);
    expect(await second.contributionRecords("net", written.id)).toEqual(records);
    expect(await second.version("net")).toEqual(version);
    expect(await second.versionRecords("net", 1)).toEqual(records);
    expect(await second.context(version.context)).toMatchObject({ id: version.context, owner });
    expect(await second.bindings("net")).toEqual([binding]);
  });

  test("several nodes at once make the schema once, and agree", async () => {
    const database = await emptyDatabase();
    const stores = await Promise.all(Array.from({ length: 5 }, () => open(database)));
    await given(stores[0]!, "net");
    for (const store of stores) expect((await store.datanets()).map(({ name }) => name)).toEqual(["net"]);
  });

  test("a schema of a newer program is refused and left alone", async () => {
    const database = await emptyDatabase();
    await (await open(database)).close();
    await command(database.url, "INSERT INTO datanets.migration (step) VALUES (999)");
    expect(await openDatanetStore(database)).toMatchObject({ ok: false, error: { code: "store_unavailable" } });
  });

  test("a schema that somebody else made is refused and left alone", async () => {
    const database = await emptyDatabase();
    await command(database.url, "CREATE SCHEMA datanets");
    await command(database.url, "CREATE TABLE datanets.theirs (n integer)");
    const refused = await openDatanetStore(database);
    expect(refused).toMatchObject({ ok: false, error: { code: "store_unavailable" } });
    expect(refused).toHaveProperty(
      "error.message",
      'the database has a schema "datanets" that OpenLedger did not make',
    );
    await command(database.url, "DROP TABLE datanets.theirs");
    await (await open(database)).close();
  });

  test.each([
    ["nobody listens", "postgres://nobody@127.0.0.1:1/none", "store_unavailable"],
    ["an address that is none", "postgres://nobody@host.invalid/none", "store_unavailable"],
    ["a text that is no URL", "notaurl", "invalid_request"],
    ["another kind of URL", "http://127.0.0.1/none", "invalid_request"],
    ["a port that is none", "postgres://nobody@127.0.0.1:99999/none", "invalid_request"],
  ])("%s: refused", async (_, url, code) => {
    expect(await openDatanetStore({ url })).toMatchObject({ ok: false, error: { code } });
  });
});

describe("two at once", () => {
  test("contributions are numbered without gaps or doubles", async () => {
    const database = await emptyDatabase();
    const [one, two] = [await open(database), await open(database)];
    await given(one, "net");
    const added = await Promise.all(
      Array.from({ length: 12 }, (_, i) => submit(i % 2 === 0 ? one : two, "net", [`title${i}`])),
    );
    expect(added.map(({ number }) => number).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 12 }, (_, i) => i + 1),
    );
    expect((await two.contributions("net")).map(({ number }) => number)).toEqual(
      Array.from({ length: 12 }, (_, i) => i + 1),
    );
  });

  test("the same contribution, the same name, the same version, the same binding: one is taken", async () => {
    const database = await emptyDatabase();
    const stores = [await open(database), await open(database), await open(database)];
    const codes = async (act: (store: OpenDatanetStore) => Promise<{ ok: boolean; error?: { code: string } }>) =>
      (await Promise.all(stores.map(act))).map((result) => result.error?.code ?? "taken").sort();
    const datanet = unwrap(
      createDatanet({ name: "net", summary: "A datanet", licence: "MIT", rules: { review: "open" } }, owner, 1),
    );
    expect(await codes((store) => store.createDatanet(datanet, secret))).toEqual([
      "already_exists",
      "already_exists",
      "taken",
    ]);
    expect(await codes((store) => submitContribution(store, "net", draft(["alpha"]), 3))).toEqual([
      "already_exists",
      "already_exists",
      "taken",
    ]);
    expect(await codes((store) => publishVersion(store, "net", owner, 10))).toEqual(["conflict", "conflict", "taken"]);
    const [current, next] = [bindingOf(datanet.id, 1), bindingOf(datanet.id, 2)];
    expect(await codes((store) => store.saveBinding("net", undefined, current))).toEqual([
      "conflict",
      "conflict",
      "taken",
    ]);
    expect(await codes((store) => store.saveBinding("net", current, next))).toEqual(["conflict", "conflict", "taken"]);
    expect(await stores[0]!.versions("net")).toHaveLength(1);
    expect(await stores[0]!.bindings("net")).toEqual([next]);
  });
});

describe("what cannot be there", () => {
  test("is not found: no question from outside brings the store down", async () => {
    const store = await open(await emptyDatabase());
    await given(store, "net", "open");
    await submit(store, "net", ["alpha"]);
    unwrap(await publishVersion(store, "net", owner, 10));
    expect(await store.datanet("n\u0000t")).toBeUndefined();
    expect(await store.binding("net", "npm:\u0000")).toBeUndefined();
    for (const number of [0, -1, 1.5, 2 ** 31, 2 ** 53, Number.NaN]) {
      expect(await store.version("net", number)).toBeUndefined();
      expect(await store.versionRecords("net", number)).toEqual([]);
    }
    const lost = await store.decide("n\u0000t", unknownId, {
      decision: "approve",
      reason: "well made",
      by: "ann",
      timeMs: 5,
    });
    expect(lost).toMatchObject({ ok: false, error: { code: "not_found" } });
  });

  test("a bug is not dressed up as a passing state", async () => {
    const store = await open(await emptyDatabase());
    await given(store, "net");
    const broken = {
      contribution: { ...contributionOf([]), datanet: "net" },
      records: [{ ...record("alpha"), id: unknownId }],
    };
    await expect(store.addContribution(broken)).rejects.toThrow("broken invariant");
    expect(await store.contributions("net")).toEqual([]);
  });

  test("a version's records are kept with it, also where no contribution put them in", async () => {
    const store = await open(await emptyDatabase());
    const datanet = await given(store, "net");
    const context = unwrap(structuringContext(owner));
    const contribution = { ...contributionOf([record("alpha")]), number: 1, status: "approved" as const };
    const approved = [{ contribution, records: [record("alpha")] }];
    const built = unwrap(buildVersion({ datanet, previous: undefined, context: context.id, approved, timeMs: 5 }));
    await expect(store.addVersion({ ...built, records: [] }, context)).rejects.toThrow("broken invariant");
    unwrap(await store.addVersion(built, context));
    expect(await store.versionRecords("net", 1)).toEqual(built.records);
  });
});

describe("size", () => {
  test("20,000 records go in by the bulk, and equal content is kept once", { timeout: 60_000 }, async () => {
    const database = await emptyDatabase();
    const store = await open(database);
    await given(store, "first");
    await given(store, "second");
    const filler = "a sentence like those that stand in documentation. ".repeat(18);
    const records = Array.from({ length: 20_000 }, (_, i) => record(`title${i}`, `${i} ${filler}`));
    for (const datanet of ["first", "second"])
      unwrap(await store.addContribution({ contribution: { ...contributionOf(records), datanet }, records }));
    expect(await store.contributionRecords("second", unknownId)).toEqual(records);
    expect(await command(database.url, "SELECT count(*)::int FROM datanets.content")).toEqual([20_000]);
  });
});

const owner: Hex = `0x${"aa".repeat(32)}`;
const unknownId: Hex = `0x${"00".repeat(32)}`;
const secret = new Uint8Array(32).fill(7);

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

async function given(
  store: OpenDatanetStore,
  name: string,
  review: "open" | "required" = "required",
): Promise<Datanet> {
  const rules = { review, charactersMin: 1 };
  const made = createDatanet({ name, summary: "A datanet for tests", licence: "CC0-1.0", rules }, owner, 1);
  return unwrap(await store.createDatanet(unwrap(made), secret));
}

function content(
  title: string,
  text = Array.from({ length: 12 }, (_, i) => `${title}${i} is said of ${title} here`).join(", "),
) {
  const authors = [{ identity: "npm:someone", name: "Someone" }];
  return { title, headingPath: ["Top", title], text, source: `test ${title}`, licence: "MIT", date: null, authors };
}

function record(title: string, text?: string): DatanetRecord {
  return sealRecord(content(title, text), unknownId);
}

function contributionOf(records: readonly DatanetRecord[]) {
  const fixed = {
    id: unknownId,
    datanet: "net",
    by: "npm:someone",
    label: "all",
    licence: "MIT",
    status: "pending" as const,
  };
  return { ...fixed, records: records.length, decision: null, notes: [], submittedMs: 3 };
}

function draft(titles: readonly string[]) {
  return { by: "npm:someone", label: titles[0]!, licence: "MIT", records: titles.map((title) => content(title)) };
}

async function submit(store: OpenDatanetStore, name: string, titles: readonly string[]) {
  return unwrap(await submitContribution(store, name, draft(titles), 3)).contribution;
}

function bindingOf(datanet: Hex, timeMs: number): Binding {
  const proof = {
    ...{
      kind: "fundingFile" as const,
      action: "bind" as const,
      datanet,
      ledger: unknownId,
      identity: "repo:github.com/a/b",
    },
    ...{ address: toHex(new Uint8Array(20).fill(timeMs)), hash: toHex(randomBytes(32)), evidence: "c0ffee" },
  };
  return unwrap(applyProof(undefined, proof, { noticeMs: 10, timeMs }));
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
