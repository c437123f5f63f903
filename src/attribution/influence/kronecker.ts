import { assert } from "../../core/result.ts";
import type { Curvature, ModuleCurvature } from "../../models/training/evaluation.ts";
import { symmetricEigen } from "./eigen.ts";
import { multiplyTransposed, transpose } from "./matrix.ts";
import type { Gradients, Influence, InfluenceFit, InfluenceMethod } from "./method.ts";

/** Of the mean eigenvalue, added to each: without it, directions that the data hardly knows would decide. */
const DAMPING = 0.1;

export interface KroneckerOptions {
  readonly damping: number;
}

/**
 * K-FAC (Martens & Grosse 2015) on the B factors of an adapter: the curvature of a module is taken for the Kronecker product of E[h hᵀ] and E[g gᵀ], and
 * a score is qᵀ (A ⊗ G + λ)⁻¹ g, computed exactly in the product's eigenbasis. No projection: it costs accuracy, and the factors are small.
 */
export function kfac(options: Partial<KroneckerOptions> = {}): InfluenceMethod {
  const damping = options.damping ?? DAMPING;
  return { id: "kfac", version: 1, begin: (curvature) => new KroneckerFit(curvature, damping, false) };
}

/** EK-FAC (George et al. 2018; for influence, Grosse et al. 2023): in K-FAC's eigenbasis, the second moments of the examples' own gradients. */
export function ekfac(options: Partial<KroneckerOptions> = {}): InfluenceMethod {
  const damping = options.damping ?? DAMPING;
  return { id: "ekfac", version: 1, begin: (curvature) => new KroneckerFit(curvature, damping, true) };
}

/** One module's curvature, ready for queries. */
export interface ModuleFactors {
  /** PEFT's name of the B tensor. */
  readonly name: string;
  readonly rank: number;
  readonly out: number;
  /** Rows are eigenvectors of E[h hᵀ]. Shape [rank, rank]. */
  readonly inputBasis: Float32Array;
  /** Rows are eigenvectors of E[g gᵀ]. Shape [out, out]. */
  readonly outputBasis: Float32Array;
  /** (λ_A λ_G + λ)^−½ [out, rank], with which rows are multiplied: makes all directions about equally large, so that rounding hurts all alike. */
  readonly rowScales: Float32Array;
  /** What a query's gradient is multiplied with in that basis, before it meets a row. Shape [out, rank]. */
  readonly queryScales: Float32Array;
}

/** All that scoring needs: a query costs its gradients and one product with the rows. */
export interface Factors {
  readonly method: string;
  readonly version: number;
  /** Ascending by name. */
  readonly modules: readonly ModuleFactors[];
  readonly records: readonly string[];
  /** Each example's gradient in the eigenbases, whitened and rounded to 8 bits: [examples, Σ out · rank], modules in order. */
  readonly rows: Int8Array;
  /** What one step of a row's 8 bits is worth. Shape [examples, modules]. */
  readonly steps: Float32Array;
}

/** Influence by fitted factors, just made or read from a file. */
export function influenceOf(factors: Factors): Influence {
  const { modules, records, rows, steps } = factors;
  const width = rowWidth(modules);
  return {
    records,
    scores(query) {
      const prepared = modules.map((module) => prepare(module, gradientOf(query, module)));
      const scores = new Float64Array(records.length);
      for (let n = 0; n < records.length; n++) {
        let at = n * width;
        for (let m = 0; m < prepared.length; m++) {
          const one = prepared[m]!;
          let sum = 0;
          for (let i = 0; i < one.length; i++) sum += rows[at + i]! * one[i]!;
          scores[n] = scores[n]! + sum * steps[n * prepared.length + m]!;
          at += one.length;
        }
      }
      return scores;
    },
  };
}

/**
 * How large each example is in the curvature's own measure: the root of its score for itself. A score divided by its example's size says how alike the two are,
 * however large the example's gradient. Shape [examples].
 */
export function exampleSizes({ modules, records, rows, steps }: Factors): Float64Array {
  const width = rowWidth(modules);
  const scales = modules.map(({ queryScales, rowScales }) => queryScales.map((one, i) => one / rowScales[i]!));
  return Float64Array.from(records, (_record, n) => {
    let [square, at] = [0, n * width];
    for (const [m, own] of scales.entries()) {
      let sum = 0;
      for (let i = 0; i < own.length; i++) sum += rows[at + i]! ** 2 * own[i]!;
      square += sum * steps[n * scales.length + m]! ** 2;
      at += own.length;
    }
    return Math.sqrt(square);
  });
}

export function rowWidth(modules: readonly { readonly out: number; readonly rank: number }[]): number {
  return modules.reduce((sum, { out, rank }) => sum + out * rank, 0);
}

export class KroneckerFit implements InfluenceFit {
  readonly #modules: readonly FittedModule[];
  readonly #width: number;
  readonly #isCorrected: boolean;
  readonly #damping: number;
  readonly #records: string[] = [];
  readonly #rows: Int8Array[] = [];
  readonly #steps: Float32Array[] = [];

