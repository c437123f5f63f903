import fc from "fast-check";
import { expect, test } from "vitest";
import { packSuffixes, suffixAt, suffixBytes, viewSuffixes } from "./suffixes.ts";

const CORPORA = [1, 2 ** 24, 2 ** 24 + 1, 2 ** 28, 2 ** 28 + 1, 2 ** 31 - 2];

test("every position comes back from its place, in every size of corpus, also from a copy of the bytes", () => {
  const packed = fc
    .constantFrom(...CORPORA)
    .chain((tokens) =>
      fc.tuple(fc.constant(tokens), fc.array(fc.oneof(fc.nat(tokens - 1), fc.constant(tokens - 1)), { maxLength: 20 })),
    );
  fc.assert(
    fc.property(packed, ([tokens, positions]) => {
      const suffixes = packSuffixes(Int32Array.from(positions), tokens);
      const { view, length } = suffixes;
      expect(length).toBe(positions.length);
      expect(positions.map((_, place) => suffixAt(suffixes, place))).toEqual(positions);
      const copy = new Uint8Array(new SharedArrayBuffer(view.byteLength + 4)).subarray(4);
      copy.set(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
      const again = viewSuffixes(copy, length, tokens);
      expect(positions.map((_, place) => suffixAt(again, place))).toEqual(positions);
    }),
    { numRuns: 2_000 },
  );
});

test.each([
  [10_000_000, 3],
  [2 ** 24, 3],
  [2 ** 24 + 1, 3.5],
  [2 ** 28, 3.5],
  [2 ** 28 + 1, 4],
])("of %i tokens a suffix takes %f bytes", (tokens, bytes) => {
  expect(suffixBytes(tokens, tokens)).toBeGreaterThanOrEqual(bytes * tokens);
  expect(suffixBytes(tokens, tokens)).toBeLessThan(bytes * tokens + 8);
});
