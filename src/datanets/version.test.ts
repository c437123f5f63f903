import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fromHex, type Hex, toHex } from "../core/bytes.ts";
import { unwrap } from "../core/result.ts";
import { structuringContext } from "./context.ts";
import type { Contribution } from "./contribution.ts";
import { contributorsOf, PRIOR_TOTAL, priorWeights } from "./contributors.ts";
import { createDatanet } from "./datanet.ts";
import { type DatanetRecord, parseRecord, type RecordContent, recordId, recordLeaf, sealRecord } from "./record.ts";
import { buildVersion, contentRoot, diffVersions, versionId } from "./version.ts";

const owner: Hex = `0x${"aa".repeat(32)}`;
const datanet = unwrap(createDatanet({ name: "net", summary: "A net", licence: "CC0-1.0" }, owner, 1));
const context = unwrap(structuringContext(owner)).id;

const content: RecordContent = {
  title: "t",
  headingPath: ["a", "b"],
  text: "x",
  source: "s",
  licence: "MIT",
  date: null,
  authors: [{ identity: "npm:a", name: "A" }],
};
const contribution = (number: number): Contribution => ({
  id: `0x${String(number).padStart(64, "0")}`,
  datanet: "net",
  number,
  by: "npm:a",
  label: "x",
  licence: "MIT",
  records: 1,
  status: "approved",
  decision: { decision: "approve", reason: "good", by: "rules", timeMs: 1 },
  notes: [],
  submittedMs: 1,
});
const distinct = (n: number) => Array.from({ length: 10 }, (_, i) => `t${n}word${i}`).join(" ");
const sealed = (n: number, c = contribution(1), title = "t") =>
  sealRecord({ ...content, title, text: distinct(n) }, c.id);

describe("records", () => {
  it("have an id that every field changes, and no field can be shifted into the next", () => {
    const changes: Partial<RecordContent>[] = [
      {},
      { title: "u" },
      { headingPath: ["a"] },
      { headingPath: ["ab"] },
      { headingPath: ["", "ab"] },
      { text: "y" },
      { source: "u" },
      { licence: "ISC" },
      { date: "2020" },
      { authors: [] },
      { authors: [{ identity: "npm:b", name: "A" }] },
      { authors: [{ identity: "npm:a", name: "B" }] },
      { title: "ts", source: "" },
    ];
    expect(new Set(changes.map((change) => recordId({ ...content, ...change }))).size).toBe(changes.length);
  });

  it("read back from JSON as they were, and not when anything was changed", () => {
    const text = fc.string({ unit: "grapheme", maxLength: 20 });
    const author = fc.record({ identity: text, name: text });
    const any = fc.record({
      title: text,
      headingPath: fc.array(text),
      text,
      source: text,
      licence: text,
      date: fc.option(text),
      authors: fc.array(author),
    });
    fc.assert(
      fc.property(any, (any) => {
        const record = sealRecord(any, owner);
        expect(parseRecord(JSON.parse(JSON.stringify(record)))).toEqual({ ok: true, value: record });
        expect(parseRecord({ ...record, text: `${record.text}.` })).toMatchObject({
          ok: false,
          error: { code: "verification_failed" },
        });
      }),
    );
    for (const key of Object.keys(sealed(1))) expect(parseRecord({ ...sealed(1), [key]: 7 }).ok).toBe(false);
  });

  it("are leaves of 65 bytes: version, id, contribution", () => {
    const record = sealed(1);
    expect(toHex(recordLeaf(record))).toBe(`0x01${record.id.slice(2)}${record.contributionId.slice(2)}`);
  });
});

describe("contentRoot", () => {
  const sha = (...parts: Uint8Array[]) => {
    const hash = createHash("sha256");
    for (const part of parts) hash.update(part);
    return hash.digest();
  };
  /** RFC 6962 §2.1, as it is written there. */
  const mth = (leaves: readonly Uint8Array[]): Uint8Array => {
    if (leaves.length === 0) return sha();
    if (leaves.length === 1) return sha(Uint8Array.of(0), leaves[0]!);
    let k = 1;
    while (k * 2 < leaves.length) k *= 2;
    return sha(Uint8Array.of(1), mth(leaves.slice(0, k)), mth(leaves.slice(k)));
  };

  it("is the RFC 6962 tree hash", () => {
    for (let size = 0; size < 20; size++) {
      const records = Array.from({ length: size }, (_, n) => sealed(n));
      expect(contentRoot(records)).toBe(toHex(mth(records.map(recordLeaf))));
    }
  });
});

