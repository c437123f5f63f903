import { assert } from "../../core/result.ts";

// Small dense kernels over row-major arrays. All loops run along rows, where memory is contiguous.

/** C = A Bᵀ for A [m, k] and B [n, k]. Arrays of one type only: a kernel that sees several runs several times slower. */
export function multiplyTransposed(a: Float32Array, b: Float32Array, m: number, n: number): Float32Array {
  const k = a.length / m;
  assert(Number.isInteger(k) && b.length === n * k, "both matrices have rows of the same length");
  const c = new Float32Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let [even, odd] = [0, 0];
      let [p, q] = [i * k, j * k];
      const end = p + k;
      for (; p + 1 < end; p += 2, q += 2) {
        even += a[p]! * b[q]!;
        odd += a[p + 1]! * b[q + 1]!;
      }
      c[i * n + j] = p < end ? even + odd + a[p]! * b[q]! : even + odd;
    }
  }
  return c;
}

/** Aᵀ [n, m] of A [m, n]. */
export function transpose(a: Float32Array, m: number, n: number): Float32Array {
  const t = new Float32Array(m * n);
  for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) t[j * m + i] = a[i * n + j]!;
  return t;
}

/**
 * The lower triangle L of A = L Lᵀ, for a symmetric positive definite A [n, n] of which the lower triangle is read (Cholesky–Banachiewicz);
 * undefined where A is not positive definite.
 */
export function cholesky(a: Float64Array, n: number): Float64Array | undefined {
  assert(a.length === n * n, "a square matrix");
  const l = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    const row = i * n;
    for (let j = 0; j <= i; j++) {
      const other = j * n;
      let sum = a[row + j]!;
      for (let p = 0; p < j; p++) sum -= l[row + p]! * l[other + p]!;
      if (j < i) l[row + j] = sum / l[other + j]!;
      else if (sum > 0) l[row + i] = Math.sqrt(sum);
      else return undefined;
    }
  }
  return l;
}

/** x with L Lᵀ x = b. */
export function choleskySolve(l: Float64Array, b: ArrayLike<number>): Float64Array {
  const n = b.length;
  assert(l.length === n * n, "a square matrix of the vector's size");
  const x = Float64Array.from(b);
  for (let i = 0; i < n; i++) {
    let sum = x[i]!;
    for (let j = 0, p = i * n; j < i; j++, p++) sum -= l[p]! * x[j]!;
    x[i] = sum / l[i * n + i]!;
  }
  for (let i = n - 1; i >= 0; i--) {
    const value = x[i]! / l[i * n + i]!;
    x[i] = value;
    for (let j = 0, p = i * n; j < i; j++, p++) x[j] = x[j]! - l[p]! * value;
  }
  return x;
}

export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
