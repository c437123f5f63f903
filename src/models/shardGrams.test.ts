import fc from "fast-check";
import { expect, test } from "vitest";
import { GRAM_TOKENS, gramPages, gramsOf, reachOf } from "./shardGrams.ts";

const symbol = fc.integer({ min: 1, max: 8_191 });

test("what stands in a record may stand there: nothing is excluded that occurs", () => {
  fc.assert(
    fc.property(fc.array(fc.array(symbol, { maxLength: 20 }), { maxLength: 5 }), fc.nat(40), (records, skip) => {
      const grams = gramsOf(Uint16Array.from(records.flatMap((record) => [...record, 0])));
      for (const record of records) {
        const from = Math.min(skip, record.length);
        expect(reachOf(grams, Uint16Array.from(record), from, record.length - from)).toBe(record.length - from);
      }
    }),
  );
});

test("most of what stands nowhere is excluded, and what only crosses two records too; less than a gram never is", () => {
  let state = 1;
  const random = (): number => {
    state = (state * 48_271) % 2_147_483_647;
    return 1 + (state % 8_191);
  };
  const text = Uint16Array.from({ length: 60_000 }, (_, i) => (i % 300 === 299 ? 0 : random()));
  const grams = gramsOf(text);
  expect(grams.byteLength).toBe(gramPages(text.length) * 4_096);
  const query = Uint16Array.from({ length: 4_000 }, random);
  const passed = Array.from({ length: 900 }, (_, i) => reachOf(grams, query, 4 * i, 4) === GRAM_TOKENS);
  expect(passed.filter(Boolean).length / passed.length).toBeLessThan(0.5);
  const across = Array.from({ length: 190 }, (_, i) =>
    [...text.slice(300 * i + 297, 300 * i + 303)].filter((t) => t > 0),
  );
  const crossed = across.filter((piece) => reachOf(grams, Uint16Array.from(piece), 0, 4) === GRAM_TOKENS);
  expect(crossed.length / across.length).toBeLessThan(0.5);
  for (let length = 0; length < GRAM_TOKENS; length++) expect(reachOf(grams, query, 0, length)).toBe(length);
});
