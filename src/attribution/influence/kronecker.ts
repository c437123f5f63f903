import { assert } from "../../core/result.ts";
import type { Basis, Curvature, ModuleCurvature } from "../../models/training/evaluation.ts";
import { turned } from "./basis.ts";
import { symmetricEigen } from "./eigen.ts";
import type { Gradients, Influence, InfluenceFit, InfluenceMethod } from "./method.ts";

/** Of the mean eigenvalue, added to each: without it, directions that the data hardly knows would decide. */
const DAMPING = 0.1;

export interface KroneckerOptions {
  /** Of the mean eigenvalue. */
  readonly damping: number;
  /** EK-FAC; K-FAC where it is false. */
  readonly isCorrected: boolean;
  /** Of each layer's input directions, so many are kept: those in which the training data moves most. */
  readonly kept: number;
}

/**
 * K-FAC (Martens & Grosse 2015): the curvature of a layer is taken for the Kronecker product of E[x xᵀ] and E[g gᵀ], and
 * a score is qᵀ (A ⊗ G + λ)⁻¹ g, computed in the product's eigenbasis. No random projection: it costs accuracy.
 */
export function kfac(options: Partial<KroneckerOptions> = {}): InfluenceMethod {
  return method("kfac", { ...options, isCorrected: false });
}

/** EK-FAC (George et al. 2018; for influence, Grosse et al. 2023): in K-FAC's eigenbasis, the second moments of the examples' own gradients. */
export function ekfac(options: Partial<KroneckerOptions> = {}): InfluenceMethod {
  return method("ekfac", { ...options, isCorrected: true });
}

/** Over gradients as they are: each is turned into the eigenbases first. */
function method(id: string, options: Partial<KroneckerOptions>): InfluenceMethod {
  return {
    id,
    version: VERSION,
    begin(curvature): InfluenceFit {
      const fit = new KroneckerFit(curvature, options);
      return {
        add: (record, gradients) => fit.add(record, turned(fit.bases, gradients)),
        finish() {
          const { records, scores } = influenceOf(fit.factors());
          return { records, scores: (query) => scores(turned(fit.bases, query)) };
        },
      };
    },
  };
}

/** 1 knew the gradients by the B factors only. */
const VERSION = 2;

/** One layer's curvature, ready for queries. */
export interface ModuleFactors extends Basis {
  /** (λ_A λ_G + λ)^−½ [out, kept], with which rows are multiplied: makes all directions about equally large, so that rounding hurts all alike. */
  readonly rowScales: Float32Array;
  /** What a query's gradient is multiplied with in that basis, before it meets a row. Shape [out, kept]. */
  readonly queryScales: Float32Array;
}

/** All that scoring needs: a query costs its gradients and one product with the rows. */
export interface Factors {
  readonly method: string;
  readonly version: number;
  /** Ascending by name. */
  readonly modules: readonly ModuleFactors[];
  readonly records: readonly string[];
  /** Each example's gradient in the eigenbases, whitened and rounded to 8 bits: [examples, Σ out · kept], modules in order. */
  readonly rows: Int8Array;
  /** What one step of a row's 8 bits is worth. Shape [examples, modules]. */
  readonly steps: Float32Array;
}

/** Influence by fitted factors, just made or read from a file; a query's gradients are given in the factors' bases. */
export function influenceOf(factors: Factors): Influence {
  const { records } = factors;
  return {
    records,
    scores(query) {
      const prepared = prepare(factors, query);
      return Float64Array.from(records, (_record, n) => product(factors, n, prepared));
    },
  };
}

/** Products that are made at once: a few milliseconds. */
const PRODUCTS_MAX = 2 ** 22;

/** The same, and whoever else has something to do is let in between. */
export async function scoresInSteps(
  factors: Factors,
  query: Gradients,
  pause: () => Promise<void>,
): Promise<Float64Array> {
  const prepared = prepare(factors, query);
  const scores = new Float64Array(factors.records.length);
  const atOnce = Math.ceil(PRODUCTS_MAX / rowWidth(factors.modules));
  for (let n = 0; n < scores.length; n++) {
    if (n % atOnce === 0) await pause();
    scores[n] = product(factors, n, prepared);
  }
  return scores;
}

/** Of an example's row and a query. */
function product({ rows, steps }: Factors, example: number, prepared: readonly Float32Array[]): number {
  const width = prepared.reduce((sum, { length }) => sum + length, 0);
  let [score, at] = [0, example * width];
  for (let m = 0; m < prepared.length; m++) {
    const one = prepared[m]!;
    let sum = 0;
    for (let i = 0; i < one.length; i++) sum += rows[at + i]! * one[i]!;
    score += sum * steps[example * prepared.length + m]!;
    at += one.length;
  }
  return score;
}

function prepare({ modules }: Factors, query: Gradients): readonly Float32Array[] {
  return modules.map((module) => gradientOf(query, module).map((value, i) => value * module.queryScales[i]!));
}

/**
 * How large each example is in the curvature's own measure: the root of its score for itself, all factors' scores summed. A score divided by its example's size
 * says how alike the two are, however large the example's gradient. Shape [examples].
 */
