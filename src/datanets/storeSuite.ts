import { describe, expect, it } from "vitest";
import type { Hex } from "../core/bytes.ts";
import { unwrap } from "../core/result.ts";
import { applyProof } from "./binding.ts";
import { createDatanet, type Datanet } from "./datanet.ts";
import { annotateRecord, publishVersion, submitContribution } from "./intake.ts";
import type { BindingProof } from "./proof.ts";
import type { RecordContent } from "./record.ts";
import type { DatanetStore } from "./store.ts";

/** What every {@link DatanetStore} does. An adapter's test calls this with a way to get an empty store; `close` ends it. */
export function describeDatanetStore(
  name: string,
  open: () => Promise<{ store: DatanetStore; close: () => Promise<void> }>,
): void {
  const withStore: WithStore = async (run) => {
    const { store, close } = await open();
    try {
      await run(store);
    } finally {
      await close();
    }
  };
  describe(`${name}: datanets`, () => datanetTests(withStore));
  describe(`${name}: contributions`, () => contributionTests(withStore));
  describe(`${name}: versions`, () => versionTests(withStore));
  describe(`${name}: annotations`, () => annotationTests(withStore));
  describe(`${name}: bindings`, () => bindingTests(withStore));
}

type WithStore = (run: (store: DatanetStore) => Promise<void>) => Promise<void>;

function datanetTests(withStore: WithStore): void {
  it("keeps a datanet and its secret, and refuses a second of the same name", () =>
    withStore(async (store) => {
      const datanet = await given(store, "first");
      await given(store, "second");
      expect(await store.datanet("first")).toEqual(datanet);
      expect((await store.datanets()).map((one) => one.name)).toEqual(["first", "second"]);
      expect(await store.datanetSecret("first")).toEqual(secret);
      expect(await store.createDatanet(datanet, secret)).toMatchObject({
        ok: false,
        error: { code: "already_exists" },
      });
      expect(await store.datanet("third")).toBeUndefined();
      expect(await store.datanetSecret("third")).toBeUndefined();
    }));
}

function annotationTests(withStore: WithStore): void {
  it("numbers them in order, once each, and takes one decision of two at once", () =>
    withStore(async (store) => {
      await given(store, "net");
      const { id: contribution } = await submit(store, "net", ["alpha", "beta"]);
      unwrap(await store.decide("net", contribution, { ...good, by: `0x${"22".repeat(32)}` }));
      unwrap(await publishVersion(store, "net", `0x${"11".repeat(32)}`, 5));
      const [alpha] = await store.versionRecords("net", 1);
      const say = (text: string) =>
        annotateRecord(store, "net", { by: "git:eve@example.org", record: alpha!.id, text }, 6);
      const made = await Promise.all([say("first words"), say("second words")]);
      expect(made.map((one) => unwrap(one).number).sort()).toEqual([1, 2]);
      const { number: _number, ...again } = unwrap(made[0]!);
      expect(await store.addAnnotation(again)).toMatchObject({ error: { code: "already_exists" } });
      expect(await store.addAnnotation({ ...again, datanet: "nowhere" })).toMatchObject({
        error: { code: "not_found" },
      });
      const all = await store.annotations("net");
      expect(all.map(({ number, status }) => [number, status])).toEqual([
        [1, "pending"],
        [2, "pending"],
      ]);
      const { id } = all[0]!;
      const decided = await Promise.all(
        [1, 2].map(() => store.decideAnnotation("net", id, { ...good, by: "git:rev@example.org" })),
      );
      expect(decided.filter((one) => one.ok)).toHaveLength(1);
      expect(await store.decideAnnotation("net", unknownId, good)).toMatchObject({ error: { code: "not_found" } });
      expect(await store.annotations("elsewhere")).toEqual([]);
      unwrap(await publishVersion(store, "net", `0x${"11".repeat(32)}`, 7));
      expect((await store.versionRecords("net", 2))[0]).toEqual({
        ...alpha!,
        notes: [{ by: "git:eve@example.org", text: all[0]!.text }],
      });
      expect((await store.versionRecords("net", 1))[0]).toEqual(alpha);
    }));
}

const good = { decision: "approve", reason: "it is so", by: "rules", timeMs: 9 } as const;

