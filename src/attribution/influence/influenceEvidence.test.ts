import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { randomOf } from "../../models/training/random.ts";
import { toyCurvature, toyExamples, toyGradients, toyTrain } from "../testing/toyAdapter.ts";
import { evidenceDistance, influenceEvidence } from "./influenceEvidence.ts";
import { kfac } from "./kronecker.ts";

const idOf = (number: number): Uint8Array => new Uint8Array(32).fill(number);
const options = {
  recordOf: (example: number) => ({ id: idOf(example), number: example }),
  ...{ units: 1_000, output: { from: 0, until: 9 }, recordsMax: 100 },
};
const someScores = fc.array(fc.integer({ min: -3, max: 4 }), { maxLength: 9 });

describe("influenceEvidence", () => {
  it("gives the helpful all units there are, each within one of its quota, and the others nothing", () => {
    fc.assert(
      fc.property(someScores, fc.nat(50), (scores, units) => {
        const evidence = influenceEvidence(scores, { ...options, units });
        const total = scores.reduce((sum, score) => sum + Math.max(0, score), 0);
        const given = evidence.reduce((sum, { weight }) => sum + weight, 0);
        expect(given).toBeLessThanOrEqual(units);
        if (total > 0) expect(given).toBeGreaterThanOrEqual(units - 1);
        for (const { recordNumber, weight, record } of evidence) {
          expect(record).toEqual(idOf(recordNumber));
          expect(Math.abs(weight - (units * Math.max(0, scores[recordNumber]!)) / total)).toBeLessThanOrEqual(1.001);
        }
        expect(evidence.every(({ weight }) => Number.isInteger(weight) && weight > 0)).toBe(true);
      }),
    );
  });

  it("sums a record's examples first, so that good and bad parts of one record weigh as one", () => {
    const recordOf = (example: number) => ({ id: idOf(example >> 1), number: example >> 1 });
    const evidence = influenceEvidence([3, -2, 1, 2], { ...options, recordOf });
    expect(evidence.map(({ recordNumber, weight }) => [recordNumber, weight])).toEqual([
      [0, 250],
      [1, 750],
    ]);
  });

  it("does not hand what is cut off, or what is no longer known, to those who are left", () => {
    const cut = influenceEvidence([5, 1, 4], { ...options, recordsMax: 2 });
    expect(cut.map(({ recordNumber, weight }) => [recordNumber, weight])).toEqual([
      [0, 500],
      [2, 399],
    ]);
    const recordOf = (example: number) => (example === 0 ? undefined : options.recordOf(example));
    expect(influenceEvidence([3, 1], { ...options, recordOf }).map(({ weight }) => weight)).toEqual([250]);
  });

  it.each([
    ["no score", []],
    ["nobody helped", [0, -1]],
    ["a score that is no number", [Number.NaN, 1]],
    ["an infinite score", [Number.POSITIVE_INFINITY, 1]],
  ])("explains nothing where there is %s", (_why, scores) => {
    expect(influenceEvidence(scores, options).every(({ recordNumber }) => recordNumber === 1)).toBe(true);
  });
});

describe("what chance would give", () => {
  const random = randomOf(41);
  const many = (count: number, scale = 1) => Array.from({ length: count }, () => scale * random.normal());
  const weigh = (scores: readonly number[], sizes: readonly number[]) =>
    new Map(
      influenceEvidence(scores, { ...options, units: 1_000_000, sizes }).map((item) => [
        item.recordNumber,
        item.weight,
      ]),
    );

  it("pays nobody where all are alike by chance only, however large their gradients are", () => {
    const sizes = Array.from({ length: 200 }, (_unused, i) => (i % 10 === 0 ? 50 : 1));
    const scores = many(200).map((score, i) => score * sizes[i]!);
    expect(weigh(scores, sizes).size).toBe(0);
  });

  it("pays who stands out, less than in full, and by their own scores: all that is added besides moves little", () => {
    const scores = [80, 20, ...many(200)];
    const ones = new Array<number>(scores.length).fill(1);
    const paid = weigh(scores, ones);
    expect([...paid.keys()]).toEqual([0, 1]);
    expect(paid.get(0)! + paid.get(1)!).toBeLessThan(1_000_000);
    expect(paid.get(0)! / paid.get(1)!).toBeGreaterThan(4);
    const spam = many(60, 1_000);
    const spammed = weigh([...scores, ...spam], [...ones, ...spam.map(() => 1_000)]);
    expect([...spammed.keys()]).toEqual([0, 1]);
    for (const record of [0, 1]) expect(Math.abs(spammed.get(record)! / paid.get(record)! - 1)).toBeLessThan(0.05);
  });

  it("does not depend on how a contributor's records are ordered or named, nor on the scale of the scores", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -9, max: 99 }), { minLength: 8, maxLength: 20 }), (scores) => {
        const sizes = scores.map((_score, i) => 1 + (i % 3));
        const paid = weigh(scores, sizes);
        const backwards = weigh(scores.toReversed(), sizes.toReversed());
        for (const [record, weight] of paid)
          expect(Math.abs((backwards.get(scores.length - 1 - record) ?? 0) - weight)).toBeLessThanOrEqual(1);
        expect(
          weigh(
            scores.map((score) => 4 * score),
            sizes,
          ),
        ).toEqual(paid);
      }),
    );
  });
});

describe("evidenceDistance", () => {
  it("is 0 for the same and 2 for what shares nothing", () => {
    fc.assert(
      fc.property(someScores, (scores) => {
        const evidence = influenceEvidence(scores, options);
        expect(evidenceDistance(evidence, evidence)).toBe(0);
      }),
    );
    expect(evidenceDistance(influenceEvidence([1], options), influenceEvidence([0, 1], options))).toBe(2);
  });

  it("stays within 2 % when a query's gradients are computed again elsewhere, and the bound can be broken", () => {
    const examples = toyExamples(40, 31);
    const b = toyTrain(examples);
    const fit = kfac().begin(toyCurvature(b, examples));
    examples.forEach((example, i) => {
      fit.add(String(i), toyGradients(b, example));
    });
    const influence = fit.finish();
    const shifted = (relative: number, query: ReadonlyMap<string, Float32Array>) =>
      new Map([...query].map(([name, data]) => [name, data.map((one, i) => one * (1 + relative * Math.sin(i)))]));
    for (const query of toyExamples(10, 32).map((one) => toyGradients(b, one))) {
      const evidenceOf = (gradients: ReadonlyMap<string, Float32Array>) =>
        influenceEvidence(influence.scores(gradients), { ...options, units: 100_000 });
      expect(evidenceDistance(evidenceOf(query), evidenceOf(shifted(1e-4, query)))).toBeLessThan(0.02);
      expect(evidenceDistance(evidenceOf(query), evidenceOf(shifted(2, query)))).toBeGreaterThan(0.02);
    }
  });
});
