import { beforeEach, expect, test } from "vitest";
import type { Correction } from "../core/correction.ts";
import { decodeEntry, type Entry, encodeEntry } from "../core/entry.ts";
import { Replay } from "../core/replay.ts";
import { ok, type Result, unwrap } from "../core/result.ts";
import type { Leg } from "../core/route.ts";
import { account, assets, draft, parties, type SmallLedger, smallLedger } from "./testing/smallLedger.ts";

/** What a strict reader refuses, though the ledger had signed it: a lawful journal, then one entry that its own writer would not write. */
let small: SmallLedger;
let receipt: { readonly seq: number; readonly id: Uint8Array; readonly legs: readonly Leg[]; readonly earned: number };

beforeEach(async () => {
  small = await smallLedger();
  const { ledger } = small;
  const someone = await account(small, 10_000);
  const paid = unwrap(ledger.holds.place({ account: someone.id, amount: 300 }));
  unwrap(await ledger.books.post(draft(paid.id, 300, 0)));
  const operator = await account(small, 50, parties.operator);
  const hold = unwrap(ledger.holds.place({ account: operator.id, amount: 80 }));
  const { seq, receipt: posted } = unwrap(await ledger.books.post(draft(hold.id, 80, 0)));
  receipt = { seq, id: posted.id, legs: posted.legs, earned: posted.earned };
  expect(posted.earned).toBe(30);
});

/** The journal so far, and then these. Batches are taken as they are. */
async function then(...bodies: readonly ((seq: number) => Entry)[]): Promise<Result<unknown>> {
  const replay = new Replay({ ledger: small.ledger.id, batch: (batch) => ok(batch) });
  for await (const bytes of small.ledger.books.entries(0, small.ledger.books.size())) unwrap(replay.take(bytes));
  let taken: Result<unknown> = ok(undefined);
  for (const body of bodies) {
    taken = replay.take(encodeEntry(body(replay.size)));
    if (!taken.ok) return taken;
  }
  return taken;
}

async function lastReceipt(): Promise<Extract<Entry, { kind: "receipt" }>> {
  for await (const bytes of small.ledger.books.entries(receipt.seq, receipt.seq + 1)) {
    const entry = unwrap(decodeEntry(bytes));
    if (entry.kind === "receipt") return entry;
  }
  throw new Error("the receipt is there");
}

async function correction(changes: Partial<Correction>): Promise<(seq: number) => Entry> {
  const { receipt: named, ledger, timeMs } = await lastReceipt();
  const [refund, earned] = [changes.refund ?? 0, changes.earned ?? 0];
  const [operator] = named.legs;
  return (seq) => ({
    ...{ ledger, seq, timeMs, kind: "correction" },
    correction: {
      ...{ id: named.id, receipt: named.id, receiptSeq: receipt.seq, payer: named.payer, account: named.account },
      ...{ reason: "refund", refund, earned, noteHash: new Uint8Array(32) },
      payerPayee: earned > 0 ? named.payerPayee : 0,
      legs: [{ ...operator!, amount: -refund - earned }],
      ...changes,
    },
  });
}

test.each([
  ["all of both", [{ refund: 50, earned: 30 }], true],
  ["all, bit by bit", [{ refund: 20 }, { refund: 30 }, { earned: 10 }, { earned: 20 }], true],
  ["more than was charged to its payer", [{ refund: 51 }], false],
  ["more than the earnings that it spent", [{ earned: 31 }], false],
  ["more than was charged, in two", [{ refund: 50 }, { refund: 1 }], false],
  ["more than the earnings, in two", [{ earned: 30 }, { earned: 1 }], false],
  ["earnings to another", [{ earned: 1, payerPayee: 1 }], false],
  ["a payee without earnings", [{ refund: 1, payerPayee: 1 }], false],
])("a receipt of 50 + 30 gives back %s", async (_, list, lawful) => {
  const bodies = await Promise.all(list.map((changes) => correction(changes)));
  expect((await then(...bodies)).ok).toBe(lawful);
});

test("a correction's legs sum to what it gives back", async () => {
  const [operator] = (await lastReceipt()).receipt.legs;
  const legs = [{ ...operator!, amount: -9 }];
  expect((await then(await correction({ refund: 10, legs }))).ok).toBe(false);
});

