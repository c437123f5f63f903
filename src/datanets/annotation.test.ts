import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Result, unwrap } from "../core/result.ts";
import type { Annotation } from "./annotation.ts";
import { Bm25Index } from "./bm25.ts";
import { createDatanet } from "./datanet.ts";
import { exportDatanet } from "./export.ts";
import { importExport } from "./importExport.ts";
import { folderSink } from "./importFolderSink.ts";
import { annotateRecord, publishVersion, submitContribution } from "./intake.ts";
import { MemoryDatanetStore } from "./memoryStore.ts";
import type { RecordContent } from "./record.ts";

const owner = `0x${"11".repeat(32)}` as const;
const [ann, ben] = ["git:ann@example.org", "git:ben@example.org"];
let place = "";

/** Changes the versions of an export, with the checksum that makes the change pass for the whole. */
async function rewrite(folder: string, text: string): Promise<void> {
  await writeFile(join(folder, "versions.jsonl"), text);
  const metadata = await readFile(join(folder, "metadata.json"), "utf8");
  const at = metadata.indexOf('"sha256": "', metadata.indexOf('"contentUrl": "versions.jsonl"')) + 11;
  const sum = createHash("sha256").update(text).digest("hex");
  await writeFile(join(folder, "metadata.json"), metadata.slice(0, at) + sum + metadata.slice(at + 64));
}
beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), "openledger-annotations-"));
});
afterAll(() => rm(place, { recursive: true, force: true }));

const contentOf = (title: string, text: string): RecordContent => ({
  ...{ title, headingPath: ["Machines"], text, source: `page ${title}`, licence: "MIT", date: null },
  authors: [{ identity: ann, name: "Ann" }],
});
const pages = [
  contentOf("Kettle", "Fill it with vinegar and water, wait an hour, and rinse it three times."),
  contentOf("Press", "Grind coarsely, pour, stir after a minute, and push the plunger down slowly."),
  contentOf("Pump", "Open the valve until water runs out, then close it while the motor still turns."),
];

async function opened(review: "open" | "required" = "open") {
  const store = new MemoryDatanetStore();
  const draft = { name: "net", summary: "machines", licence: "MIT", rules: { review } };
  unwrap(await store.createDatanet(unwrap(createDatanet(draft, owner, 1)), new Uint8Array(32).fill(1)));
  const { contribution } = unwrap(
    await submitContribution(store, "net", { by: owner, label: "all", licence: "MIT", records: pages }, 2),
  );
  if (review === "required")
    unwrap(await store.decide("net", contribution.id, { decision: "approve", reason: "good", by: owner, timeMs: 3 }));
  const { records } = unwrap(await publishVersion(store, "net", owner, 3));
  const say = (at: number, text: string, by = ben, from?: number): Promise<Result<Annotation>> =>
    annotateRecord(
      store,
      "net",
      {
        ...{ by: by!, record: records[at]!.id, text },
        ...(from === undefined ? {} : { from: records[from]!.id }),
      },
      4,
    );
  return { store, records, say };
}

const found = (
  records: readonly (RecordContent & { readonly notes?: readonly { readonly text: string }[] })[],
  question: string,
) => new Bm25Index(records).search(question, 3).hits.map(({ record }) => record);

test("what is added counts from the next version on; records, versions and ids before it stay what they are", async () => {
  const { store, records, say } = await opened();
  expect(found(records, "how to descale limescale")).toEqual([]);
  unwrap(await say(0, "descaling: removes limescale"));
  expect(await store.versionRecords("net", 1)).toEqual(records);
  const { version } = unwrap(await publishVersion(store, "net", owner, 5));
  const now = await store.versionRecords("net", 2);
  expect(now.map(({ id }) => id)).toEqual(records.map(({ id }) => id));
  expect(now[0]!.notes).toEqual([{ by: ben, text: "descaling: removes limescale" }]);
  expect(found(now, "how to descale limescale")).toEqual([0]);
  const [first] = await store.versions("net");
  expect([
    version.contentRoot === first!.contentRoot,
    version.context === first!.context,
    version.id === first!.id,
  ]).toEqual([true, false, false]);
  expect(await publishVersion(store, "net", owner, 6)).toMatchObject({ error: { code: "conflict" } });
  expect((await store.version("net", 1))!.annotations).toBeUndefined();
});

