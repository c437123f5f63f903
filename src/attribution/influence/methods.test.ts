import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type ToyExample,
  toy,
  toyCurvature,
  toyExamples,
  toyGradients,
  toyLoss,
  toyTrain,
} from "../testing/toyAdapter.ts";
import { turned } from "./basis.ts";
import { dataInf, gradientNorm, randomScores, tracIn, trak } from "./controls.ts";
import { symmetricEigen } from "./eigen.ts";
import { ekfac, exampleSizes, type Factors, influenceOf, KroneckerFit, kfac, scoresInSteps } from "./kronecker.ts";
import { cholesky, choleskySolve, dot } from "./matrix.ts";
import { ensembleScores, type Gradients, type Influence, type InfluenceMethod, sumScores } from "./method.ts";
import { mutualScores, mutualScoresInSteps } from "./mutualScores.ts";
import { spectraInSteps, spectraOf } from "./spectrum.ts";

const EXAMPLES = 40;

/** What every method keeps. `isBlind` methods do not look at the query, and serve as controls. */
const methods: readonly { readonly method: InfluenceMethod; readonly isBlind?: true; readonly isChance?: true }[] = [
  { method: kfac() },
  { method: ekfac() },
  { method: tracIn },
  { method: dataInf() },
  { method: trak(8, 1) },
  { method: gradientNorm, isBlind: true },
  { method: randomScores(1), isBlind: true, isChance: true },
];

describe.each(methods)("$method.id", ({ method, isBlind = false, isChance = false }) => {
  const examples = toyExamples(EXAMPLES, 5);
  const b = toyTrain(examples);
  const queries = toyExamples(6, 6).map((query) => toyGradients(b, query));

  it("gives one finite score for each example, in the order of adding, and the same again", () => {
    const [one, two] = [fitted(method, b, examples), fitted(method, b, examples)];
    expect(one.records).toEqual(examples.map((_example, i) => `r${i}`));
    for (const query of queries) {
      const scores = one.scores(query);
      expect(scores).toHaveLength(EXAMPLES);
      expect(scores.every(Number.isFinite)).toBe(true);
      expect(two.scores(query)).toEqual(scores);
    }
  });

  it("scores an example by what it is, not by its place", () => {
    if (isChance) return;
    const backwards = examples.toReversed();
    const [forward, reverse] = [fitted(method, b, examples), fitted(method, b, backwards)];
    for (const query of queries) expectClose(reverse.scores(query).toReversed(), forward.scores(query));
  });

  it("is linear in the query", () => {
    if (isBlind) return;
    const influence = fitted(method, b, examples);
    fc.assert(
      fc.property(fc.nat(5), fc.nat(5), fc.integer({ min: -3, max: 3 }), (i, j, times) => {
        const [x, y] = [queries[i]!, queries[j]!];
        const sum = new Map([[toy.name, x.get(toy.name)!.map((v, at) => v + times * y.get(toy.name)![at]!)]]);
        const [scoresX, scoresY] = [influence.scores(x), influence.scores(y)];
        expectClose(
          influence.scores(sum),
          scoresX.map((score, n) => score + times * scoresY[n]!),
        );
      }),
      { numRuns: 20 },
    );
  });

  it("is its own ensemble", () => {
    const influence = fitted(method, b, examples);
    const [query] = queries;
    expectClose(ensembleScores([influence, influence], [query!, query!]), influence.scores(query!));
  });
});

describe.each([
  { method: kfac(), least: 0.75 },
  { method: ekfac(), least: 0.75 },
])("$method.id on an adapter that can be retrained exactly", ({ method, least }) => {
  it("foretells by how much a query's loss rises without each example, better than the dot product", () => {
    const examples = toyExamples(EXAMPLES, 11);
    const b = toyTrain(examples);
    const without = examples.map((_one, n) => toyTrain(examples.filter((_other, m) => m !== n)));
    const [influence, control] = [fitted(method, b, examples), fitted(tracIn, b, examples)];
    const [found, chance]: [number[], number[]] = [[], []];
    for (const query of toyExamples(10, 12)) {
      const truth = without.map((other) => toyLoss(other, query) - toyLoss(b, query));
      found.push(correlation(influence.scores(toyGradients(b, query)), truth));
      chance.push(correlation(control.scores(toyGradients(b, query)), truth));
    }
    expect(mean(found)).toBeGreaterThan(least);
    expect(mean(found)).toBeGreaterThan(mean(chance) + 0.05);
  });
});

