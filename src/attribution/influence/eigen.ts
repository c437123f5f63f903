import { assert } from "../../core/result.ts";

/** A = Vᵀ diag(values) V. */
export interface Eigen {
  /** Ascending. Shape [n]. */
  readonly values: Float64Array;
  /** Row k is the unit eigenvector of `values[k]`. Shape [n, n]. */
  readonly vectors: Float64Array;
}

/**
 * All eigenvalues and eigenvectors of a symmetric matrix [n, n], of which the upper triangle is read: Householder reflections to a tridiagonal matrix,
 * then QL steps with implicit shifts (Golub & Van Loan 2013, §8.3; EISPACK's tred2 and tql2). Everything runs along rows, so n = 1,024 takes seconds.
 */
export function symmetricEigen(matrix: Float64Array, n: number): Eigen {
  assert(n >= 1 && matrix.length === n * n, "a square matrix");
  const work = matrix.slice();
  const { diagonal, beside, betas } = tridiagonalise(work, n);
  const vectors = reflectorsProduct(work, betas, n);
  implicitQl(diagonal, beside, vectors, n);
  return sorted(diagonal, vectors, n);
}

interface Tridiagonal {
  readonly diagonal: Float64Array;
  /** `beside[k]` stands between rows k and k + 1; the last is 0. */
  readonly beside: Float64Array;
  /** The k-th reflector is I − betas[k] · u uᵀ, its u left in row k of the work matrix, right of the diagonal. */
  readonly betas: Float64Array;
}

function tridiagonalise(a: Float64Array, n: number): Tridiagonal {
  const [diagonal, beside, betas] = [new Float64Array(n), new Float64Array(n), new Float64Array(n)];
  const product = new Float64Array(n);
  for (let k = 0; k < n; k++) {
    diagonal[k] = a[k * n + k]!;
    if (k + 1 >= n) break;
    const first = a[k * n + k + 1]!;
    let rest = 0;
    for (let j = k + 2; j < n; j++) rest += a[k * n + j]! ** 2;
    if (rest === 0) {
      beside[k] = first;
      continue;
    }
    const norm = Math.sqrt(first * first + rest);
    const alpha = first > 0 ? -norm : norm;
    beside[k] = alpha;
    a[k * n + k + 1] = first - alpha;
    betas[k] = 2 / ((first - alpha) ** 2 + rest);
    reflectBothSides(a, n, k, betas[k]!, product);
  }
  return { diagonal, beside, betas };
}

/** S ← H S H for the trailing block S of rows after k, upper triangle only, with H = I − beta · u uᵀ and u in row k. */
function reflectBothSides(a: Float64Array, n: number, k: number, beta: number, product: Float64Array): void {
  const u = k * n;
  product.fill(0, k + 1);
  for (let i = k + 1; i < n; i++) {
    const row = i * n;
    const ui = a[u + i]!;
    let sum = a[row + i]! * ui;
    for (let j = i + 1; j < n; j++) {
      const value = a[row + j]!;
      sum += value * a[u + j]!;
      product[j] = product[j]! + value * ui;
    }
    product[i] = product[i]! + sum;
  }
  let along = 0;
  for (let i = k + 1; i < n; i++) along += product[i]! * a[u + i]!;
  const shift = (beta * beta * along) / 2;
  for (let i = k + 1; i < n; i++) product[i] = beta * product[i]! - shift * a[u + i]!;
  for (let i = k + 1; i < n; i++) {
    const row = i * n;
    const [ui, pi] = [a[u + i]!, product[i]!];
    for (let j = i; j < n; j++) a[row + j] = a[row + j]! - ui * product[j]! - pi * a[u + j]!;
  }
}

/** Qᵀ of Q = H₀ H₁ …: its row i is Q eᵢ, and reflectors from i on leave eᵢ alone. Each reflector goes over all rows while it is in the cache. */
function reflectorsProduct(a: Float64Array, betas: Float64Array, n: number): Float64Array {
  const rows = new Float64Array(n * n);
  for (let i = 0; i < n; i++) rows[i * n + i] = 1;
  for (let k = n - 2; k >= 0; k--) {
    const beta = betas[k]!;
    if (beta === 0) continue;
    const u = k * n;
    for (let i = k + 1; i < n; i++) {
      const row = i * n;
      let along = 0;
      for (let j = k + 1; j < n; j++) along += a[u + j]! * rows[row + j]!;
      along *= beta;
      for (let j = k + 1; j < n; j++) rows[row + j] = rows[row + j]! - along * a[u + j]!;
    }
  }
  return rows;
}

