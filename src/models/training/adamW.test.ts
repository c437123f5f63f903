import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { adamW, decays, globalNorm } from "./adamW.ts";
import { learningRateAt } from "./schedule.ts";

const options = { step: 1, learningRate: 0.1, weightDecay: 0, gradientScale: 1 };

function fresh(...values: number[]): { values: Float32Array; mean: Float32Array; square: Float32Array } {
  return {
    values: Float32Array.from(values),
    mean: new Float32Array(values.length),
    square: new Float32Array(values.length),
  };
}

describe("AdamW", () => {
  it("moves by the learning rate against the gradient's sign in its first step, however large the gradient is", () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-3, max: 1e3, noNaN: true }), fc.boolean(), (size, isUp) => {
        const { values, mean, square } = fresh(1);
        adamW(values, Float32Array.of(isUp ? size : -size), { mean, square }, options);
        expect(values[0]).toBeCloseTo(isUp ? 0.9 : 1.1, 4);
      }),
    );
  });

  it("takes two steps as worked by hand", () => {
    const { values, mean, square } = fresh(1);
    adamW(values, Float32Array.of(1), { mean, square }, options);
    adamW(values, Float32Array.of(-3), { mean, square }, { ...options, step: 2 });
    // m: 0.1, then 0.9 · 0.1 − 0.3 = −0.21, over 0.19; v: 0.05, then 0.95 · 0.05 + 0.45 = 0.4975, over 0.0975.
    expect(values[0]).toBeCloseTo(0.9 + (0.1 * (0.21 / 0.19)) / Math.sqrt(0.4975 / 0.0975), 5);
  });

  it("decays apart from the gradient", () => {
    const { values, mean, square } = fresh(2, -4);
    adamW(values, new Float32Array(2), { mean, square }, { ...options, weightDecay: 0.5 });
    expect(Array.from(values)).toEqual([Math.fround(2 * 0.95), Math.fround(-4 * 0.95)]);
  });

  it.each([
    ["model.embed_tokens.weight", false],
    ["model.norm.weight", false],
    ["model.layers.0.input_layernorm.weight", false],
    ["model.layers.0.post_attention_layernorm.weight", false],
    ["model.layers.0.mlp.gate_proj.weight", true],
    ["lm_head.weight", true],
    ["base_model.model.model.layers.0.mlp.up_proj.lora_A.weight", true],
  ])("%s decays: %s", (name, expected) => {
    expect(decays(name)).toBe(expected);
  });

  it("measures the norm of all gradients together", () => {
    expect(globalNorm([Float32Array.of(3), Float32Array.of(0, 4)])).toBe(5);
  });
});

describe("the learning rate", () => {
  it("rises straight to its peak, then falls to a tenth, never outside", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), fc.double({ min: 0, max: 1, noNaN: true }), (steps, warmUp) => {
        const rates = Array.from({ length: steps }, (_unused, step) =>
          learningRateAt(step, { steps, warmUp, learningRate: 2 }),
        );
        const peak = Math.max(0, Math.ceil(steps * warmUp) - 1);
        rates.forEach((rate, step) => {
          expect(rate).toBeGreaterThan(0);
          expect(rate).toBeLessThanOrEqual(2);
          if (step > 0 && step <= peak) expect(rate).toBeGreaterThan(rates[step - 1]!);
          if (step > peak + 1) expect(rate).toBeLessThan(rates[step - 1]!);
        });
        expect(rates[peak]).toBe(2);
      }),
    );
    expect(learningRateAt(99_999, { steps: 100_000, warmUp: 0, learningRate: 2 })).toBeCloseTo(0.2, 6);
  });
});
