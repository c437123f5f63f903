import fc from "fast-check";
import { encodePacked } from "viem";
import { describe, expect, test } from "vitest";
import { compareBytes, concat, toHex } from "./bytes.ts";
import { unwrap } from "./result.ts";
import {
  comparePostings,
  decodePosting,
  decodeTotal,
  encodePosting,
  encodeTotal,
  indexTotals,
  type PostingById,
  type PostingLeaf,
  packPostings,
  packTotals,
  runningTotals,
} from "./settlement.ts";

const id = fc.uint8Array({ minLength: 32, maxLength: 32 });
const u128 = fc.oneof(fc.bigInt(0n, 5n), fc.bigInt(0n, 2n ** 128n - 1n));
const safe = fc.oneof(fc.nat(5), fc.maxSafeNat());
const postingLeaf = fc.record({
  index: safe,
  payee: id,
  seq: safe,
  leg: fc.nat(2 ** 32 - 1),
  amount: fc.oneof(fc.integer({ min: -3, max: 3 }), fc.maxSafeInteger()),
  cumulative: u128,
  grandTotal: u128,
});
const totalLeaf = fc.record({ index: safe, party: id, cumulative: u128 });

describe("leaves", () => {
  test("a posting is what Solidity's abi.encodePacked gives", () => {
    fc.assert(
      fc.property(postingLeaf, (leaf) => {
        expect(toHex(encodePosting(leaf))).toBe(
          encodePacked(
            ["uint64", "bytes32", "uint64", "uint32", "int128", "uint128", "uint128"],
            [
              BigInt(leaf.index),
              toHex(leaf.payee),
              BigInt(leaf.seq),
              leaf.leg,
              BigInt(leaf.amount),
              leaf.cumulative,
              leaf.grandTotal,
            ],
          ),
        );
        expect(unwrap(decodePosting(encodePosting(leaf)))).toEqual(leaf);
      }),
    );
  });

  test("a payout or debit is what Solidity's abi.encodePacked gives", () => {
    fc.assert(
      fc.property(totalLeaf, (leaf) => {
        expect(toHex(encodeTotal(leaf))).toBe(
          encodePacked(["uint64", "bytes32", "uint128"], [BigInt(leaf.index), toHex(leaf.party), leaf.cumulative]),
        );
        expect(unwrap(decodeTotal(encodeTotal(leaf)))).toEqual(leaf);
      }),
    );
  });

  test("many are packed one after the other, and must be as many as was said", () => {
    fc.assert(
      fc.property(
        fc.array(postingLeaf, { maxLength: 4 }),
        fc.array(totalLeaf, { maxLength: 4 }),
        (postings, totals) => {
          expect(packPostings(postings, postings.length)).toEqual(concat(...postings.map(encodePosting)));
          expect(packTotals(totals, totals.length)).toEqual(concat(...totals.map(encodeTotal)));
          expect(() => packTotals(totals, totals.length + 1)).toThrow("leaves");
          if (totals.length > 0) expect(() => packTotals(totals, totals.length - 1)).toThrow("no more than");
        },
      ),
    );
  });

  test.each([
    ["a cut posting", () => decodePosting(new Uint8Array(99))],
    ["a posting with a byte left over", () => decodePosting(new Uint8Array(101))],
    ["an amount beyond 2^53", () => decodePosting(new Uint8Array(100).fill(1, 52, 53))],
    ["an index beyond 2^53", () => decodePosting(new Uint8Array(100).fill(1, 0, 1))],
    ["a cut total", () => decodeTotal(new Uint8Array(55))],
    ["a total with a byte left over", () => decodeTotal(new Uint8Array(57))],
  ])("refuses %s", (_, decode) => {
    expect(decode()).toMatchObject({ ok: false, error: { code: "verification_failed" } });
  });

  test.each<[string, Partial<PostingLeaf>]>([
    ["a negative total", { cumulative: -1n }],
    ["a total of 2^128", { grandTotal: 2n ** 128n }],
    ["a fractional amount", { amount: 0.5 }],
    ["a short id", { payee: new Uint8Array(20) }],
    ["a leg of 2^32", { leg: 2 ** 32 }],
    ["a negative seq", { seq: -1 }],
  ])("cannot hold %s", (_, wrong) => {
    const leaf = { index: 0, payee: new Uint8Array(32), seq: 0, leg: 0, amount: 0, cumulative: 0n, grandTotal: 0n };
    expect(() => encodePosting({ ...leaf, ...wrong })).toThrow("broken invariant");
  });
});

describe("running totals", () => {
  const payees = [1, 2, 3].map((n) => new Uint8Array(32).fill(n));
  const posting: fc.Arbitrary<PostingById> = fc.record({
    payee: fc.constantFrom(...payees),
    seq: fc.nat(4),
    leg: fc.nat(2),
    amount: fc.integer({ min: -2, max: 9 }),
  });
  const postings = fc
    .uniqueArray(posting, { selector: ({ payee, seq, leg }) => `${payee[0]}/${seq}/${leg}`, maxLength: 20 })
    .map((some) => some.toSorted(comparePostings));

  test("each leaf adds its amount to its payee's and to the ledger's lifetime", () => {
    fc.assert(
      fc.property(postings, (some) => {
        const lifetimeOf = (payee: Uint8Array) => BigInt(payee[0]! * 1000);
        const leaves = [...runningTotals(some, lifetimeOf, 50_000n)];
        expect(leaves.map(({ payee, seq, leg, amount }) => ({ payee, seq, leg, amount }))).toEqual(some);
        for (const [i, leaf] of leaves.entries()) {
          const upTo = leaves.slice(0, i + 1);
          const sum = (of: readonly PostingById[]) => of.reduce((total, { amount }) => total + BigInt(amount), 0n);
          const own = upTo.filter(({ payee }) => compareBytes(payee, leaf.payee) === 0);
          expect(leaf.index).toBe(i);
          expect(leaf.cumulative).toBe(lifetimeOf(leaf.payee) + sum(own));
          expect(leaf.grandTotal).toBe(50_000n + sum(upTo));
        }
      }),
    );
  });

  test.each([
    ["a repeated posting", [0, 5, 0], [0, 5, 0]],
    ["a leg out of order", [0, 5, 1], [0, 5, 0]],
    ["a seq out of order", [0, 6, 0], [0, 5, 9]],
    ["a payee out of order", [1, 0, 0], [0, 9, 9]],
  ])("%s is a bug", (_, ...rows) => {
    const some = rows.map(([payee, seq, leg]) => ({ payee: payees[payee!]!, seq: seq!, leg: leg!, amount: 1 }));
    expect(() => [...runningTotals(some, () => 0n, 0n)]).toThrow("ascend strictly");
  });

  test("lifetime totals get dense indices, and are never zero", () => {
    const totals = payees.map((party, i) => ({ party, cumulative: BigInt(i + 1) }));
    expect([...indexTotals(totals)]).toEqual(totals.map((total, index) => ({ index, ...total })));
    expect(() => [...indexTotals([{ party: payees[0]!, cumulative: 0n }])]).toThrow("positive");
    expect(() => [...indexTotals([totals[2]!, totals[0]!])]).toThrow("ascend strictly");
    expect(() => [...indexTotals([totals[0]!, totals[0]!])]).toThrow("ascend strictly");
  });
});