const STEPS_MAX = 50;

function implicitQl(d: Float64Array, e: Float64Array, rows: Float64Array, n: number): void {
  const turns: Turns = { rows, n, sines: new Float64Array(n), cosines: new Float64Array(n) };
  for (let low = 0; low < n; low++) {
    for (let step = 0; ; step++) {
      let high = low;
      while (high + 1 < n && !isNegligible(d, e, high)) high++;
      if (high === low) break;
      assert(step < STEPS_MAX, "QL steps converge on finite numbers");
      qlStep(d, e, turns, low, high);
    }
  }
}

function isNegligible(d: Float64Array, e: Float64Array, at: number): boolean {
  const size = Math.abs(d[at]!) + Math.abs(d[at + 1]!);
  return Math.abs(e[at]!) <= Number.EPSILON * size || e[at] === 0;
}

/** One implicit QL sweep over the unreduced block [low, high]. */
function qlStep(d: Float64Array, e: Float64Array, turns: Turns, low: number, high: number): void {
  const { sines, cosines } = turns;
  const slope = (d[low + 1]! - d[low]!) / (2 * e[low]!);
  const root = Math.sqrt(slope * slope + 1);
  let g = d[high]! - d[low]! + e[low]! / (slope + (slope >= 0 ? root : -root));
  let [sine, cosine, p] = [1, 1, 0];
  for (let i = high - 1; i >= low; i--) {
    const f = sine * e[i]!;
    const b = cosine * e[i]!;
    const r = Math.hypot(f, g);
    e[i + 1] = r;
    if (r === 0) {
      d[i + 1] = d[i + 1]! - p;
      e[high] = 0;
      rotateRows(turns, i + 1, high);
      return;
    }
    sine = f / r;
    cosine = g / r;
    g = d[i + 1]! - p;
    const t = (d[i]! - g) * sine + 2 * cosine * b;
    p = sine * t;
    d[i + 1] = g + p;
    g = cosine * t - b;
    sines[i] = sine;
    cosines[i] = cosine;
  }
  d[low] = d[low]! - p;
  e[low] = g;
  e[high] = 0;
  rotateRows(turns, low, high);
}

/** Eigenvectors so far, as rows, and the rotations of one sweep: the i-th turns rows i and i + 1. */
interface Turns {
  readonly rows: Float64Array;
  readonly n: number;
  readonly sines: Float64Array;
  readonly cosines: Float64Array;
}

/** As many columns of all rows as a core's cache holds. */
const COLUMNS = 64;

/** Applies rotations high − 1 … low, two at a time: a row that is loaded takes part in both. */
function rotateRows({ rows, n, sines, cosines }: Turns, low: number, high: number): void {
  for (let from = 0; from < n; from += COLUMNS) {
    const width = Math.min(COLUMNS, n - from);
    let i = high - 1;
    for (; i > low; i -= 2) {
      const [s, c, s2, c2] = [sines[i]!, cosines[i]!, sines[i - 1]!, cosines[i - 1]!];
      const at = (i - 1) * n + from;
      for (let j = at, k = at + n, l = at + 2 * n; j < at + width; j++, k++, l++) {
        const [x, y, z] = [rows[j]!, rows[k]!, rows[l]!];
        const turned = c * y - s * z;
        rows[l] = s * y + c * z;
        rows[k] = s2 * x + c2 * turned;
        rows[j] = c2 * x - s2 * turned;
      }
    }
    if (i < low) continue;
    const [s, c] = [sines[i]!, cosines[i]!];
    const at = i * n + from;
    for (let j = at, k = at + n; j < at + width; j++, k++) {
      const [x, y] = [rows[j]!, rows[k]!];
      rows[k] = s * x + c * y;
      rows[j] = c * x - s * y;
    }
  }
}

function sorted(values: Float64Array, vectors: Float64Array, n: number): Eigen {
  const order = Array.from({ length: n }, (_unused, i) => i).sort((i, j) => values[i]! - values[j]!);
  const rows = new Float64Array(n * n);
  for (const [to, from] of order.entries()) rows.set(vectors.subarray(from * n, from * n + n), to * n);
  return { values: Float64Array.from(order, (i) => values[i]!), vectors: rows };
}
