import fc from "fast-check";
import { expect, test } from "vitest";
import { settlementSchema } from "../protocol/completions.ts";
import { pendingSettlement, promiseText, settlementOf, settlementText, wirePromise } from "./settlementView.ts";

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const promise = fc.record({
  ...{ receipt: bytes(16), amount: fc.maxSafeNat(), seq: fc.maxSafeNat() },
  entry: fc.uint8Array({ minLength: 1, maxLength: 700 }),
  ...{ first: fc.maxSafeNat(), count: fc.nat(), root: bytes(32), path: fc.array(bytes(32), { maxLength: 4 }) },
  ...{ deadlineMs: fc.maxSafeNat(), signature: bytes(65) },
});

test("a promise written by hand is the JSON of its wire form", () => {
  fc.assert(
    fc.property(promise, (given) => {
      expect(promiseText(given)).toBe(JSON.stringify(wirePromise(given)));
    }),
  );
});

test("so is one whose entry is larger than what is usually encoded at once", () => {
  fc.assert(
    fc.property(promise, (small) => {
      const given = { ...small, entry: new Uint8Array(140_000).fill(7) };
      expect(promiseText(given)).toBe(JSON.stringify(wirePromise(given)));
    }),
    { numRuns: 5 },
  );
});

test("a settlement with its promise is what the schema says", () => {
  fc.assert(
    fc.property(promise, fc.string(), fc.string(), (given, operator, why) => {
      const fee = { cost: 1, royalty: 2 };
      const settling = { receipt: given.receipt, operator, why, isPartial: false, queuedMs: 1.4, fee };
      const pending = pendingSettlement(settling);
      expect(settlementSchema.parse(JSON.parse(settlementText(pending, undefined)))).toEqual(pending);
      const settlement = settlementOf(settling, undefined, () => undefined);
      const whole = { ...settlement, promise: wirePromise(given) };
      expect(settlementSchema.parse(JSON.parse(settlementText(settlement, given)))).toEqual(whole);
      expect(JSON.parse(settlementText(settlement, undefined))).toEqual(settlement);
    }),
  );
});
