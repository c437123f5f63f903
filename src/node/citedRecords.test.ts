import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { batchesOf } from "../cli/commands/datanetImport.ts";
import { toHex } from "../core/bytes.ts";
import { unwrap } from "../core/result.ts";
import { prepareContribution } from "../datanets/contribution.ts";
import { createDatanet } from "../datanets/datanet.ts";
import { exportDatanet } from "../datanets/export.ts";
import { identityPayeeId } from "../datanets/identity.ts";
import { importExport } from "../datanets/importExport.ts";
import { folderSink } from "../datanets/importFolderSink.ts";
import { collectImport } from "../datanets/importing.ts";
import { importJsonl } from "../datanets/importJsonl.ts";
import { declareAgain, importInto, publishVersion } from "../datanets/intake.ts";
import { MemoryDatanetStore } from "../datanets/memoryStore.ts";
import { creditChain } from "../ledger/creditChain.ts";
import { parties, smallLedger } from "../ledger/testing/smallLedger.ts";
import { buildIndex } from "../models/corpusIndex.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import { citedParts } from "./citedRecords.ts";
import { groundModel } from "./grounding.ts";
import { scopeOf } from "./modelShelf.ts";
import { People } from "./people.ts";

const folder = mkdtempSync(join(tmpdir(), "openledger-cites-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const owner = toHex(parties.owner);

interface Document {
  readonly id: string;
  readonly author: string;
  readonly cites?: unknown;
  readonly requires?: unknown;
  readonly text: string;
}

const texts = [
  "The sluice gate of the eastern canal opens at dawn on every seventh day, and closes when the herons return.",
  "Copper kettles are polished with a paste of salt, wheat flour and vinegar, left to stand for one hour exactly.",
  "Whoever winds the tower clock writes the date and the number of turns into the book that hangs beside it.",
  "Bees are moved at night, with the entrance closed by a strip of cloth that has been soaked in cold water.",
];

function write(documents: readonly Document[]): string {
  const file = join(folder, "all.jsonl");
  const lines = documents.map(({ author, ...rest }) =>
    JSON.stringify({
      ...rest,
      title: rest.id,
      license: "MIT",
      source: "site page",
      authors: [{ identity: `git:${author}@example.org`, name: author }],
    }),
  );
  writeFileSync(file, lines.join("\n"));
  return file;
}

async function published(documents: readonly Document[]) {
  const store = new MemoryDatanetStore();
  const rules = { review: "open" as const };
  unwrap(
    await store.createDatanet(
      unwrap(createDatanet({ name: "net", summary: "s", licence: "MIT", rules }, owner, 1)),
      new Uint8Array(32),
    ),
  );
  unwrap(await importInto(store, "net", importJsonl({ file: write(documents), label: "all" }), owner, () => 1));
  const { records } = unwrap(await publishVersion(store, "net", owner, 2));
  return { store, records };
}

const partsOf = async (documents: readonly Document[], keepPpm = 500_000) => {
  const { store, records } = await published(documents);
  const parts = await citedParts(store, ["net"], records, keepPpm);
  return records.map((record) => new Map(parts?.(record)?.map((one) => [one.record.title, one.part])));
};

test("a document keeps its part and passes the rest to what it cites, on and on; what cites nothing keeps all", async () => {
  const parts = await partsOf([
    { id: "rfc-1", author: "ann", text: texts[0]! },
    { id: "rfc-2", author: "ben", text: texts[1]!, requires: [1] },
    { id: "rfc-3", author: "eve", text: texts[2]!, cites: ["rfc-2", "rfc-1"] },
    { id: "note", author: "rev", text: texts[3]!, cites: ["rfc-9", "note"] },
  ]);
  expect(parts.map((one) => Object.fromEntries(one))).toEqual([
    {},
    { "rfc-2": 0.5, "rfc-1": 0.5 },
    { "rfc-3": 0.5, "rfc-2": 0.125, "rfc-1": 0.375 },
    {},
  ]);
});

test("in circles too, nothing is lost: the parts of each record sum to 1", () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(fc.nat(3), { maxLength: 4 }), { minLength: 4, maxLength: 4 }),
      fc.integer({ min: 1, max: 1_000_000 }),
      async (cites, keepPpm) => {
        const documents = texts.map((text, i) => ({
          id: `d${i}`,
          author: "ann",
          text,
          cites: cites[i]!.map((to) => `d${to}`),
        }));
        for (const parts of await partsOf(documents, keepPpm)) {
          if (parts.size === 0) continue;
          expect(Math.abs([...parts.values()].reduce((sum, part) => sum + part, 0) - 1)).toBeLessThan(1e-12);
        }
      },
    ),
    { numRuns: 30 },
  ));