export function exampleSizes(members: readonly Factors[]): Float64Array {
  const squares = new Float64Array(members[0]?.records.length ?? 0);
  for (const { modules, rows, steps } of members) {
    const width = rowWidth(modules);
    const scales = modules.map(({ queryScales, rowScales }) => queryScales.map((one, i) => one / rowScales[i]!));
    for (let n = 0; n < squares.length; n++) {
      let at = n * width;
      for (const [m, own] of scales.entries()) {
        let sum = 0;
        for (let i = 0; i < own.length; i++) sum += rows[at + i]! ** 2 * own[i]!;
        squares[n] = squares[n]! + sum * steps[n * scales.length + m]! ** 2;
        at += own.length;
      }
    }
  }
  return squares.map(Math.sqrt);
}

export function rowWidth(modules: readonly { readonly out: number; readonly kept: number }[]): number {
  return modules.reduce((sum, { out, kept }) => sum + out * kept, 0);
}

/** Takes examples' gradients in its own {@link bases}. */
export class KroneckerFit implements InfluenceFit {
  readonly #modules: readonly FittedModule[];
  readonly #width: number;
  readonly #isCorrected: boolean;
  readonly #damping: number;
  readonly #records: string[] = [];
  readonly #rows: Int8Array[] = [];
  readonly #steps: Float32Array[] = [];

  constructor(curvature: Curvature, options: Partial<KroneckerOptions> = {}, fitted = fitAll(curvature, options)) {
    const { damping = DAMPING, isCorrected = true } = options;
    this.#damping = damping;
    this.#isCorrected = isCorrected;
    this.#modules = [...fitted].sort((a, b) => (a.name < b.name ? -1 : 1));
    this.#width = rowWidth(this.#modules);
  }

  /** The same, and whoever else has something to do is let in between: the eigenvectors of a wide layer take a second. */
  static async inSteps(
    curvature: Curvature,
    options: Partial<KroneckerOptions>,
    pause: () => Promise<void>,
  ): Promise<KroneckerFit> {
    const fitted: FittedModule[] = [];
    for (const module of curvature.modules) {
      await pause();
      fitted.push(fitModule(module, curvature.tokens, options));
    }
    return new KroneckerFit(curvature, options, fitted);
  }

  /** Ascending by name. */
  get bases(): readonly Basis[] {
    return this.#modules;
  }

  add(record: string, gradients: Gradients): void {
    const row = new Int8Array(this.#width);
    const steps = new Float32Array(this.#modules.length);
    let at = 0;
    for (const [m, module] of this.#modules.entries()) {
      const whitened = gradientOf(gradients, module).slice();
      const { moments, rowScales } = module;
      let most = 0;
      for (let i = 0; i < whitened.length; i++) {
        moments[i] = moments[i]! + whitened[i]! * whitened[i]!;
        whitened[i] = whitened[i]! * rowScales[i]!;
        most = Math.max(most, Math.abs(whitened[i]!));
      }
      const step = most / 127;
      steps[m] = step;
      if (step > 0) for (let i = 0; i < whitened.length; i++) row[at + i] = Math.round(whitened[i]! / step);
      at += whitened.length;
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
    const modules = this.#modules.map(({ moments, ...module }) => ({
      ...module,
      queryScales: this.#isCorrected
        ? correctedScales(moments, count, module.rowScales, this.#damping)
        : module.rowScales,
    }));
    const id = this.#isCorrected ? "ekfac" : "kfac";
    return { method: id, version: VERSION, modules, records: this.#records.slice(), rows, steps };
  }

  finish(): Influence {
    return influenceOf(this.factors());
  }
}

interface FittedModule extends Omit<ModuleFactors, "queryScales"> {
  /** Σ over examples of the squared gradient in the eigenbasis [out, kept]. */
  readonly moments: Float64Array;
}

function fitAll({ modules, tokens }: Curvature, options: Partial<KroneckerOptions>): readonly FittedModule[] {
  return modules.map((module) => fitModule(module, tokens, options));
}

function fitModule(
  { name, columns, out, inputs, outputs }: ModuleCurvature,
  tokens: number,
  { damping = DAMPING, kept: most = Number.POSITIVE_INFINITY }: Partial<KroneckerOptions>,
): FittedModule {
  assert(damping > 0 && most >= 1, "damping is positive, and something is kept");
  const kept = Math.min(most, columns);
  const [a, g] = [symmetricEigen(inputs, columns), symmetricEigen(outputs, out)];
  // Eigenvalues ascend.
  const first = columns - kept;
  const products = new Float64Array(out * kept);
  for (let i = 0; i < out; i++)
    for (let j = 0; j < kept; j++)
      products[i * kept + j] = (Math.max(0, g.values[i]! / tokens) * Math.max(0, a.values[first + j]!)) / tokens;
  const lambda = dampingOf(products, damping);
  return {
    ...{ name, columns, out, kept },
    inputBasis: Float32Array.from(a.vectors.subarray(first * columns)),
    outputBasis: Float32Array.from(g.vectors),
    rowScales: Float32Array.from(products, (product) => 1 / Math.sqrt(product + lambda)),
    moments: new Float64Array(out * kept),
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

function gradientOf(gradients: Gradients, { name, out, kept }: Basis): Float32Array {
  const gradient = gradients.get(name);
  assert(gradient !== undefined && gradient.length === out * kept, `${name} has a gradient of its own shape`);
  return gradient;
}
