import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { randomOf } from "../../models/training/random.ts";
import type { Evidence } from "../evidence.ts";
import { toyCurvature, toyExamples, toyGradients, toyTrain } from "../testing/toyAdapter.ts";
import { creditStanding, evidenceDistance, influenceEvidence, standingOut } from "./influenceEvidence.ts";
import { kfac } from "./kronecker.ts";
import { dot } from "./matrix.ts";

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

const millions = { ...options, units: 1_000_000 };
const weightsOf = (evidence: readonly Evidence[]) =>
  new Map(evidence.map(({ recordNumber, weight }) => [recordNumber, weight]));

describe("what chance would give", () => {
  const random = randomOf(41);
  const many = (count: number, scale = 1) => Array.from({ length: count }, () => scale * random.normal());
  const weigh = (scores: readonly number[], sizes: readonly number[]) =>
    weightsOf(creditStanding(standingOut(scores, options, sizes), millions));

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

  it("changes hardly anything for the others when a record comes to stand out", () => {
    const rest = many(200);
    const ones = new Array<number>(202).fill(1);
    let before = weigh([80, 0, ...rest], ones);
    for (let score = 0.1; score < 20; score += 0.1) {
      const after = weigh([80, score, ...rest], ones);
      for (const record of [0, 1])
        expect(Math.abs((after.get(record) ?? 0) - (before.get(record) ?? 0))).toBeLessThan(5_000);
      before = after;
    }
    expect(before.size).toBe(2);
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

describe("what earlier records account for", () => {
  /** A few records by what they teach, [records][directions]; a score is the product with what was asked, and so are the records' own. */
  const directions = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 3, maxLength: 3 });
  const someRecords = fc.array(directions, { minLength: 1, maxLength: 6 });
  const credit = (records: readonly (readonly number[])[], query: readonly number[]) => {
    const among = (groups: readonly (readonly number[])[]) =>
      Float64Array.from(groups.flatMap(([i]) => groups.map(([j]) => dot(records[i!]!, records[j!]!))));
    const scores = records.map((record) => dot(record, query));
    const measures = { sizes: records.map(() => 0), mutualScores: among };
    return weightsOf(influenceEvidence(scores, millions, measures));
  };

  it("pays nothing for saying again what one record said, once or often, whole or in part; the first keeps what it had", () => {
    fc.assert(
      fc.property(someRecords, directions, fc.integer({ min: 1, max: 3 }), fc.nat(5), (records, query, times, at) => {
        const copied = records[at % records.length]!.map((one) => one * times);
        const before = credit(records, query);
        const after = credit([...records, copied], query);
        const copy = after.get(records.length) ?? 0;
        // Several earlier ones may account for parts of what the copied one repeats of them: never for less than the whole.
        expect(copy).toBeLessThanOrEqual(1);
        for (const [record, weight] of before)
          expect(Math.abs((after.get(record) ?? 0) - weight)).toBeLessThanOrEqual(2);
      }),
    );
  });

  it.each([
    [
      "nothing in common",
      [
        [2, 0],
        [0, 2],
      ],
      [500_000, 500_000],
    ],
    [
      "the later repeats the half",
      [
        [2, 0],
        [2, 2],
      ],
      [500_000, 500_000],
    ],
    [
      "the later repeats all, and more of it",
      [
        [2, 0],
        [4, 0],
      ],
      [1_000_000, 0],
    ],
    [
      "the earlier had more than is repeated",
      [
        [2, 2],
        [2, 0],
      ],
      [1_000_000, 0],
    ],
    [
      "opposites take nothing off",
      [
        [3, -1],
        [-1, 3],
      ],
      [500_000, 500_000],
    ],
    [
      "a repetition by way of two",
      [
        [2, 0],
        [0, 2],
        [1, 1],
      ],
      [500_000, 500_000],
    ],
  ])("%s", (_what, records, wanted) => {
    const paid = credit(records, [1, 1]);
    wanted.forEach((weight, record) => {
      expect(Math.abs((paid.get(record) ?? 0) - weight)).toBeLessThanOrEqual(1);
    });
  });

  it("depends on who was first, and among those who have nothing in common on nothing but their own scores", () => {
    expect(
      credit(
        [
          [1, 0],
          [1, 0],
        ],
        [1, 0],
      ),
    ).toEqual(new Map([[0, 1_000_000]]));
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(9), { minLength: 1, maxLength: 6 }), (scores) => {
        const alone = scores.map((score, i) => scores.map((_other, j) => (i === j ? score : 0)));
        const ones = scores.map(() => 1);
        const [forwards, backwards] = [credit(alone, ones), credit(alone.toReversed(), ones)];
        scores.forEach((_score, i) => {
          const other = backwards.get(scores.length - 1 - i) ?? 0;
          expect(Math.abs((forwards.get(i) ?? 0) - other)).toBeLessThanOrEqual(1);
        });
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