function contributionTests(withStore: WithStore): void {
  it("numbers contributions in order and gives their records back in order", () =>
    withStore(async (store) => {
      await given(store, "net");
      const first = await submit(store, "net", ["alpha", "beta", "gamma"]);
      const second = await submit(store, "net", ["delta"]);
      expect([first.number, second.number]).toEqual([1, 2]);
      const records = await store.contributionRecords("net", first.id);
      expect(records.map((record) => record.title)).toEqual(["alpha", "beta", "gamma"]);
      expect(records.every((record) => record.contributionId === first.id)).toBe(true);
      expect(records[0]).toMatchObject(content("alpha"));
      expect(await store.contribution("net", second.id)).toEqual(second);
      expect(await store.contributionRecords("net", unknownId)).toEqual([]);
      expect(await store.contributions("elsewhere")).toEqual([]);
    }));

  it("refuses a contribution put in twice, and one to an unknown datanet", () =>
    withStore(async (store) => {
      await given(store, "net");
      await submit(store, "net", ["alpha"]);
      const again = await submitContribution(store, "net", draft(["alpha"]), 9);
      expect(again).toMatchObject({ ok: false, error: { code: "already_exists" } });
      const lost = await submitContribution(store, "nowhere", draft(["alpha"]), 9);
      expect(lost).toMatchObject({ ok: false, error: { code: "not_found" } });
      expect(await store.contributions("net")).toHaveLength(1);
    }));

  it("keeps what is declared of a contribution later, and leaves the rest as it is", () =>
    withStore(async (store) => {
      await given(store, "net");
      const contribution = await submit(store, "net", ["alpha"]);
      const [alpha] = await store.contributionRecords("net", contribution.id);
      const documents = [{ id: "a", records: [alpha!.id], cites: ["b"] }];
      const lineage = [{ record: alpha!.id, receipt: `0x${"ab".repeat(16)}` as const, partPpm: 5, isDeclared: true }];
      expect(unwrap(await store.declare("net", contribution.id, { documents }))).toEqual({
        ...contribution,
        documents,
      });
      unwrap(await store.declare("net", contribution.id, { lineage }));
      expect(await store.contribution("net", contribution.id)).toEqual({ ...contribution, documents, lineage });
      expect(await store.declare("net", unknownId, {})).toMatchObject({ error: { code: "not_found" } });
      expect(await store.declare("elsewhere", contribution.id, {})).toMatchObject({ error: { code: "not_found" } });
    }));

  it("takes one decision of two at once", () =>
    withStore(async (store) => {
      await given(store, "net");
      const { id } = await submit(store, "net", ["alpha"]);
      const decisions = await Promise.all([
        store.decide("net", id, { decision: "approve", reason: "well made", by: "ann", timeMs: 5 }),
        store.decide("net", id, { decision: "reject", reason: "off topic", by: "bob", timeMs: 5 }),
      ]);
      expect(decisions.map((decision) => decision.ok).sort()).toEqual([false, true]);
      const stored = await store.contribution("net", id);
      expect(decisions.find((decision) => decision.ok)).toEqual({ ok: true, value: stored });
      expect(await store.contributions("net", "pending")).toEqual([]);
      const unknown = await store.decide("net", unknownId, {
        decision: "approve",
        reason: "well made",
        by: "ann",
        timeMs: 5,
      });
      expect(unknown).toMatchObject({ ok: false, error: { code: "not_found" } });
    }));
}