it("kfac is the damped inverse of the Kronecker product", () => {
  const examples = toyExamples(EXAMPLES, 21);
  const b = toyTrain(examples);
  const { tokens, modules } = toyCurvature(b, examples);
  const { inputs, outputs, columns: rank, out } = modules[0]!;
  const size = rank * out;
  const dense = new Float64Array(size * size);
  for (let i = 0; i < size; i++)
    for (let j = 0; j < size; j++)
      dense[i * size + j] =
        (outputs[Math.floor(i / rank) * out + Math.floor(j / rank)]! * inputs[(i % rank) * rank + (j % rank)]!) /
        tokens ** 2;
  let meanEigenvalue = 0;
  for (let i = 0; i < size; i++) meanEigenvalue += dense[i * (size + 1)]! / size;
  for (let i = 0; i < size; i++) dense[i * (size + 1)] = dense[i * (size + 1)]! + 0.1 * meanEigenvalue;
  const lower = cholesky(dense, size)!;
  const influence = fitted(kfac({ damping: 0.1 }), b, examples);
  for (const query of toyExamples(5, 22).map((one) => toyGradients(b, one))) {
    const solved = choleskySolve(lower, query.get(toy.name)!);
    const exact = examples.map((one) => dot(toyGradients(b, one).get(toy.name)!, solved));
    expectClose(influence.scores(query), Float64Array.from(exact), 0.02);
  }
});

it("ekfac divides by the examples' own second moments in the eigenbasis", () => {
  const examples = toyExamples(EXAMPLES, 23);
  const b = toyTrain(examples);
  const { inputs, outputs, columns: rank, out } = toyCurvature(b, examples).modules[0]!;
  const [a, g] = [symmetricEigen(inputs, rank).vectors, symmetricEigen(outputs, out).vectors];
  const turn = (gradients: Gradients): Float64Array => {
    const gradient = gradients.get(toy.name)!;
    return Float64Array.from({ length: out * rank }, (_unused, at) => {
      let sum = 0;
      for (let i = 0; i < out; i++)
        for (let j = 0; j < rank; j++)
          sum += g[Math.floor(at / rank) * out + i]! * gradient[i * rank + j]! * a[(at % rank) * rank + j]!;
      return sum;
    });
  };
  const turned = examples.map((one) => turn(toyGradients(b, one)));
  const moments = turned[0]!.map((_one, i) => mean(turned.map((row) => row[i]! ** 2)));
  const lambda = 0.1 * mean([...moments]);
  const influence = fitted(ekfac({ damping: 0.1 }), b, examples);
  for (const query of toyExamples(5, 24).map((one) => toyGradients(b, one))) {
    const solved = turn(query).map((one, i) => one / (moments[i]! + lambda));
    expectClose(
      influence.scores(query),
      Float64Array.from(turned, (row) => dot(row, solved)),
      0.02,
    );
  }
});

it("what a staircase leaves out counts as nothing, and the rest as it did", () => {
  const examples = toyExamples(EXAMPLES, 31);
  const b = toyTrain(examples);
  const spectra = spectraOf(toyCurvature(b, examples));
  const stairs = [0, 1, 2, 3];
  const [whole, part] = [new KroneckerFit(spectra), new KroneckerFit(spectra, { sizes: [{ ...toy, stairs }] })];
  for (const example of examples)
    for (const fit of [whole, part]) fit.add("", turned(fit.bases, toyGradients(b, example)));
  for (const query of toyExamples(5, 32)) {
    const own = turned(whole.bases, toyGradients(b, query));
    const cut = own.get(toy.name)!.map((value, at) => {
      const [i, j] = [Math.floor(at / toy.columns), at % toy.columns];
      return j >= toy.columns - stairs[i]! ? value : 0;
    });
    expectClose(
      influenceOf(part.factors()).scores(own),
      influenceOf(whole.factors()).scores(new Map([[toy.name, cut]])),
      0.02,
    );
  }
});

it("the square of an example's size is its score for itself", () => {
  const examples = toyExamples(EXAMPLES, 25);
  const b = toyTrain(examples);
  for (const isCorrected of [false, true])
    for (const stairs of [
      [3, 3, 3, 3],
      [1, 2, 3],
      [2, 2],
    ]) {
      const fit = new KroneckerFit(spectraOf(toyCurvature(b, examples)), { isCorrected, sizes: [{ ...toy, stairs }] });
      const own = examples.map((example) => turned(fit.bases, toyGradients(b, example)));
      own.forEach((gradients, i) => {
        fit.add(`r${i}`, gradients);
      });
      const factors = fit.factors();
      const scores = own.map((gradients, n) => influenceOf(factors).scores(gradients)[n]!);
      const squares = (members: readonly Factors[]) => exampleSizes(members).map((size) => size ** 2);
      expectClose(squares([factors]), Float64Array.from(scores), 0.02);
      expectClose(
        squares([factors, factors]),
        Float64Array.from(scores, (score) => 2 * score),
        0.02,
      );
    }
});

