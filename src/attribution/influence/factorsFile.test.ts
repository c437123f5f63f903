import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { unwrap } from "../../core/result.ts";
import { toy, toyCurvature, toyExamples, toyGradients, toyTrain } from "../testing/toyAdapter.ts";
import { turned } from "./basis.ts";
import { packFactors, parseFactors } from "./factorsFile.ts";
import { influenceOf, KroneckerFit } from "./kronecker.ts";
import { spectraOf } from "./spectrum.ts";

const examples = toyExamples(7, 3);
const b = toyTrain(examples);
const spectra = spectraOf(toyCurvature(b, examples));
const fits = [
  [3, 3, 3, 3],
  [1, 1, 2],
].map((stairs) => new KroneckerFit(spectra, { sizes: [{ ...toy, stairs }] }));
for (const fit of fits)
  examples.forEach((example, i) => {
    fit.add(`r${i}`, turned(fit.bases, toyGradients(b, example)));
  });
const members = fits.map((fit) => fit.factors());
const file = { adapter: "ab".repeat(32), reliabilityPpm: 730_000, members };
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
    for (const [m, fit] of fits.entries()) {
      const own = turned(fit.bases, query);
      expect(influenceOf(read.members[m]!).scores(own)).toEqual(influenceOf(members[m]!).scores(own));
    }
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

  it.each([[[]], [[0, 1]], [[2, 1]], [[1, 4]], [[1, 1, 1, 1, 1]], [[1.5]], ["3"]])(
    "are refused with the stairs %j of a layer of three by four",
    (stairs) => {
      const modules = members[0]!.modules.map((module) => ({ ...module, stairs: stairs as number[] }));
      const damaged = packFactors({ ...file, members: [{ ...members[0]!, modules }] });
      expect(parseFactors(damaged)).toMatchObject({ ok: false, error: { code: "invalid_request" } });
    },
  );

  it.each([1, 2, 3])(
    "are refused as version %i had them, whose shape or reliability is another method's: they are fitted again",
    (version) => {
      const former = bytes.slice();
      new DataView(former.buffer).setUint32(8, version, true);
      expect(parseFactors(former)).toMatchObject({ ok: false, error: { code: "invalid_request" } });
    },
  );

  it("are refused with a number that is none", () => {
    const damaged = bytes.slice();
    const header = new DataView(bytes.buffer).getUint32(12, true);
    new DataView(damaged.buffer).setFloat32(16 + header, Number.NaN, true);
    expect(parseFactors(damaged)).toMatchObject({ ok: false, error: { code: "invalid_request" } });
  });
});
