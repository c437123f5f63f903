import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { symmetricEigen } from "./eigen.ts";
import { cholesky, choleskySolve, dot, multiplyTransposed, transpose } from "./matrix.ts";

/** Small whole numbers, so that zeros, ties and matrices of low rank come up all the time. */
const symmetric = fc.integer({ min: 1, max: 9 }).chain((n) =>
  fc.array(fc.integer({ min: -2, max: 2 }), { minLength: n * n, maxLength: n * n }).map((values) => {
    const a = Float64Array.from(values);
    for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) a[i * n + j] = a[j * n + i]!;
    return { n, a };
  }),
);

const row = (matrix: Float64Array, n: number, i: number): Float64Array => matrix.subarray(i * n, (i + 1) * n);

describe("symmetricEigen", () => {
  it("gives A v = λ v with orthonormal v, ascending", () => {
    fc.assert(
      fc.property(symmetric, ({ n, a }) => {
        const { values, vectors } = symmetricEigen(a, n);
        for (let k = 0; k < n; k++) {
          const v = row(vectors, n, k);
          for (let i = 0; i < n; i++) expect(dot(row(a, n, i), v)).toBeCloseTo(values[k]! * v[i]!, 10);
          for (let l = 0; l < n; l++) expect(dot(v, row(vectors, n, l))).toBeCloseTo(k === l ? 1 : 0, 10);
          if (k > 0) expect(values[k]).toBeGreaterThanOrEqual(values[k - 1]!);
        }
      }),
    );
  });

  it("keeps its precision on a matrix of some size whose eigenvalues lie far apart", () => {
    const n = 130;
    const x = Float32Array.from({ length: n * n }, (_unused, i) => Math.sin(i * i) * 10 ** (-(i % n) / 20));
    const a = Float64Array.from(multiplyTransposed(x, x, n, n));
    const { values, vectors } = symmetricEigen(a, n);
    const scale = values[n - 1]!;
    for (const k of [0, 1, 64, 128, 129]) {
      const v = row(vectors, n, k);
      for (let i = 0; i < n; i++)
        expect(Math.abs(dot(row(a, n, i), v) - values[k]! * v[i]!)).toBeLessThan(1e-13 * scale);
    }
    expect(values.reduce((sum, value) => sum + value, 0)).toBeCloseTo(trace(a, n), 9);
  });
});

describe("cholesky", () => {
  it("solves what is positive definite, and says so of what is not", () => {
    fc.assert(
      fc.property(symmetric, ({ n, a }) => {
        const { values } = symmetricEigen(a, n);
        const shifted = a.map((value, i) => (i % (n + 1) === 0 ? value + 1 - values[0]! : value));
        const b = Float64Array.from({ length: n }, (_unused, i) => i - 1);
        const x = choleskySolve(cholesky(shifted, n)!, b);
        for (let i = 0; i < n; i++) expect(dot(row(shifted, n, i), x)).toBeCloseTo(b[i]!, 7);
        if (values[0]! < -1e-6) expect(cholesky(a, n)).toBeUndefined();
      }),
    );
  });
});

it("multiplies by a transpose as by hand, rows of odd and even length", () => {
  const product = multiplyTransposed(Float32Array.of(1, 2, 3, 4, 5, 6), Float32Array.of(1, 0, 1, 2, 1, 0), 2, 2);
  expect([...product]).toEqual([4, 4, 10, 13]);
  expect([...multiplyTransposed(Float32Array.of(1, 2), Float32Array.of(3, 4), 1, 1)]).toEqual([11]);
  expect([...transpose(Float32Array.of(1, 2, 3, 4, 5, 6), 2, 3)]).toEqual([1, 4, 2, 5, 3, 6]);
});

function trace(a: Float64Array, n: number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += a[i * n + i]!;
  return sum;
}
