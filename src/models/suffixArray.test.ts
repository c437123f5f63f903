import fc from "fast-check";
import { expect, test } from "vitest";
import { buildSuffixArray } from "./suffixArray.ts";

test("sorts suffixes like a naive sort, on small alphabets where ties are long", () => {
  const texts = fc.integer({ min: 1, max: 5 }).chain((alphabet) =>
    fc.record({
      alphabet: fc.constant(alphabet),
      text: fc.array(fc.nat(alphabet - 1), { maxLength: 120 }),
    }),
  );
  fc.assert(
    fc.property(texts, ({ alphabet, text }) => {
      expect([...buildSuffixArray(Uint16Array.from(text), alphabet)]).toEqual(naive(text));
    }),
    { numRuns: 2_000 },
  );
});

test("sorts repeated blocks, which force the recursion several levels deep", () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(3), { minLength: 1, maxLength: 6 }),
      fc.integer({ min: 1, max: 60 }),
      fc.array(fc.nat(3), { maxLength: 4 }),
      (block, times, tail) => {
        const text = [...Array.from({ length: times }, () => block).flat(), ...tail];
        expect([...buildSuffixArray(Uint16Array.from(text), 4)]).toEqual(naive(text));
      },
    ),
    { numRuns: 500 },
  );
});

test.each([
  ["nothing", [], []],
  ["one", [3], [0]],
  ["banana", [1, 0, 2, 0, 2, 0], [5, 3, 1, 0, 4, 2]],
  ["equal symbols", [7, 7, 7], [2, 1, 0]],
])("%s", (_name, text, expected) => {
  expect([...buildSuffixArray(Uint16Array.from(text), 8)]).toEqual(expected);
});

function naive(text: readonly number[]): number[] {
  const smaller = (a: number, b: number): number => {
    let k = 0;
    while (a + k < text.length && b + k < text.length && text[a + k] === text[b + k]) k++;
    if (a + k >= text.length || b + k >= text.length) return b - a;
    return text[a + k]! - text[b + k]!;
  };
  return text.map((_symbol, i) => i).sort(smaller);
}
