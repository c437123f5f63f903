import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { toHex, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { noPrices } from "../core/quote.ts";
import { unwrap } from "../core/result.ts";
import { EVIDENCE_TOTAL } from "../core/route.ts";
import type { ReportedDraft, ReportedOutcome } from "./execution.ts";
import {
  account,
  assets,
  id32,
  open,
  parties,
  type SmallLedger,
  smallLedger,
  verified,
} from "./testing/smallLedger.ts";

describe("reported executions", () => {
  test("are booked once, however often, in whatever order and in whatever batches they come", async () => {
    const words = fc.record({ id: fc.nat(5), cost: fc.nat(30), royalty: fc.nat(30), parent: fc.option(fc.nat(5)) });
    const histories = fc.record({
      rows: fc.uniqueArray(words, { selector: (word) => word.id, minLength: 1, maxLength: 6 }),
      repeats: fc.array(fc.tuple(fc.nat(5), fc.nat(5)), { maxLength: 6 }),
    });
    await fc.assert(
      fc.asyncProperty(histories, async ({ rows, repeats }) => {
        const { small, book } = await begin();
        const drafts = rows.map(({ id, cost, royalty, parent }) =>
          reported(String(id), cost, royalty, parent === null ? {} : { parent: String(parent) }),
        );
        const order = [...drafts, ...repeats.map(([at]) => drafts[at % drafts.length]!)];
        for (let at = 0; at < order.length; ) {
          const size = 1 + (repeats[at % 6]?.[1] ?? 2);
          for (const { outcome } of await book(order.slice(at, at + size)))
            expect(["booked", "known"]).toContain(outcome);
          at += size;
        }
        const due = rows.reduce((sum, { cost, royalty }) => sum + BigInt(cost + royalty), 0n);
        expect(small.ledger.books.totals()).toMatchObject({ receipts: rows.length, debited: due, credited: due });
        await verified(small);
      }),
      { numRuns: 40 },
    );
  });

  test("nest within a batch and are linked across batches, whichever comes first; nothing is nested and linked, or neither", async () => {
    const rowOf = fc.record({
      parent: fc.option(fc.nat(5)),
      alias: fc.boolean(),
      payer: fc.nat(1),
      isLate: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(rowOf, { maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 3 })),
        async (rows, sizes) => {
          const { small, payer, book } = await begin(1_000);
          const other = (await account(small, 1_000)).id;
          const payers = [payer, other];
          // Who causes others is called by its span where it has one.
          const nameOf = (at: number) => (rows[at]?.alias ? `span ${at}` : String(at));
          const drafts = rows.map(({ parent, alias, payer: by, isLate }, at) =>
            reported(String(at), 1 + at, 0, {
              ...{
                account: payers[by]!,
                ...(alias ? { alias: `span ${at}` } : {}),
                ...(isLate ? { isAmendment: true } : {}),
              },
              ...(parent === null ? {} : { parent: nameOf(parent) }),
            }),
          );
          const batchOf: number[] = [];
          for (let at = 0, turn = 0; at < drafts.length; turn++) {
            const size = sizes[turn % Math.max(1, sizes.length)] ?? 2;
            for (const outcome of await book(drafts.slice(at, at + size))) expect(outcome.outcome).toBe("booked");
            for (const end = Math.min(drafts.length, at + size); at < end; at++) batchOf[at] = turn;
          }
          const { books } = small.ledger;
          for (const [at, { parent }] of rows.entries()) {
            const { id: _, source, ...mine } = drafts[at]!;
            const receipt = books.reportedId(source, String(at));
            expect(await books.findReported({ source, id: nameOf(at) })).toEqual(receipt);
            const said = (await books.reportedAs(receipt))!;
            expect([said.source, said.id]).toEqual([source, String(at)]);
            const isNested = (await books.receipt(receipt))!.receipt.nesting.depth > 0;
            const causeId = parent === null ? undefined : nameOf(parent);
            const isLinked = causeId !== undefined && causeId !== String(at) && !isNested;
            expect(said.causedBy?.id).toBe(isLinked ? causeId : undefined);
            const cause =
              parent !== null && parent < rows.length ? books.reportedId(source, String(parent)) : undefined;
            if (isLinked) expect(said.causedBy?.receipt).toEqual(cause);
            if (isNested) expect([batchOf[at], mine.account]).toEqual([batchOf[parent!], drafts[parent!]!.account]);
            if (!isLinked || cause === undefined) continue;
            const seen = (await books.reportedAs(cause))!.caused.map(({ id }) => id);
            expect(seen.includes(String(at))).toBe(drafts[parent!]!.account === mine.account);
          }
          await verified(small);
        },
      ),
      { numRuns: 40 },
    );
  });

  test("a receipt says which later words there were on it, and what was served here was reported as nothing", async () => {
    const { small, book } = await begin(1_000);
    const [first] = await book([reported("1", 10, 0)]);
    const words = [20, 30].map((cost) => reported("1", cost, 0, { isAmendment: true }));
    const seqs: number[] = [];
    for (const word of words) for (const one of await book([word])) if ("seq" in one) seqs.push(one.seq);
    const { books } = small.ledger;
    expect(first?.outcome === "booked" && (await books.reportedAs(first.receipt))).toMatchObject({ laterWords: seqs });
    expect(await books.reportedAs(new Uint8Array(16))).toBeUndefined();
    expect(await books.findReported({ source: "test", id: "2" })).toBeUndefined();
  });

  test("a span that two executions claim names the first of them, and none is lost", async () => {
    const { small, book } = await begin(1_000);
    const outcomes = await book([
      reported("a", 1, 0, { alias: "s" }),
      reported("b", 2, 0, { alias: "s" }),
      reported("c", 4, 0, { alias: "a" }),
      reported("d", 8, 0, { parent: "s" }),
    ]);
    expect(outcomes.map(shown)).toEqual(["booked 1", "booked 2", "booked 4", "booked 8"]);
    const again = await Promise.all([book([reported("e", 1, 0, { alias: "f" })]), book([reported("f", 2, 0)])]);
    expect(again.flat().map(shown)).toEqual(["booked 1", "refused conflict"]);
    expect((await book([reported("f", 3, 0, { isAmendment: true })])).map(shown)).toEqual(["corrected 2"]);
    const { books } = small.ledger;
    expect(await books.findReported({ source: "test", id: "s" })).toEqual(books.reportedId("test", "a"));
    expect(await books.findReported({ source: "test", id: "a" })).toEqual(books.reportedId("test", "a"));
    await verified(small);
  });

  test("an outcome a row: what is refused holds up nothing else", async () => {
    const { book } = await begin();
    const outcomes = await book([
      reported("1", 10, 10),
      reported("2", 1, 1, { model: id32(99) }),
      reported("3", 1, 1, { account: "acct_none" }),
      reported("4", 1, 1, { model: assets.datanet }),
      reported("1", 10, 10),
      reported("1", 11, 10),
      reported("5", Number.MAX_SAFE_INTEGER, 1),
    ]);
    expect(outcomes.map(shown)).toEqual([
      "booked 20",
      "refused model_not_found",
      "refused not_found",
      "refused invalid_request",
      "known",
      "refused conflict",
      "refused amount_out_of_range",
    ]);
  });

  test("credit that is asked for covers the batch as a whole; in arrears none is asked for", async () => {
    const { small, payer } = await begin(25);
    const rows = ["1", "2", "3"].map((id) => reported(id, 10, 0, { account: payer }));
    const report = async (credit: "prepaid" | "arrears") =>
      unwrap(await small.ledger.books.report(rows, credit)).map(shown);
    expect(await report("prepaid")).toEqual(["booked 10", "booked 10", "refused insufficient_funds"]);
    expect(await report("arrears")).toEqual(["known", "known", "booked 10"]);
    expect(small.ledger.accounts.balance(payer)).toMatchObject({ spent: 30n, held: 0n, available: -5n });
  });

  test("causes are journalled after what they caused: amount = own + Σ children", async () => {
    const { small, book, payer } = await begin();
    const other = (await account(small, 1_000)).id;
    const outcomes = await book([
      reported("root", 1, 0),
      reported("child", 2, 0, { parent: "root" }),
      reported("grandchild", 4, 0, { parent: "child" }),
      reported("sibling", 8, 0, { parent: "root" }),
      reported("stranger", 16, 0, { parent: "root", account: other }),
      reported("orphan", 32, 0, { parent: "nobody" }),
      reported("itself", 64, 0, { parent: "itself" }),
    ]);
    const byId = new Map<string, { depth: number; children: number }>();
    for (const [at, outcome] of outcomes.entries()) {
      if (outcome.outcome !== "booked") throw new Error("every row is booked");
      const { nesting } = (await small.ledger.books.receipt(outcome.receipt))!.receipt;
      byId.set(["root", "child", "grandchild", "sibling", "stranger", "orphan", "itself"][at]!, {
        depth: nesting.depth,
        children: nesting.childrenTotal,
      });
    }
    expect(Object.fromEntries(byId)).toEqual({
      root: { depth: 0, children: 14 },
      child: { depth: 1, children: 4 },
      grandchild: { depth: 2, children: 0 },
      sibling: { depth: 1, children: 0 },
      stranger: { depth: 0, children: 0 },
      orphan: { depth: 0, children: 0 },
      itself: { depth: 0, children: 0 },
    });
    expect(small.ledger.accounts.balance(payer)?.spent).toBe(111n);
    await verified(small);
  });

  test("the same rows by two senders at once, and again after a restart", async () => {
    const { small, book } = await begin();
    const rows = Array.from({ length: 20 }, (_, i) => reported(String(i), i, i));
    const both = await Promise.all([book(rows), book(rows.toReversed())]);
    expect(both.flat().filter(({ outcome }) => outcome === "booked")).toHaveLength(20);
    await small.ledger.close();
    const again = await open(small.store, small.world);
    const outcomes = unwrap(await again.books.report(rows, "arrears"));
    expect(new Set(outcomes.map(({ outcome }) => outcome))).toEqual(new Set(["known"]));
    expect(again.books.totals().receipts).toBe(20);
  });
});