  constructor(curvature: Curvature, damping: number, isCorrected: boolean) {
    assert(damping > 0, "damping is positive");
    this.#damping = damping;
    this.#isCorrected = isCorrected;
    this.#modules = curvature.modules
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
      .map((module) => fitModule(module, curvature.tokens, damping));
    this.#width = rowWidth(this.#modules);
  }

  add(record: string, gradients: Gradients): void {
    const row = new Int8Array(this.#width);
    const steps = new Float32Array(this.#modules.length);
    let at = 0;
    for (const [m, module] of this.#modules.entries()) {
      const turned = rotate(module, gradientOf(gradients, module));
      const { moments, rowScales } = module;
      let most = 0;
      for (let i = 0; i < turned.length; i++) {
        moments[i] = moments[i]! + turned[i]! * turned[i]!;
        turned[i] = turned[i]! * rowScales[i]!;
        most = Math.max(most, Math.abs(turned[i]!));
      }
      const step = most / 127;
      steps[m] = step;
      if (step > 0) for (let i = 0; i < turned.length; i++) row[at + i] = Math.round(turned[i]! / step);
      at += turned.length;
    }
    this.#records.push(record);
    this.#rows.push(row);
    this.#steps.push(steps);
  }

  factors(): Factors {
    const count = this.#records.length;
    const rows = new Int8Array(count * this.#width);
    const steps = new Float32Array(count * this.#modules.length);
    this.#rows.forEach((row, n) => {
      rows.set(row, n * this.#width);
    });
    this.#steps.forEach((some, n) => {
      steps.set(some, n * this.#modules.length);
    });
    const modules = this.#modules.map(({ name, rank, out, inputBasis, outputBasis, rowScales, moments }) => ({
      ...{ name, rank, out, inputBasis, outputBasis, rowScales },
      queryScales: this.#isCorrected ? correctedScales(moments, count, rowScales, this.#damping) : rowScales,
    }));
    const [method, version] = [this.#isCorrected ? "ekfac" : "kfac", 1];
    return { method, version, modules, records: this.#records.slice(), rows, steps };
  }

  finish(): Influence {
    return influenceOf(this.factors());
  }
}

interface FittedModule extends Omit<ModuleFactors, "queryScales"> {
  /** Σ over examples of the squared gradient in the eigenbasis [out, rank]. */
  readonly moments: Float64Array;
}

function fitModule(
  { name, rank, out, inputs, outputs }: ModuleCurvature,
  tokens: number,
  damping: number,
): FittedModule {
  const [a, g] = [symmetricEigen(inputs, rank), symmetricEigen(outputs, out)];
  const products = new Float64Array(out * rank);
  for (let i = 0; i < out; i++)
    for (let j = 0; j < rank; j++)
      products[i * rank + j] = (Math.max(0, g.values[i]! / tokens) * Math.max(0, a.values[j]!)) / tokens;
  const lambda = dampingOf(products, damping);
  return {
    ...{ name, rank, out },
    inputBasis: Float32Array.from(a.vectors),
    outputBasis: Float32Array.from(g.vectors),
    rowScales: Float32Array.from(products, (product) => 1 / Math.sqrt(product + lambda)),
    moments: new Float64Array(out * rank),
  };
}

/** Rows carry (λ_A λ_G + λ)^−½ already; a query brings the rest of 1 / (moment + λ'). */
function correctedScales(
  moments: Float64Array,
  examples: number,
  rowScales: Float32Array,
  damping: number,
): Float32Array {
  const means = moments.map((moment) => moment / Math.max(1, examples));
  const lambda = dampingOf(means, damping);
  return Float32Array.from(means, (mean, i) => 1 / ((mean + lambda) * rowScales[i]!));
}

/** A module without any curvature gets a damping all the same: its gradients are zero too. */
function dampingOf(values: Float64Array, damping: number): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return mean > 0 ? damping * mean : 1;
}

function prepare(module: ModuleFactors, gradient: Float32Array): Float32Array {
  const turned = rotate(module, gradient);
  for (let i = 0; i < turned.length; i++) turned[i] = turned[i]! * module.queryScales[i]!;
  return turned;
}

/** Q_G · gradient · Q_Aᵀ: a gradient [out, rank] in the eigenbasis. */
function rotate(
  { rank, out, inputBasis, outputBasis }: Pick<ModuleFactors, "rank" | "out" | "inputBasis" | "outputBasis">,
  gradient: Float32Array,
): Float32Array {
  const turned = multiplyTransposed(outputBasis, transpose(gradient, out, rank), out, rank);
  return multiplyTransposed(turned, inputBasis, out, rank);
}

function gradientOf(
  gradients: Gradients,
  { name, out, rank }: { name: string; out: number; rank: number },
): Float32Array {
  const gradient = gradients.get(name);
  assert(gradient !== undefined && gradient.length === out * rank, `${name} has a gradient of its own shape`);
  return gradient;
}