test("an answer that repeats a citing record credits the authors of what it builds on, by the chain", async () => {
  const { store, records } = await published([
    { id: "a1", author: "ann", text: texts[0]!, cites: ["a2"] },
    { id: "a2", author: "ben", text: texts[1]!, cites: ["a1", "a3"] },
    { id: "a3", author: "eve", text: texts[2]! },
  ]);
  const { ledger } = await smallLedger();
  const scope = await scopeOf(store, { ledger, chain: creditChain(parties.node.slice(12)) }, "net");
  const index = buildIndex(houseTokenizer(), records);
  const people = new People({ scope, records }).citing((await citedParts(store, ["net"], records, 500_000))!);
  const grounding = groundModel({ datanets: ["net"], records, index, people });
  const receipt = new Uint8Array(16).fill(1);
  const { shares, unattributed } = await grounding.attribute({ receipt, prompt: "?", answer: texts[0]!, passages: [] });
  const of = (author: string) => {
    const payee = toHex(identityPayeeId(scope, `git:${author}@example.org`));
    return (shares.find((one) => toHex(one.payee) === payee)?.weight ?? 0) / (1_000_000 - unattributed);
  };
  // x1 = 1 + x2/4, x2 = x1/2, x3 = x2/4 of what reaches each; half stays, and what cites nothing keeps all.
  expect(of("ann")).toBeCloseTo(4 / 7, 2);
  expect(of("ben")).toBeCloseTo(2 / 7, 2);
  expect(of("eve")).toBeCloseTo(1 / 7, 2);
  await ledger.close();
});

test("citations stay with their records through batches and through an export", async () => {
  const documents = texts.map((text, i) => ({
    id: `d${i}`,
    author: "ann",
    text: text.repeat(1),
    cites: [`d${(i + 1) % 4}`],
  }));
  const { groups } = unwrap(await collectImport(importJsonl({ file: write(documents), label: "all" })));
  const [batch] = [...batchesOf(groups[0]!)];
  expect(batch!.documents).toEqual(groups[0]!.documents);
  const big = {
    ...groups[0]!,
    records: groups[0]!.records.map((record) => ({ ...record, text: record.text.repeat(9_000) })),
  };
  const parts = [...batchesOf(big)];
  expect(parts.length).toBeGreaterThan(1);
  const again = parts.flatMap(({ records, documents: own = [] }) =>
    own.map(({ id, records: [at] }) => [id, records[at!]!.title]),
  );
  expect(again).toEqual(documents.map(({ id }) => [id, id]));
  const { store } = await published(documents);
  const { folder: written } = unwrap(
    await exportDatanet(store, "net", await folderSink(join(folder, "export")), "urn:test"),
  );
  const copy = new MemoryDatanetStore();
  unwrap(await importExport(copy, written, new Uint8Array(32).fill(1)));
  expect((await copy.contributions("net")).map((one) => one.documents)).toEqual(
    (await store.contributions("net")).map((one) => one.documents),
  );
});

test("the same put in again with more to say declares it; with nothing new it changes nothing", async () => {
  const plain = texts.map((text, i) => ({ id: `d${i}`, author: "ann", text }));
  const { store } = await published(plain);
  const [known] = await store.contributions("net");
  expect(known!.documents).toBeUndefined();
  const { groups } = unwrap(
    await collectImport(
      importJsonl({ file: write(plain.map((one, i) => ({ ...one, cites: i === 0 ? ["d1"] : [] }))), label: "all" }),
    ),
  );
  const draft = { by: owner, ...groups[0]! };
  const { contribution } = unwrap(prepareContribution((await store.datanet("net"))!, draft, 9));
  expect(contribution.id).toBe(known!.id);
  const lineage = [
    {
      record: contribution.documents![0]!.records[0]!,
      receipt: `0x${"ab".repeat(16)}` as const,
      partPpm: 9,
      isDeclared: true,
    },
  ];
  const seen: number[] = [];
  const finder = async (_records: unknown, timeMs: number) => {
    seen.push(timeMs);
    return lineage;
  };
  expect(unwrap(await declareAgain(store, "net", draft, 9, finder)).isNew).toBe(true);
  const now = (await store.contributions("net"))[0]!;
  expect(now).toEqual({ ...known, documents: contribution.documents, lineage });
  expect(unwrap(await declareAgain(store, "net", draft, 9, finder)).isNew).toBe(false);
  const { documents: _documents, ...silent } = draft;
  expect(unwrap(await declareAgain(store, "net", silent, 9))).toEqual({ contribution: now, isNew: false });
  expect(await declareAgain(store, "none", draft, 9)).toMatchObject({ error: { code: "not_found" } });
  expect(seen).toEqual([known!.submittedMs, known!.submittedMs]);
});

test.each([{ cites: "d1" }, { cites: [{}] }, { cites: [""] }, { requires: Array(300).fill("x") }])(
  "a line with %j is left out and says why",
  async (fields) => {
    const file = write([
      { id: "d0", author: "ann", text: texts[0]!, ...fields },
      { id: "d1", author: "ann", text: texts[1]! },
    ]);
    const report = unwrap(await collectImport(importJsonl({ file, label: "all" })));
    expect(report).toMatchObject({ records: 1, leftOut: [{ reason: expect.stringContaining("cites") }] });
  },
);