describe("amendments", () => {
  test("bring a receipt to its last word, and every nano of it is explained", async () => {
    const fee = fc.record({ cost: fc.nat(40), royalty: fc.nat(40) });
    await fc.assert(
      fc.asyncProperty(fee, fc.array(fee, { minLength: 1, maxLength: 5 }), async (first, later) => {
        const { small, book, payer } = await begin();
        await book([reported("x", first.cost, first.royalty, declared)]);
        for (const { cost, royalty } of later) await book([amended("x", cost, royalty)]);
        // Old batches that come again change nothing.
        await book([reported("x", first.cost, first.royalty, declared)]);
        const distinct = [first, ...later].filter(
          (word, i, all) => all.findIndex((other) => other.cost === word.cost && other.royalty === word.royalty) === i,
        );
        const last = distinct.at(-1)!;
        const repeatsOld = distinct.length !== later.length + 1;
        if (!repeatsOld) expect(small.ledger.accounts.balance(payer)?.spent).toBe(BigInt(last.cost + last.royalty));
        const { credited, debited } = small.ledger.books.totals();
        expect(credited).toBe(debited);
        await verified(small);
      }),
      { numRuns: 40 },
    );
  });

  test.each([
    ["that says the same again", amended("x", 10, 10), "known"],
    ["that finds more", amended("x", 15, 12), "corrected 7"],
    ["that finds less", amended("x", 10, 3), "corrected -7"],
    ["of what is not here yet", amended("y", 3, 4), "booked 7"],
    ["with another model", amended("x", 15, 12, { model: assets.plain }), "refused conflict"],
    ["with another operator", amended("x", 15, 12, { operator: parties.ann }), "refused conflict"],
    ["of another payer", amended("x", 15, 12, { account: "acct_none" }), "refused conflict"],
    ["without saying that it is one", reported("x", 15, 12, declared), "refused conflict"],
  ])("one %s", async (_, draft, expected) => {
    const { book, small } = await begin();
    await book([reported("x", 10, 10, declared)]);
    const [outcome] = await book([draft]);
    expect(shown(outcome!)).toBe(expected);
    expect(shown((await book([draft]))[0]!)).toBe(outcome!.outcome === "refused" ? expected : "known");
    await verified(small);
  });

  test("one that overtakes the row that it amends is the last word all the same", async () => {
    const { small, book, payer } = await begin();
    expect((await book([amended("x", 5, 5), reported("x", 9, 9, declared)])).map(shown)).toEqual([
      "booked 10",
      "known",
    ]);
    expect(small.ledger.accounts.balance(payer)?.spent).toBe(10n);
  });

  test("more needs credit, and legs that are not the receipt's are found by whoever verifies", async () => {
    const { small, payer } = await begin(25);
    const report = async (draft: ReportedDraft) =>
      shown(unwrap(await small.ledger.books.report([{ ...draft, account: payer }], "prepaid"))[0]!);
    expect(await report(reported("x", 10, 10, declared))).toBe("booked 20");
    expect(await report(amended("x", 20, 10))).toBe("refused insufficient_funds");
    expect(await report(amended("x", 12, 10))).toBe("corrected 2");
  });
});

