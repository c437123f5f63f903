import { assert } from "../../core/result.ts";
import { randomOf } from "../../models/training/random.ts";
import { cholesky, choleskySolve, dot } from "./matrix.ts";
import type { InfluenceMethod } from "./method.ts";
import { fitRows, type RowLayout } from "./rows.ts";

// What influence has to be better than, behind the same interface. They keep all gradients in memory.

/** TracIn (Pruthi et al. 2020) at the last checkpoint: the dot product of the gradients. */
export const tracIn: InfluenceMethod = {
  id: "tracin",
  version: 1,
  begin: (curvature) => fitRows(curvature, (rows) => (query) => Float64Array.from(rows, (row) => dot(row, query))),
};

/** How large an example's gradient is, whatever the query. */
export const gradientNorm: InfluenceMethod = {
  id: "gradient-norm",
  version: 1,
  begin: (curvature) =>
    fitRows(curvature, (rows) => {
      const norms = Float64Array.from(rows, (row) => Math.sqrt(dot(row, row)));
      return () => norms.slice();
    }),
};

/** Chance, the same for every query. */
export function randomScores(seed: number): InfluenceMethod {
  const scorerOf = (rows: readonly unknown[]) => {
    const random = randomOf(seed);
    const scores = Float64Array.from(rows, random.normal);
    return () => scores.slice();
  };
  return { id: "random", version: 1, begin: (curvature) => fitRows(curvature, scorerOf) };
}

/**
 * DataInf (Kwon et al. 2024), equation 5: each module's inverse curvature is taken for the mean of the inverses of the examples' own g gᵀ + λ, with
 * λ = damping × the mean squared gradient entry.
 */
export function dataInf(damping = 0.1): InfluenceMethod {
  const scorerOf = (rows: readonly Float32Array[], { modules }: RowLayout) => {
    const perModule = modules.map(({ from, until }) => {
      const parts = rows.map((row) => row.subarray(from, until));
      const squares = Float64Array.from(parts, (part) => dot(part, part));
      const sum = squares.reduce((total, one) => total + one, 0);
      const lambda = sum > 0 ? (damping * sum) / (rows.length * (until - from)) : 1;
      return { from, until, parts, squares, lambda };
    });
    return (query: Float32Array): Float64Array => {
      const scores = new Float64Array(rows.length);
      for (const { from, until, parts, squares, lambda } of perModule) {
        const part = query.subarray(from, until);
        const solved = Float64Array.from(part);
        for (const [n, own] of parts.entries()) {
          const factor = dot(part, own) / (lambda + squares[n]!) / rows.length;
          for (let i = 0; i < solved.length; i++) solved[i] = solved[i]! - factor * own[i]!;
        }
        for (const [n, own] of parts.entries()) scores[n] = scores[n]! + dot(own, solved) / lambda;
      }
      return scores;
    };
  };
  return { id: "datainf", version: 1, begin: (curvature) => fitRows(curvature, scorerOf) };
}

/** TRAK (Park et al. 2023) on loss gradients: signs drawn once project a row to `dimensions`, and the kernel is the projected rows' own ΦᵀΦ + λ. */
export function trak(dimensions: number, seed: number, damping = 0.1): InfluenceMethod {
  const scorerOf = (rows: readonly Float32Array[], { width }: RowLayout) => {
    const project = projection(width, dimensions, seed);
    const features = rows.map(project);
    const kernel = new Float64Array(dimensions * dimensions);
    for (const feature of features)
      for (let i = 0; i < dimensions; i++)
        for (let j = 0; j <= i; j++)
          kernel[i * dimensions + j] = kernel[i * dimensions + j]! + feature[i]! * feature[j]!;
    let trace = 0;
    for (let i = 0; i < dimensions; i++) trace += kernel[i * (dimensions + 1)]!;
    const lambda = trace > 0 ? (damping * trace) / dimensions : 1;
    for (let i = 0; i < dimensions; i++) kernel[i * (dimensions + 1)] = kernel[i * (dimensions + 1)]! + lambda;
    const lower = cholesky(kernel, dimensions);
    assert(lower !== undefined, "a damped kernel is positive definite");
    return (query: Float32Array): Float64Array => {
      const solved = choleskySolve(lower, project(query));
      return Float64Array.from(features, (feature) => dot(feature, solved));
    };
  };
  return { id: "trak", version: 1, begin: (curvature) => fitRows(curvature, scorerOf) };
}

/** A sparse projection (Kane & Nelson 2014): each input is added to {@link SPREAD} outputs with random signs. */
function projection(width: number, dimensions: number, seed: number): (row: Float32Array) => Float64Array {
  const random = randomOf(seed);
  const targets = Uint32Array.from({ length: width * SPREAD }, () => random.bits() % dimensions);
  const signs = Float64Array.from(
    { length: width * SPREAD },
    () => (random.bits() % 2 === 0 ? 1 : -1) / Math.sqrt(SPREAD),
  );
  return (row) => {
    const projected = new Float64Array(dimensions);
    for (let i = 0, at = 0; i < width; i++)
      for (let k = 0; k < SPREAD; k++, at++) projected[targets[at]!] = projected[targets[at]!]! + signs[at]! * row[i]!;
    return projected;
  };
}

const SPREAD = 8;
