import fc from "fast-check";
import { expect, it, test } from "vitest";
import { unwrap } from "../core/result.ts";
import { projections } from "../models/llama.ts";
import { tinyShape } from "../models/testing/randomLlama.ts";
import { resolveOptions } from "./options.ts";

const shape = tinyShape({ contextTokens: 128 });

it("chooses whole options for any number of tokens: what fits the base, seen often enough, in steps that are neither one nor thousands", () =>
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5_000_000 }), (tokens) => {
      const options = unwrap(resolveOptions({}, shape, tokens));
      expect(options.sequenceTokens).toBeLessThanOrEqual(shape.contextTokens);
      expect(options.epochs).toBeGreaterThanOrEqual(2);
      expect(options.epochs).toBeLessThanOrEqual(10);
      expect(options.batchSize).toBeGreaterThanOrEqual(1);
      expect(options.batchSize).toBeLessThanOrEqual(8);
      const sequences = Math.ceil(tokens / options.sequenceTokens);
      const steps = options.epochs * Math.ceil(sequences / options.batchSize);
      expect(steps).toBeGreaterThanOrEqual(Math.min(8, sequences) * 2);
      expect(Math.ceil(steps / options.checkpointEvery)).toBeLessThanOrEqual(6);
      expect(options.adapter).toEqual({ rank: 8, alpha: 16, dropout: 0, targets: [...projections] });
    }),
  ));

it("takes what was wished, and the same set of targets in any order is the same adapter", () =>
  fc.assert(
    fc.property(
      fc.shuffledSubarray([...projections], { minLength: 1 }),
      fc.integer({ min: 1, max: 32 }),
      (targets, rank) => {
        const wish = { lora: { rank, targets }, epochs: 3, batchSize: 2, seed: 9, learningRateMultiplier: 0.5 };
        const options = unwrap(resolveOptions(wish, shape, 1_000));
        expect(options).toMatchObject({ epochs: 3, batchSize: 2, seed: 9, learningRate: 0.0015 });
        expect(options.adapter).toEqual({
          ...{ rank, alpha: 2 * rank, dropout: 0 },
          targets: projections.filter((one) => targets.includes(one)),
        });
        expect(
          unwrap(resolveOptions({ ...wish, lora: { rank, targets: targets.toReversed() } }, shape, 1_000)),
        ).toEqual(options);
      },
    ),
  ));

test.each([
  [{ lora: { rank: 33 } }, "rank"],
  [{ lora: { targets: [] } }, "targets"],
  [{ sequenceTokens: 129 }, "sequence_tokens"],
])("%j is refused", (wish, field) => {
  expect(resolveOptions(wish, shape, 1_000)).toMatchObject({ ok: false, error: { code: "invalid_request", field } });
});

test("a whole model takes smaller steps than an adapter, which begins at nothing", () => {
  const [whole, adapter] = [
    unwrap(resolveOptions({ lora: false }, shape, 100)),
    unwrap(resolveOptions({}, shape, 100)),
  ];
  expect(whole.adapter).toBeUndefined();
  expect(whole.learningRate).toBeLessThan(adapter.learningRate);
});
