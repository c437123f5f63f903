import fc from "fast-check";
import { expect, test } from "vitest";
import { likelihoodOf, setsAsked } from "./likelihood.ts";

const lengths = fc.integer({ min: 0, max: 40_000 });

test("the number of sets never grows with what there is to read, and the first version asked 32 of anything", () => {
  fc.assert(
    fc.property(fc.integer({ min: 5, max: 30 }), lengths, lengths, lengths, (players, answer, read, more) => {
      const sets = setsAsked(players, answer, read, 2);
      expect(setsAsked(players, answer + more, read, 2)).toBeLessThanOrEqual(sets);
      expect(setsAsked(players, answer, read + more, 2)).toBeLessThanOrEqual(sets);
      expect(sets).toBeLessThanOrEqual(32);
      expect(sets).toBeGreaterThanOrEqual(Math.min(32, 2 * players + 2));
      expect(setsAsked(players, answer, read, 1)).toBe(32);
    }),
  );
});

test.each([
  // records  characters each  answer  version  sets
  [3, 2_000, 9_000, 2, 8], // up to four: every set
  [4, 2_000, 9_000, 2, 16],
  [6, 500, 1_600, 2, 32], // 32 · (1,600 + 1,500) is within 100,000
  [6, 500, 1_700, 2, 14],
  [6, 500, 1_700, 1, 32],
  [5, 1_000, 4_000, 2, 12],
])(
  "%i records of %i characters and an answer of %i, version %i: %i sets",
  async (count, each, answer, version, sets) => {
    const asked: string[] = [];
    const evidence = await likelihoodOf({
      ...{
        corpus: { recordId: (record) => new Uint8Array(32).fill(record) },
        canonicalOf: (record) => record,
        version,
      },
      ...{ context: Array.from({ length: count }, (_, i) => i), answerLength: answer, lengthOf: () => each },
      draw: (below) => below >> 1,
      scores: async (read) => {
        asked.push(...read.map(String));
        return read.map((records) => -100 + 10 * Number(records.includes(0)) + 5 * Number(records.includes(1)));
      },
    }).explain(1_000);
    expect(asked).toHaveLength(sets);
    expect(new Set(asked).size).toBe(sets);
    expect(evidence.map(({ recordNumber, weight }) => [recordNumber, weight])).toEqual([
      [0, expect.closeTo(100, -1)],
      [1, expect.closeTo(50, -1)],
    ]);
  },
);