describe("declared contributors", () => {
  test("are paid through a pool, exactly, and measure nothing", async () => {
    const { small, book } = await begin();
    const pool = unwrap(await small.ledger.assets.declare(assets.model, shares(3, 1)));
    expect(toHex(unwrap(await small.ledger.assets.declare(assets.model, shares(3, 1))))).toBe(toHex(pool));
    const contributors = { shares: [{ payee: pool, type: "pool", weight: EVIDENCE_TOTAL }], unattributed: 0 } as const;
    await book([reported("1", 0, 1_000, { model: assets.model, contributors })]);
    unwrap(await small.ledger.epochs.closeEpoch({ registryBlock: 0 }));
    const [ann, ben] = [parties.ann, parties.ben].map((id) => Number(small.ledger.books.accrued(id).lifetime));
    // Context and contributors share 70 %: 600 without stakers, in the ratio of 3 to 1.
    expect(ann! + ben!).toBe(600);
    expect(Math.abs(ann! - 450)).toBeLessThanOrEqual(1);
    await verified(small);
  });

  test.each([
    ["an unknown model", id32(99), shares(1, 1)],
    ["nobody", assets.model, []],
    ["no weight", assets.model, shares(0, 1)],
    ["half a weight", assets.model, shares(0.5, 1)],
    ["too much weight", assets.model, shares(2 ** 32, 1)],
  ])("%s is refused", async (_, model, declaredShares) => {
    const { small } = await begin();
    expect((await small.ledger.assets.declare(model, declaredShares)).ok).toBe(false);
  });
});

