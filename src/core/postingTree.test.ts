import fc from "fast-check";
import { expect, test } from "vitest";
import { toHex, u64 } from "./bytes.ts";
import { keccak256 } from "./hash.ts";
import { PostingSums } from "./postingSums.ts";
import { PostingTree, rankPayees } from "./postingTree.ts";
import { comparePostings, POSTING_LEAF_BYTES, type PostingById, packPostings, runningTotals } from "./settlement.ts";
import { SettlementTree } from "./settlementTree.ts";

const PAYEES = 5;
const idOf = (payee: number) => keccak256(u64(payee));

const posting = fc.record({
  payee: fc.integer({ min: 1, max: PAYEES }),
  amount: fc.oneof(fc.integer({ min: -20, max: 20 }), fc.constant(Number.MAX_SAFE_INTEGER)),
});

test("in rounds of any size the tree has the leaves of all postings sorted at once", () => {
  const totals = fc.array(fc.bigInt({ min: 1_000n, max: 1n << 60n }), { minLength: PAYEES, maxLength: PAYEES });
  fc.assert(
    fc.property(fc.array(posting), totals, fc.integer({ min: 1, max: 9 }), fc.nat(), (drawn, before, round, at) => {
      // Legs of an entry come in their order, and entries in theirs.
      const postings = drawn.map((one, i) => ({ ...one, seq: Math.floor(i / 3), leg: i % 3 }));
      const lifetimeBefore = (payee: number) => before[payee - 1]!;
      const creditsBefore = before.reduce((sum, nano) => sum + nano, 0n);
      const sums = new PostingSums();
      for (const { payee, amount } of postings) sums.add(payee, amount);
      const wanted = postings.length === 0 ? {} : { wanted: at % postings.length };
      const ranked = rankPayees(new Set(sums.payees()), idOf);
      const tree = new PostingTree({ sums, ranked, lifetimeBefore, creditsBefore, ...wanted }, round);
      let rounds = 0;
      for (; !tree.isWhole; rounds++) {
        for (const { payee, seq, leg, amount } of postings) tree.add(payee, seq, leg, amount);
        tree.endRound();
      }
      const sorted = postings.map((one): PostingById => ({ ...one, payee: idOf(one.payee) })).sort(comparePostings);
      const numbers = new Map(Array.from({ length: PAYEES }, (_, i) => [toHex(idOf(i + 1)), i + 1]));
      const leaves = runningTotals(sorted, (id) => lifetimeBefore(numbers.get(toHex(id))!), creditsBefore);
      const packed = packPostings(leaves, sorted.length);
      const whole = SettlementTree.build(packed, POSTING_LEAF_BYTES);
      const { root, count, kept } = tree.finish();
      expect([root, count, rounds]).toEqual([whole.root, postings.length, Math.ceil(postings.length / round)]);
      for (const { wanted: index } of [wanted])
        if (index !== undefined) {
          expect(kept!.leaf(index)).toEqual(packed.slice(index * POSTING_LEAF_BYTES, (index + 1) * POSTING_LEAF_BYTES));
          expect(kept!.proof(index)).toEqual(whole.proof(index));
        }
    }),
  );
});

test("a round that does not show everything is a bug", () => {
  const sums = new PostingSums();
  for (const amount of [1, 2]) sums.add(1, amount);
  const ranked = rankPayees(new Set(sums.payees()), idOf);
  const tree = new PostingTree({ sums, ranked, lifetimeBefore: () => 0n, creditsBefore: 0n });
  tree.add(1, 0, 0, 1);
  expect(() => tree.endRound()).toThrow("a round shows all postings");
  expect(() => tree.finish()).toThrow("all rounds are over");
});

test("sums past what a number holds are exact", () => {
  const amounts = fc.array(fc.maxSafeInteger());
  fc.assert(
    fc.property(amounts, (list) => {
      const sums = new PostingSums();
      for (const amount of list) sums.add(2_000, amount);
      expect(sums.sumOf(2_000)).toBe(list.reduce((sum, amount) => sum + BigInt(amount), 0n));
      expect([sums.count, sums.countOf(2_000), [...sums.payees()].length]).toEqual([
        list.length,
        list.length,
        Math.min(list.length, 1),
      ]);
    }),
  );
});