function versionTests(withStore: WithStore): void {
  it("keeps versions and their records for ever, and refuses a number that is not the next", () =>
    withStore(async (store) => {
      await given(store, "net");
      await approve(store, "net", ["alpha", "beta"]);
      const one = unwrap(await publishVersion(store, "net", owner, 10));
      await approve(store, "net", ["gamma"]);
      const two = unwrap(await publishVersion(store, "net", owner, 11));
      expect((await store.versions("net")).map((version) => version.id)).toEqual([one.version.id, two.version.id]);
      expect(await store.version("net", 1)).toEqual(one.version);
      expect(await store.version("net")).toEqual(two.version);
      expect(await store.version("net", 3)).toBeUndefined();
      expect((await store.versionRecords("net", 1)).map((record) => record.title)).toEqual(["alpha", "beta"]);
      expect((await store.versionRecords("net", 2)).map((record) => record.title)).toEqual(["alpha", "beta", "gamma"]);
      expect(await store.versionRecords("net", 3)).toEqual([]);
      const context = (await store.context(one.version.context))!;
      expect(context.owner).toBe(owner);
      expect(await store.addVersion(one, context)).toMatchObject({ ok: false, error: { code: "conflict" } });
    }));

  it("leaves what is pending or rejected out of a version", () =>
    withStore(async (store) => {
      await given(store, "net");
      await submit(store, "net", ["pending"]);
      const { id } = await submit(store, "net", ["rejected"]);
      unwrap(await store.decide("net", id, { decision: "reject", reason: "off topic", by: "ann", timeMs: 5 }));
      expect(await publishVersion(store, "net", owner, 10)).toMatchObject({
        ok: false,
        error: { code: "rule_violated" },
      });
      await approve(store, "net", ["approved"]);
      const { records } = unwrap(await publishVersion(store, "net", owner, 10));
      expect(records.map((record) => record.title)).toEqual(["approved"]);
      expect(await publishVersion(store, "net", owner, 11)).toMatchObject({ ok: false, error: { code: "conflict" } });
    }));
}

function bindingTests(withStore: WithStore): void {
  it("writes a binding only over the one that was read", () =>
    withStore(async (store) => {
      const { id } = await given(store, "net");
      const noticed = unwrap(applyProof(undefined, proofFor(id, "11"), { noticeMs: 10, timeMs: 1 }));
      unwrap(await store.saveBinding("net", undefined, noticed));
      expect(await store.binding("net", noticed.identity)).toEqual(noticed);
      expect(await store.saveBinding("net", undefined, noticed)).toMatchObject({
        ok: false,
        error: { code: "conflict" },
      });
      const later = unwrap(applyProof(noticed, proofFor(id, "22"), { noticeMs: 10, timeMs: 2 }));
      unwrap(await store.saveBinding("net", noticed, later));
      expect(await store.saveBinding("net", noticed, later)).toMatchObject({
        ok: false,
        error: { code: "conflict" },
      });
      expect(await store.bindings("net")).toEqual([later]);
      expect(await store.binding("net", "npm:other")).toBeUndefined();
    }));
}

const owner: Hex = `0x${"aa".repeat(32)}`;
const unknownId: Hex = `0x${"00".repeat(32)}`;
const secret = new Uint8Array(32).fill(7);

async function given(store: DatanetStore, name: string): Promise<Datanet> {
  const datanet = unwrap(
    createDatanet({ name, summary: "A datanet for tests", licence: "CC0-1.0", tags: ["test"] }, owner, 1),
  );
  return unwrap(await store.createDatanet(datanet, secret));
}

/** Each title makes a text that is like no other's. */
function content(title: string): RecordContent {
  const text = Array.from({ length: 12 }, (_, i) => `${title}${i} is said of ${title} here`).join(", ");
  const authors = [{ identity: `npm:${title}`, name: title }];
  return { title, headingPath: ["Top", title], text, source: `test ${title}`, licence: "MIT", date: null, authors };
}

function draft(titles: readonly string[]) {
  return { by: "npm:someone", label: titles.join(" "), licence: "MIT", records: titles.map(content) };
}

async function submit(store: DatanetStore, name: string, titles: readonly string[]) {
  return unwrap(await submitContribution(store, name, draft(titles), 3)).contribution;
}

async function approve(store: DatanetStore, name: string, titles: readonly string[]) {
  const { id } = await submit(store, name, titles);
  return unwrap(await store.decide(name, id, { decision: "approve", reason: "well made", by: "ann", timeMs: 5 }));
}

function proofFor(datanet: Hex, byte: string): BindingProof {
  const address: Hex = `0x${byte.repeat(20)}`;
  const hash: Hex = `0x${byte.repeat(32)}`;
  return {
    kind: "fundingFile",
    action: "bind",
    datanet,
    ledger: unknownId,
    identity: "repo:github.com/a/b",
    address,
    hash,
    evidence: "c0ffee",
  };
}