async function begin(credit = 1_000) {
  const small: SmallLedger = await smallLedger();
  const payer = (await account(small, credit)).id;
  const book = async (drafts: readonly ReportedDraft[]): Promise<readonly ReportedOutcome[]> =>
    unwrap(
      await small.ledger.books.report(
        drafts.map((draft) => ({ ...draft, account: draft.account === "" ? payer : draft.account })),
        "arrears",
      ),
    );
  return { small, payer, book };
}

function reported(id: string, cost: number, royalty: number, more: Partial<ReportedDraft> = {}): ReportedDraft {
  const none = new Uint8Array(32);
  return {
    ...{ source: "test", id, bodyHash: sha256(utf8(`${cost} ${royalty}`)).slice(0, 16), account: "" },
    ...{ operator: parties.operator, model: assets.plain, rate: { nanoPerUsd: 1, source: "test" } },
    flags: { reported: true, unaudited: false, partial: false, undeclared: true },
    quote: { unit: "nano", cost: { ...noPrices, perCall: cost }, royalty: { ...noPrices, perCall: royalty } },
    usage: { tokensIn: 3, tokensOut: 4, calls: 1 },
    ...{ promptHash: none, answerHash: none, evidenceRoot: none, indexId: none, methodsHash: none },
    ...more,
  };
}

/** With contributors of its own, so that there is something to divide. */
const declared = {
  model: assets.model,
  contributors: { shares: shares(300_000, 200_000), unattributed: 500_000 },
} satisfies Partial<ReportedDraft>;

function amended(id: string, cost: number, royalty: number, more: Partial<ReportedDraft> = {}): ReportedDraft {
  return reported(id, cost, royalty, { ...declared, isAmendment: true, ...more });
}

function shares(ann: number, ben: number) {
  return [
    { payee: parties.ann, type: "party", weight: ann },
    { payee: parties.ben, type: "party", weight: ben },
  ] as const;
}

function shown(outcome: ReportedOutcome): string {
  if (outcome.outcome === "refused") return `refused ${outcome.refusal.code}`;
  return "amount" in outcome ? `${outcome.outcome} ${outcome.amount}` : outcome.outcome;
}