test("a link's words lead to the record that it names", async () => {
  const { store, say } = await opened();
  unwrap(await say(2, "when the press stays dry", ben, 1));
  unwrap(await publishVersion(store, "net", owner, 5));
  expect(found(await store.versionRecords("net", 2), "the press stays dry")[0]).toBe(2);
});

test.each([
  ["says nothing", 0, "  a ", ben, undefined, "invalid_request"],
  ["says too much", 0, "word ".repeat(80), ben, undefined, "invalid_request"],
  ["says what cannot be printed", 0, "abc\u0007def", ben, undefined, "invalid_request"],
  [
    "says the title again, in other letters",
    0,
    "The KETTLE? machines!".replace("The ", ""),
    ben,
    undefined,
    "already_exists",
  ],
  ["leads from a record to itself", 0, "descaling", ben, 0, "invalid_request"],
  ["is by nobody", 0, "descaling", " ", undefined, "invalid_request"],
] as const)("an annotation that %s is refused", async (_what, at, text, by, from, code) => {
  const { store, say } = await opened();
  expect(await say(at, text, by, from)).toMatchObject({ ok: false, error: { code } });
  expect(await store.annotations("net")).toEqual([]);
});

test("who says again what somebody has said is refused, whoever it is; what was rejected may be said by others", async () => {
  const { store, say } = await opened("required");
  const { id } = unwrap(await say(0, "descaling, limescale"));
  for (const text of ["Limescale: DESCALING", "limescale"])
    expect(await say(0, text, ann)).toMatchObject({ error: { code: "already_exists" } });
  const decision = { decision: "reject", reason: "not so", by: owner, timeMs: 9 } as const;
  expect(await store.decideAnnotation("net", id, { ...decision, by: ben! })).toMatchObject({
    error: { code: "forbidden" },
  });
  unwrap(await store.decideAnnotation("net", id, decision));
  unwrap(await say(0, "limescale", ann));
  for (let i = 0; i < 15; i++) unwrap(await say(0, `word${i} more${i}`));
  expect(await say(0, "one too many")).toMatchObject({ error: { code: "rule_violated" } });
  // Nothing is approved, so nothing has changed.
  expect(await publishVersion(store, "net", owner, 5)).toMatchObject({ error: { code: "conflict" } });
});

test("an export carries what was added, and any change of it is noticed", () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(2), fc.stringMatching(/^[a-z]{4,9}$/)), { maxLength: 5 }),
      fc.nat(3),
      async (added, change) => {
        const { store, say } = await opened();
        let count = 0;
        for (const [at, text] of added) if ((await say(at, text)).ok) count += 1;
        const published = await publishVersion(store, "net", owner, 5);
        expect(published.ok).toBe(count > 0);
        const folder = await mkdtemp(join(place, "e-"));
        const { folder: written } = unwrap(
          await exportDatanet(store, "net", await folderSink(join(folder, "x")), "urn:test"),
        );
        const copy = new MemoryDatanetStore();
        unwrap(await importExport(copy, written, new Uint8Array(32).fill(2)));
        const number = (await store.version("net"))!.number;
        expect(await copy.versionRecords("net", number)).toEqual(await store.versionRecords("net", number));
        if (count === 0) return;
        const path = join(written, "versions.jsonl");
        const lines = (await readFile(path, "utf8")).trim().split("\n");
        const version: { annotations: { text: string; by: string }[] } = JSON.parse(lines.at(-1)!);
        if (change === 0) version.annotations[0]!.text = "other words";
        else if (change === 1) version.annotations[0]!.by = ann!;
        else if (change === 2) version.annotations.pop();
        else version.annotations.push(version.annotations[0]!);
        await rewrite(written, `${[...lines.slice(0, -1), JSON.stringify(version)].join("\n")}\n`);
        expect(await importExport(new MemoryDatanetStore(), written, new Uint8Array(32))).toMatchObject({
          error: { code: "verification_failed" },
        });
      },
    ),
    { numRuns: 20 },
  ));