async function assetEntry(id: Uint8Array, changes: { owner: number; kind?: "tool" }): Promise<(seq: number) => Entry> {
  for await (const bytes of small.ledger.books.entries(0, small.ledger.books.size())) {
    const entry = unwrap(decodeEntry(bytes));
    if (entry.kind !== "asset" || Buffer.compare(entry.asset.id, id) !== 0) continue;
    const { owner, kind: assetKind = entry.asset.assetKind } = changes;
    return (seq) => ({ ...entry, seq, timeMs: small.world.timeMs, asset: { ...entry.asset, owner, assetKind } });
  }
  throw new Error("the asset is there");
}

test("an asset that is journalled again may have another owner, and nothing else", async () => {
  const owner = small.ledger.books.payeeNumber(parties.operator)!;
  expect((await then(await assetEntry(assets.plain, { owner }))).ok).toBe(true);
  expect((await then(await assetEntry(assets.plain, { owner, kind: "tool" }))).ok).toBe(false);
  expect((await then(await assetEntry(assets.plain, { owner: 1_000 }))).ok).toBe(false);
});

test("after a transfer's epoch only the new owner's part is lawful, until then only the seller's", async () => {
  const { ledger } = small;
  const posted = async (model: Uint8Array) => {
    const someone = await account(small, 1_000);
    const contributors = model === assets.model ? { contributors: { shares: [], unattributed: 1_000_000 } } : {};
    const hold = unwrap(ledger.holds.place({ account: someone.id, amount: 100 }));
    const { seq } = unwrap(await ledger.books.post(draft(hold.id, 0, 100, { model, ...contributors })));
    for await (const bytes of ledger.books.entries(seq, seq + 1)) return unwrap(decodeEntry(bytes));
    throw new Error("the receipt is there");
  };
  /** Takes the journal with the model's part of the named receipt paid to another payee. */
  const misled = async (named: Entry, payee: number): Promise<string> => {
    const replay = new Replay({ ledger: ledger.id, batch: (batch) => ok(batch) });
    for await (const bytes of ledger.books.entries(0, ledger.books.size())) {
      const entry = unwrap(decodeEntry(bytes));
      const legs = (of: readonly Leg[]) => of.map((leg) => (leg.role === "model" ? { ...leg, payee } : leg));
      const isNamed = entry.kind === "receipt" && entry.seq === named.seq;
      const taken = replay.take(
        isNamed ? encodeEntry({ ...entry, receipt: { ...entry.receipt, legs: legs(entry.receipt.legs) } }) : bytes,
      );
      if (entry.seq === named.seq) return taken.ok ? "lawful" : taken.error.message;
    }
    throw new Error("the receipt is there");
  };
  const [seller, buyer] = [parties.owner, parties.operator].map((id) => ledger.books.payeeNumber(id)!);
  const poolOf = () => ledger.books.payeeNumber(ledger.assets.get(assets.model)!.royaltyPayee)!;
  const oldPool = poolOf();
  unwrap(await ledger.assets.transfer(assets.plain, parties.operator));
  unwrap(await ledger.assets.transfer(assets.datanet, parties.operator));
  const [before, beforeModel] = [await posted(assets.plain), await posted(assets.model)];
  unwrap(await ledger.epochs.closeEpoch({ registryBlock: 1 }));
  const [after, afterModel] = [await posted(assets.plain), await posted(assets.model)];
  expect(await misled(before, seller!)).toBe("lawful");
  expect(await misled(before, buyer!)).toContain("the model's part is paid to payee");
  expect(await misled(after, buyer!)).toBe("lawful");
  expect(await misled(after, seller!)).toContain("the model's part is paid to payee");
  expect(poolOf()).not.toBe(oldPool);
  expect(await misled(beforeModel, oldPool)).toBe("lawful");
  expect(await misled(afterModel, poolOf())).toBe("lawful");
  expect(await misled(afterModel, oldPool)).toContain("the model's part is paid to payee");
  expect(await misled(afterModel, buyer!)).toContain("the model's part is paid to payee");
});