it("what records are scored for each other is the score of one as a query for the other, examples and factors summed", async () => {
  const examples = toyExamples(EXAMPLES, 29);
  const b = toyTrain(examples);
  const fit = new KroneckerFit(spectraOf(toyCurvature(b, examples)), { sizes: [{ ...toy, stairs: [1, 1, 2, 3] }] });
  const own = examples.map((example) => turned(fit.bases, toyGradients(b, example)));
  for (const gradients of own) fit.add("", gradients);
  const factors = fit.factors();
  const scores = own.map((gradients) => influenceOf(factors).scores(gradients));
  const records = [[0], [3, 5], [4]];
  const wanted = records.flatMap((one) =>
    records.map((other) => 2 * one.reduce((sum, i) => sum + other.reduce((all, j) => all + scores[i]![j]!, 0), 0)),
  );
  const found = mutualScores([factors, factors], records);
  expectClose(found, Float64Array.from(wanted), 0.02);
  expect(found[1]).toBe(found[3]);
  expect(found[0]).toBeCloseTo(exampleSizes([factors, factors])[0]! ** 2, 4);
  let pauses = 0;
  const pause = async (): Promise<void> => {
    pauses += 1;
  };
  expect(await mutualScoresInSteps([factors, factors], records, pause)).toEqual(found);
  expect(pauses).toBe(2);
});

it("in steps, factors and scores are the same", async () => {
  const examples = toyExamples(EXAMPLES, 27);
  const b = toyTrain(examples);
  const curvature = toyCurvature(b, examples);
  let pauses = 0;
  const pause = async (): Promise<void> => {
    pauses += 1;
  };
  const fits = [spectraOf(curvature), await spectraInSteps(curvature, pause)].map((some) => new KroneckerFit(some));
  for (const fit of fits) for (const example of examples) fit.add("", turned(fit.bases, toyGradients(b, example)));
  const [one, other] = fits.map((fit) => fit.factors());
  expect(other).toEqual(one);
  const query = turned(fits[0]!.bases, toyGradients(b, toyExamples(1, 28)[0]!));
  expect(await scoresInSteps(one!, query, pause)).toEqual(influenceOf(one!).scores(query));
  expect(pauses).toBe(2);
});

it("a sum over a contributor is the sum over the identities that they split into", () => {
  const scores = fc.array(fc.integer({ min: -3, max: 3 }), { maxLength: 12 });
  fc.assert(
    fc.property(scores, fc.array(fc.nat(2), { minLength: 12, maxLength: 12 }), (values, identity) => {
      const whole = sumScores(values, (n) => n % 2);
      const split = sumScores(values, (n) => `${n % 2}/${identity[n]}`);
      for (const [owner, sum] of whole) {
        const own = [...split].filter(([key]) => key.startsWith(`${owner}/`));
        expect(own.reduce((total, [, part]) => total + part, 0)).toBe(sum);
      }
    }),
  );
});

function fitted(method: InfluenceMethod, b: Float64Array, examples: readonly ToyExample[]): Influence {
  const fitting = method.begin(toyCurvature(b, examples));
  examples.forEach((example, i) => {
    fitting.add(`r${i}`, toyGradients(b, example));
  });
  return fitting.finish();
}

/** Within a share of the largest score: rows are rounded to 8 bits. */
function expectClose(found: Float64Array, wanted: Float64Array, share = 1e-4): void {
  const scale = wanted.reduce((most, one) => Math.max(most, Math.abs(one)), 0);
  for (const [n, one] of wanted.entries()) expect(Math.abs(found[n]! - one)).toBeLessThanOrEqual(share * scale + 1e-12);
}

function correlation(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const [x, y] = [Float64Array.from(a), Float64Array.from(b)];
  const [meanX, meanY] = [mean([...x]), mean([...y])];
  const [u, v] = [x.map((one) => one - meanX), y.map((one) => one - meanY)];
  return dot(u, v) / Math.sqrt(dot(u, u) * dot(v, v));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
