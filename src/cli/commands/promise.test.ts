import { expect, test } from "vitest";
import { toHex } from "../../core/bytes.ts";
import { decodeEntry } from "../../core/entry.ts";
import { hashReader, inclusionProof, leafHash, rootOf } from "../../core/merkle.ts";
import { amountOf } from "../../core/receipt.ts";
import { unwrap } from "../../core/result.ts";
import { inclusion } from "../../gateway/journal.ts";
import { type SmallJournal, smallJournal } from "../../ledger/testing/smallJournal.ts";
import type { WirePromise } from "../../protocol/completions.ts";
import { openClient } from "../client.ts";
import { quotes } from "./probe.ts";
import { checkPromise, waitUntilJournalled } from "./promise.ts";

const { trust, entries, receipt, files } = smallJournal();
const answered = { receipt: toHex(receipt.receipt.id), fee: { amount: amountOf(receipt.receipt) } };

/** The promise that a journal's first batch makes of its receipt. */
function promiseOf({ entries, receipt }: Pick<SmallJournal, "entries" | "receipt">): WirePromise {
  const batch = entries.map((bytes) => unwrap(decodeEntry(bytes))).find((entry) => entry.kind === "batch");
  if (batch?.kind !== "batch") throw new Error("a small journal has a batch");
  const { first, count, root, deadlineMs, signature } = batch.batch;
  const hashes = entries.slice(first, first + count).map(leafHash);
  expect(toHex(rootOf(hashes))).toBe(toHex(root));
  const path = inclusionProof(hashReader(hashes), receipt.seq - first, count).map(toHex);
  const entry = toHex(entries[receipt.seq]!);
  return {
    receipt: toHex(receipt.receipt.id),
    amount: amountOf(receipt.receipt),
    seq: receipt.seq,
    entry,
    first,
    count,
    root: toHex(root),
    path,
    deadlineMs,
    signature: toHex(signature),
  };
}
const promise = promiseOf({ entries, receipt });

test("a promise holds that the ledger signed for this receipt", () => {
  expect(checkPromise(promise, answered, trust)).toMatchObject({ ok: true });
});

test("a promise that was made on credit holds after the ledger has moved to a chain, and stands for nothing that came after", () => {
  const moved = smallJournal({ moved: (move) => move });
  const old = promiseOf(moved);
  const of = { receipt: toHex(moved.receipt.receipt.id), fee: { amount: amountOf(moved.receipt.receipt) } };
  expect(checkPromise(old, of, moved.trust)).toMatchObject({ ok: false });
  expect(checkPromise(old, of, { ...moved.trust, movedAt: 12 })).toMatchObject({ ok: true });
  expect(checkPromise(old, of, { ...moved.trust, movedAt: old.first + old.count - 1 })).toMatchObject({ ok: false });
});

const other = `0x${"1".repeat(64)}`;
test.each<[string, Partial<WirePromise>]>([
  ["another signature", { signature: `0x${"1".repeat(130)}` }],
  ["another deadline", { deadlineMs: promise.deadlineMs + 1 }],
  ["another root", { root: other }],
  ["another path", { path: promise.path.with(0, other) }],
  ["a shorter path", { path: promise.path.slice(1) }],
  ["another place", { seq: promise.seq - 1 }],
  ["another entry", { entry: toHex(entries[0]!) }],
  ["no hex", { root: "root" }],
])("a promise with %s does not", (_what, change) => {
  const checked = checkPromise({ ...promise, ...change }, answered, trust);
  expect(checked).toMatchObject({ ok: false, error: { code: "verification_failed" } });
});

test("a promise of another receipt, another amount or another ledger does not", () => {
  expect(checkPromise(promise, { ...answered, receipt: "0x00" }, trust).ok).toBe(false);
  expect(checkPromise(promise, { ...answered, fee: { amount: 1 } }, trust).ok).toBe(false);
  expect(checkPromise(promise, answered, { ...trust, ledger: new Uint8Array(32) }).ok).toBe(false);
});

/** A node that publishes `published`, and the clock that its promises run out by. */
function nodeOf(published: ReadonlyMap<string, Uint8Array>) {
  let now = promise.deadlineMs - 1_000;
  const client = openClient({ url: "http://node", key: undefined }, async (input) => {
    const url = new URL(String(input));
    if (url.pathname === "/journal/checkpoint") {
      const bytes = published.get("checkpoint");
      return bytes === undefined ? new Response("", { status: 404 }) : new Response(Uint8Array.from(bytes));
    }
    const seq = Number(url.pathname.split("/").at(-1));
    const found = await inclusion(
      { read: async (path) => published.get(path) },
      seq,
      Number(url.searchParams.get("size")),
    );
    return found.ok ? Response.json(found.value) : Response.json({}, { status: 404 });
  });
  const clock = {
    nowMs: () => now,
    sleep: async (ms: number) => {
      now += ms;
    },
  };
  return { client, clock };
}

test("a promise is kept where a signed checkpoint holds the entry, and broken where none does by the deadline", async () => {
  const kept = nodeOf(files);
  expect(await waitUntilJournalled(kept.client, promise, trust, kept.clock)).toEqual({
    ok: true,
    value: entries.length,
  });
  const silent = nodeOf(new Map());
  expect(await waitUntilJournalled(silent.client, promise, trust, silent.clock)).toMatchObject({ ok: false });
  expect(silent.clock.nowMs()).toBeGreaterThan(promise.deadlineMs);
  const [changed] = [smallJournal({ receipt: (honest) => ({ ...honest, evidenceRoot: new Uint8Array(32) }) })];
  const rewritten = nodeOf(changed.files);
  expect(await waitUntilJournalled(rewritten.client, promise, trust, rewritten.clock)).toMatchObject({
    ok: false,
    error: { message: expect.stringContaining("is not the one that was promised") },
  });
});

test("an answer quotes a record where it holds a stretch of it", () => {
  const text = "The sluice gate of the eastern canal opens at dawn on every seventh day of the month.";
  expect(quotes(`It says: ${text.slice(10, 75).replace(" ", "\n  ")}!`, text)).toBe(true);
  expect(quotes(text.slice(0, 50), text)).toBe(false);
  expect(quotes("short one, here", "short one")).toBe(true);
  expect(quotes("anything", "")).toBe(false);
});
