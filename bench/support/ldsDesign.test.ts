import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { designedHalves } from "./ldsDesign.ts";

describe("designed halves", () => {
  it("any two things are together, apart and both left out about equally often", () => {
    fc.assert(
      fc.property(fc.integer({ min: 3, max: 60 }), fc.boolean(), fc.nat(), fc.nat(), (count, isComplement, i, j) => {
        const [one, other] = [i % count, j % count];
        fc.pre(one !== other);
        const halves = designedHalves(count, isComplement);
        const times = (isOneIn: boolean, isOtherIn: boolean): number =>
          halves.filter((half) => half.includes(one) === isOneIn && half.includes(other) === isOtherIn).length;
        const together = isComplement ? times(false, false) : times(true, true);
        const quarter = (halves.length - 3) / 4;
        expect(together).toBe(quarter);
        for (const isIn of [true, false]) expect(times(isIn, !isIn)).toBe(quarter + 1);
        expect(isComplement ? times(true, true) : times(false, false)).toBe(quarter + 1);
      }),
    );
  });

  it.each([
    [3, [[2], [0], [1]]],
    [5, [[3], [0, 4], [0, 1], [1, 2], [0, 2, 3], [1, 3, 4], [2, 4]]],
  ])("of %i things", (count, expected) => {
    expect(designedHalves(count)).toEqual(expected);
  });

  it("a complement is who was left out", () => {
    const [halves, complements] = [designedHalves(40), designedHalves(40, true)];
    expect(halves).toHaveLength(43);
    halves.forEach((half, n) => {
      const all = [...half, ...complements[n]!].toSorted((a, b) => a - b);
      expect(all).toEqual(Array.from({ length: 40 }, (_unused, i) => i));
    });
  });
});
