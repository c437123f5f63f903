import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { unwrap } from "../../core/result.ts";
import { toyCurvature, toyExamples, toyGradients, toyTrain } from "../testing/toyAdapter.ts";
import { packFactors, parseFactors } from "./factorsFile.ts";
import { influenceOf, KroneckerFit } from "./kronecker.ts";

const examples = toyExamples(7, 3);
const b = toyTrain(examples);
const fit = new KroneckerFit(toyCurvature(b, examples), 0.1, true);
examples.forEach((example, i) => {
  fit.add(`r${i}`, toyGradients(b, example));
});
const file = { adapter: "ab".repeat(32), reliabilityPpm: 730_000, factors: fit.factors() };
const bytes = packFactors(file);

describe("factors in a file", () => {
  it("come back as they were, byte for byte, and score the same", () => {
    const read = unwrap(parseFactors(bytes));
    expect(packFactors(read)).toEqual(bytes);
    expect(read).toEqual(file);
    const { reliabilityPpm: _measured, ...unmeasured } = file;
    expect(unwrap(parseFactors(packFactors(unmeasured)))).toEqual(unmeasured);
    expect(parseFactors(packFactors({ ...file, reliabilityPpm: 1_000_001 })).ok).toBe(false);
    const query = toyGradients(b, toyExamples(1, 4)[0]!);
    expect(influenceOf(read.factors).scores(query)).toEqual(influenceOf(file.factors).scores(query));
  });

  it("are read from anywhere in a larger buffer", () => {
    const larger = new Uint8Array(bytes.length + 11);
    larger.set(bytes, 5);
    expect(unwrap(parseFactors(larger.subarray(5, 5 + bytes.length)))).toEqual(file);
  });

  it("are refused when cut short, too long or damaged, and never crash the reader", () => {
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), (length) => {
        expect(parseFactors(bytes.slice(0, length)).ok).toBe(false);
      }),
    );
    expect(parseFactors(Uint8Array.from([...bytes, 0])).ok).toBe(false);
    fc.assert(
      fc.property(fc.nat(600), fc.integer({ min: 0, max: 255 }), (at, value) => {
        const damaged = bytes.slice();
        damaged[at] = value;
        expect(typeof parseFactors(damaged).ok).toBe("boolean");
      }),
      { numRuns: 500 },
    );
  });

  it("are refused with a number that is none", () => {
    const damaged = bytes.slice();
    const header = new DataView(bytes.buffer).getUint32(12, true);
    new DataView(damaged.buffer).setFloat32(16 + header, Number.NaN, true);
    expect(parseFactors(damaged)).toMatchObject({ ok: false, error: { code: "invalid_request" } });
  });
});
