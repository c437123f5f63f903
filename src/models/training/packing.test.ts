import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { EncodedExample } from "./chatTemplate.ts";
import { isCut, lengthOf, microBatches, pack, planEpoch, windowsOf } from "./packing.ts";

/** Texts (all targets but the first) and conversations (any targets but the first). */
const examples: fc.Arbitrary<EncodedExample[]> = fc
  .array(
    fc.record({
      record: fc.constantFrom("a", "b", "c"),
      bits: fc.array(fc.boolean(), { minLength: 1, maxLength: 20 }),
      isText: fc.boolean(),
    }),
    { maxLength: 30 },
  )
  .map((all) =>
    all.map(({ record, bits, isText }, i) => ({
      record,
      tokens: Uint16Array.from(bits, (_bit, at) => i * 32 + at),
      isTarget: Uint8Array.from(bits, (bit, at) => (at > 0 && (isText || bit) ? 1 : 0)),
    })),
  );

const targets = ({ tokens, isTarget }: EncodedExample): number[] =>
  Array.from(tokens).filter((_token, i) => isTarget[i] === 1);

describe("windows", () => {
  it("predict every token of a text once, and of a conversation those of its beginning", () => {
    fc.assert(
      fc.property(examples, fc.integer({ min: 2, max: 12 }), (all, tokensMax) => {
        for (const example of all) {
          const windows = windowsOf(example, tokensMax);
          const isText = example.tokens.length > 1 && example.isTarget.subarray(1).every((bit) => bit === 1);
          const first = {
            ...example,
            tokens: example.tokens.slice(0, tokensMax),
            isTarget: example.isTarget.slice(0, tokensMax),
          };
          expect(windows.flatMap(targets)).toEqual(targets(isText ? example : first));
          expect(isCut(example, tokensMax)).toBe(!isText && first.tokens.length < example.tokens.length);
          for (const { tokens, isTarget, record } of windows) {
            expect(tokens.length).toBeLessThanOrEqual(tokensMax);
            expect([isTarget[0], isTarget.length, record]).toEqual([0, tokens.length, example.record]);
          }
        }
      }),
    );
  });
});

describe("packing", () => {
  it("loses and repeats nothing, and no sequence is too long", () => {
    fc.assert(
      fc.property(examples, fc.integer({ min: 20, max: 60 }), (all, tokensMax) => {
        const sequences = pack(all, tokensMax);
        expect(new Set(sequences.flat())).toEqual(new Set(all));
        expect(sequences.flat().length).toBe(all.length);
        for (const sequence of sequences) expect(lengthOf(sequence)).toBeLessThanOrEqual(tokensMax);
        // First fit: two sequences side by side are never both less than half full.
        if (sequences.length <= 32)
          sequences.slice(1).forEach((sequence, i) => {
            expect(lengthOf(sequence) + lengthOf(sequences[i]!)).toBeGreaterThan(tokensMax - 2);
          });
      }),
    );
  });

  it("plans an epoch from its seed alone, each epoch otherwise, nothing left out", () => {
    fc.assert(
      fc.property(examples, fc.nat(), fc.integer({ min: 1, max: 4 }), (all, seed, batchSize) => {
        const options = { seed, batchSize, sequenceTokens: 20 };
        const plan = planEpoch(all, options, 0);
        expect(planEpoch(all, options, 0)).toEqual(plan);
        expect(plan.flat(2).length).toBe(all.length);
        for (const step of plan) expect(step.length).toBeLessThanOrEqual(batchSize);
        if (all.length > 12) expect(planEpoch(all, options, 1).flat(2)).not.toEqual(plan.flat(2));
      }),
    );
  });

  it("cuts a step into batches that keep their order and fit, unless one sequence does not", () => {
    fc.assert(
      fc.property(examples, fc.integer({ min: 1, max: 100 }), (all, tokensMax) => {
        const sequences = pack(all, 20);
        const batches = microBatches(sequences, tokensMax);
        expect(batches.flat()).toEqual(sequences);
        for (const batch of batches) {
          const padded = batch.length * Math.max(...batch.map(lengthOf));
          expect(batch.length === 1 || padded <= tokensMax).toBe(true);
        }
      }),
    );
  });
});