describe("buildVersion", () => {
  const build = (
    records: readonly (readonly DatanetRecord[])[],
    previous?: Parameters<typeof versionId>[0] & { id: Hex },
  ) =>
    buildVersion({
      datanet,
      previous,
      context,
      approved: records.map((own, i) => ({ contribution: contribution(i + 1), records: own })),
      timeMs: 5,
    });

  it("keeps the order of registration, and of copies the first", () => {
    const [a, b] = [sealed(1), sealed(2)];
    const copy = sealed(1, contribution(2), "a copy");
    const { version, records } = unwrap(build([[a, b], [copy]]));
    expect(records).toEqual([a, b]);
    expect(version.duplicates).toEqual([{ id: copy.id, contributionId: copy.contributionId, of: a.id }]);
    expect(version).toMatchObject({ number: 1, parent: null, contentRoot: contentRoot([a, b]) });
    const swapped = unwrap(build([[copy], [a, b]]));
    expect(swapped.records).toEqual([copy, b]);
  });

  it("is named by what is in it and not by when it was made", () => {
    const one = unwrap(build([[sealed(1)]])).version;
    expect(versionId({ ...one, createdMs: 99 })).toBe(one.id);
    for (const change of [
      { number: 2 },
      { parent: owner },
      { context: owner },
      { contentRoot: owner },
      { datanetId: owner },
      { duplicates: [{ ...one.records[0]!, of: owner }] },
    ]) {
      expect(versionId({ ...one, ...change })).not.toBe(one.id);
    }
    expect(fromHex(one.id)).toHaveLength(32);
  });

  it("refuses to change nothing, and to hold nothing", () => {
    const one = unwrap(build([[sealed(1)]])).version;
    expect(build([[sealed(1)]], one)).toMatchObject({ ok: false, error: { code: "conflict" } });
    expect(build([])).toMatchObject({ ok: false, error: { code: "rule_violated" } });
    const two = unwrap(build([[sealed(1)], [sealed(2, contribution(2))]], one)).version;
    expect(two).toMatchObject({ number: 2, parent: one.id });
  });
});

describe("diffVersions", () => {
  it("accounts for every record once", () => {
    const some = fc.uniqueArray(fc.record({ n: fc.integer({ min: 0, max: 5 }), title: fc.constantFrom("t", "u") }), {
      selector: ({ n, title }) => `${n}${title}`,
    });
    fc.assert(
      fc.property(some, some, (from, to) => {
        const [before, after] = [from, to].map((list) => list.map(({ n, title }) => sealed(n, contribution(1), title)));
        const diff = diffVersions(before!, after!);
        expect(diff.unchanged + diff.moved.length + diff.added.length).toBe(after!.length);
        expect(diff.unchanged + diff.moved.length + diff.removed.length).toBe(before!.length);
        const texts = new Map([...before!, ...after!].map((record) => [record.id, record.text]));
        for (const move of diff.moved) expect(texts.get(move.from)).toBe(texts.get(move.to));
        expect(diff.added.some((id) => diff.removed.some((gone) => texts.get(gone) === texts.get(id)))).toBe(false);
        expect(diffVersions(after!, before!).added).toEqual(expect.arrayContaining([...diff.removed]));
      }),
    );
  });
});

describe("contributors", () => {
  const by = (identity: string, name: string, text: string) => ({ ...content, text, authors: [{ identity, name }] });
  const found = contributorsOf([
    by("npm:a", "A", "xx"),
    by("npm:b", "B", "é€"),
    by("npm:a", "Ann", "x"),
    by("npm:a", "Ann", "x"),
  ]);

  it("are counted by identity, with their names", () => {
    expect(found).toEqual([
      { identity: "npm:b", names: ["B"], records: 1, bytes: 5 },
      { identity: "npm:a", names: ["Ann", "A"], records: 3, bytes: 4 },
    ]);
  });

  it("are weighted in the prior by measured evidence, and never by records", () => {
    expect(priorWeights(found, new Map())).toEqual([]);
    expect(
      priorWeights(
        found,
        new Map([
          ["npm:a", 1n],
          ["npm:b", 3n],
          ["npm:gone", 9n],
        ]),
      ),
    ).toEqual([
      { identity: "npm:a", weight: PRIOR_TOTAL / 4 },
      { identity: "npm:b", weight: (PRIOR_TOTAL / 4) * 3 },
    ]);
    const tiny = priorWeights(
      found,
      new Map([
        ["npm:a", 1n],
        ["npm:b", 10n ** 18n],
      ]),
    );
    expect(tiny[0]).toEqual({ identity: "npm:a", weight: 1 });
  });
});
