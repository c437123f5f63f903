import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Spectrum } from "./spectrum.ts";
import { type ModuleSize, rowWidth, sidesOf, wholeStairs, widestStairs } from "./staircase.ts";

const eigenvalues = fc
  .array(fc.double({ min: 1e-9, max: 1e3, noNaN: true }), { minLength: 1, maxLength: 6 })
  .map((values) => Float64Array.from(values).sort());

const layers = fc
  .array(fc.record({ inputs: eigenvalues, outputs: eigenvalues }), { minLength: 1, maxLength: 4 })
  .map((all) => all.map(({ inputs, outputs }, i) => spectrum(`${i}`, inputs, outputs)));

describe("the widest staircases", () => {
  it("are within the limit, and nothing that is left out of any layer is above what is kept", () => {
    fc.assert(
      fc.property(layers, fc.nat(80), (modules, limit) => {
        const sizes = widestStairs(modules, (some) => rowWidth(some) <= limit);
        const whole = wholeStairs(modules);
        if (rowWidth(whole) <= limit) {
          expect(sizes).toEqual(whole);
          return;
        }
        // One number of each layer stays, however low the limit.
        if (limit >= modules.length) expect(rowWidth(sizes)).toBeLessThanOrEqual(limit);
        else expect(sizes.map(({ stairs }) => stairs)).toEqual(modules.map(() => [1]));
        for (const size of sizes) expect(size.stairs).toEqual(size.stairs.toSorted((a, b) => a - b));
        const products = modules.flatMap((module, m) => productsOf(module, sizes[m]!));
        const out = products.filter(({ isKept }) => !isKept).map(({ product }) => product);
        for (const { product, isKept, isOnly } of products)
          if (isKept && !isOnly) expect(product).toBeGreaterThanOrEqual(Math.max(...out) * (1 - 1e-9));
      }),
    );
  });

  it("are as wide as the limit, where all products differ", () => {
    const powers = (count: number, base: number) => Float64Array.from({ length: count }, (_unused, i) => base ** i);
    const modules = [spectrum("a", powers(5, 2), powers(7, 2 ** 5)), spectrum("b", powers(3, 3), powers(4, 3 ** 3))];
    for (let limit = 2; limit <= 47; limit++) {
      const sizes = widestStairs(modules, (some) => rowWidth(some) <= limit);
      expect(rowWidth(sizes)).toBe(limit);
    }
  });

  it.each([
    // Products relative to the mean: 4/9, 8/9, 8/9, 16/9.
    [1, [1]],
    [2, [1]],
    [3, [1, 2]],
    [4, [2, 2]],
  ])("of two by two, as far as %i numbers", (limit, stairs) => {
    const [layer] = widestStairs(
      [spectrum("a", Float64Array.of(1, 2), Float64Array.of(1, 2))],
      (some) => rowWidth(some) <= limit,
    );
    expect(layer!.stairs).toEqual(stairs);
  });

  it("leave out directions in which nothing moves, unless everything fits", () => {
    const modules = [spectrum("a", Float64Array.of(-1e-12, 0, 1), Float64Array.of(0, 1, 2))];
    const [layer] = widestStairs(modules, (some) => rowWidth(some) < 9);
    expect(layer!.stairs).toEqual([1, 1]);
    expect(sidesOf(layer!)).toEqual({ outward: 2, inward: 1 });
    const silent = [spectrum("a", new Float64Array(3), new Float64Array(2))];
    expect(widestStairs(silent, (some) => rowWidth(some) < 6)[0]!.stairs).toEqual([1]);
  });
});

function spectrum(name: string, inputs: Float64Array, outputs: Float64Array): Spectrum {
  const eigen = (values: Float64Array) => ({ values, vectors: new Float64Array(values.length ** 2) });
  return { name, columns: inputs.length, out: outputs.length, inputs: eigen(inputs), outputs: eigen(outputs) };
}

/** Of all pairs of directions, relative to the layer's mean; whether each is kept, and whether it is all that is. */
function productsOf({ inputs, outputs, columns, out }: Spectrum, { stairs }: ModuleSize) {
  const mean = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const scale = mean(inputs.values) * mean(outputs.values);
  const isOnly = rowWidth([{ stairs }]) === 1;
  return [...outputs.values].flatMap((g, i) =>
    [...inputs.values].map((a, j) => {
      const count = stairs[i - (out - stairs.length)] ?? 0;
      return { product: (g * a) / scale, isKept: j >= columns - count, isOnly };
    }),
  );
}
