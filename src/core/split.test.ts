import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { utf8 } from "./bytes.ts";
import { keccak256 } from "./hash.ts";
import { poolOffset, splitSystematic, stageOffset, sumWeights } from "./split.ts";

const ledger = keccak256(utf8("a ledger"));
/** Small weights and many zeros, so that ties and empty parts are common. */
const weightsArbitrary = fc
  .array(fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 5 }), fc.integer({ min: 0, max: 2 ** 31 })), {
    minLength: 1,
    maxLength: 12,
  })
  .filter((weights) => {
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return total > 0 && total <= 2 ** 32;
  });
const amountArbitrary = fc.oneof(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }));

/** The definition in DESIGN's words, in BigInt throughout. */
function byDefinition(amount: number, weights: readonly number[], offset: number): number[] {
  const total = BigInt(sumWeights(weights));
  const floorAt = (prefix: bigint) => (BigInt(amount) * prefix + BigInt(offset)) / total;
  let prefix = 0n;
  return weights.map((weight) => {
    const before = floorAt(prefix);
    prefix += BigInt(weight);
    return Number(floorAt(prefix) - before);
  });
}

describe("systematic split", () => {
  test("is the definition, sums to the amount, and every part is within one unit of its quota", () => {
    fc.assert(
      fc.property(amountArbitrary, weightsArbitrary, fc.nat(), (amount, weights, seed) => {
        const total = sumWeights(weights);
        const offset = seed % total;
        const parts = splitSystematic(amount, weights, offset);
        expect(parts).toEqual(byDefinition(amount, weights, offset));
        expect(parts.reduce((sum, part) => sum + BigInt(part), 0n)).toBe(BigInt(amount));
        for (const [i, part] of parts.entries()) {
          const quotaTimesTotal = BigInt(amount) * BigInt(weights[i]!);
          const error = BigInt(part) * BigInt(total) - quotaTimesTotal;
          expect(error < BigInt(total) && error > -BigInt(total)).toBe(true);
          if (weights[i] === 0) expect(part).toBe(0);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test("a part's expectation over all offsets is exactly its quota", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 30 }),
        fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 6 }),
        (amount, weights) => {
          fc.pre(weights.some((weight) => weight > 0));
          const total = sumWeights(weights);
          const sums = weights.map(() => 0);
          for (let offset = 0; offset < total; offset++) {
            for (const [i, part] of splitSystematic(amount, weights, offset).entries()) sums[i]! += part;
          }
          expect(sums).toEqual(weights.map((weight) => amount * weight));
        },
      ),
    );
  });

  test("a negative amount is split as its opposite, without negative zeros", () => {
    expect(splitSystematic(-10, [1, 1, 0], 0)).toEqual([-5, -5, 0]);
    expect(splitSystematic(-10, [1, 1, 0], 0).map((part) => Object.is(part, -0))).toEqual([false, false, false]);
  });

  test.each([
    { amount: 10, weights: [1, 1, 1], offset: 0, parts: [3, 3, 4] },
    { amount: 10, weights: [1, 1, 1], offset: 1, parts: [3, 4, 3] },
    { amount: 10, weights: [1, 1, 1], offset: 2, parts: [4, 3, 3] },
    { amount: 1, weights: [5, 5], offset: 0, parts: [0, 1] },
    { amount: 1, weights: [5, 5], offset: 5, parts: [1, 0] },
    { amount: 0, weights: [7], offset: 6, parts: [0] },
    {
      amount: 9_007_199_254_740_991,
      weights: [2 ** 31, 2 ** 31],
      offset: 0,
      parts: [4_503_599_627_370_495, 4_503_599_627_370_496],
    },
  ])("$amount over $weights at $offset", ({ amount, weights, offset, parts }) => {
    expect(splitSystematic(amount, weights, offset)).toEqual(parts);
  });
});

describe("offsets", () => {
  test("are the 256-bit hash modulo the total", () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat({ max: 7 }), fc.integer({ min: 1, max: 2 ** 32 }), (seq, stage, total) => {
        const preimage = new Uint8Array(41);
        preimage.set(ledger);
        new DataView(preimage.buffer).setBigUint64(32, BigInt(seq));
        preimage[40] = stage;
        const wide = keccak256(preimage).reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
        expect(stageOffset(ledger, seq, stage, total)).toBe(Number(wide % BigInt(total)));
      }),
    );
  });

  test("are pinned: a change of encoding would re-route every receipt", () => {
    expect(stageOffset(ledger, 7, 3, 1_000_000)).toMatchInlineSnapshot(`443023`);
    expect(poolOffset(ledger, 2, ledger, 2 ** 32)).toMatchInlineSnapshot(`1530682556`);
  });
});
