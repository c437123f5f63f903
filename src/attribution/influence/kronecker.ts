import { assert } from "../../core/result.ts";
import type { Basis } from "../../models/training/evaluation.ts";
import { turned } from "./basis.ts";
import type { Gradients, Influence, InfluenceFit, InfluenceMethod } from "./method.ts";
import { type Spectra, type Spectrum, spectraOf } from "./spectrum.ts";
import { type ModuleSize, meanOf, rowWidth, type Staircase, sidesOf, wholeStairs } from "./staircase.ts";

/** Of the mean eigenvalue, added to each: without it, directions that the data hardly knows would decide. */
const DAMPING = 0.1;

export interface KroneckerOptions {
  /** Of the mean eigenvalue. */
  readonly damping: number;
  /** EK-FAC; K-FAC where it is false. */
  readonly isCorrected: boolean;
  /** What is kept of each layer of the spectra; everything unless it is given. */
  readonly sizes: readonly ModuleSize[];
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
      const fit = new KroneckerFit(spectraOf(curvature), options);
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

/** 1 knew the gradients by the B factors only; 2 kept as many input directions for each output direction of a layer. */
const VERSION = 3;

/** One layer's curvature, ready for queries. Flat arrays go along the stairs, first output direction first. */
export interface ModuleFactors extends Basis {
  readonly stairs: Staircase;
  /** (λ_A λ_G + λ)^−½, with which rows are multiplied: makes all directions about equally large, so that rounding hurts all alike. */
  readonly rowScales: Float32Array;
  /** What a query's gradient is multiplied with in that basis, before it meets a row. */
  readonly queryScales: Float32Array;
}

/** All that scoring needs: a query costs its gradients and one product with the rows. */
export interface Factors {
  readonly method: string;
  readonly version: number;
  /** Ascending by name. */
  readonly modules: readonly ModuleFactors[];
  readonly records: readonly string[];
  /** Each example's gradient in the eigenbases, whitened and rounded to 8 bits: [examples, width], modules in order. */
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
  return modules.map((module) => alongStairs(query, module).map((value, i) => value * module.queryScales[i]!));
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

/** Takes examples' gradients in its own {@link bases}. */
export class KroneckerFit implements InfluenceFit {
  readonly #modules: readonly FittedModule[];
  readonly #width: number;
  readonly #isCorrected: boolean;
  readonly #damping: number;
  readonly #records: string[] = [];
  readonly #rows: Int8Array[] = [];
  readonly #steps: Float32Array[] = [];

  constructor(spectra: Spectra, options: Partial<KroneckerOptions> = {}) {
    const { damping = DAMPING, isCorrected = true, sizes = wholeStairs(spectra.modules) } = options;
    assert(damping > 0 && sizes.length === spectra.modules.length, "damping is positive, and each layer has a size");
    this.#damping = damping;
    this.#isCorrected = isCorrected;
    this.#modules = spectra.modules.map((module, m) => fitModule(module, sizes[m]!.stairs, spectra.tokens, damping));
    this.#width = rowWidth(this.#modules);
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
      const whitened = alongStairs(gradients, module);
      const { moments, rowScales } = module;
      module.square += squareOf(gradients.get(module.name)!);
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
    const modules = this.#modules.map(({ moments, square, ...module }) => ({
      ...module,
      queryScales: this.#isCorrected
        ? correctedScales(moments, module, { examples: Math.max(1, count), square, damping: this.#damping })
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
  /** Σ over examples of the squared gradient in the eigenbasis, along the stairs. */
  readonly moments: Float64Array;
  /** The same in all directions that were turned, as one sum. */
  square: number;
}

function fitModule(
  { name, columns, out, inputs, outputs }: Spectrum,
  stairs: Staircase,
  tokens: number,
  damping: number,
): FittedModule {
  const { inward, outward } = sidesOf({ stairs });
  const products = new Float64Array(rowWidth([{ stairs }]));
  let at = 0;
  // Eigenvalues ascend.
  for (const [step, count] of stairs.entries()) {
    const g = Math.max(0, outputs.values[out - outward + step]! / tokens);
    for (let j = columns - count; j < columns; j++) products[at++] = (g * Math.max(0, inputs.values[j]!)) / tokens;
  }
  const lambda = dampingOf((meanOf(outputs.values) / tokens) * (meanOf(inputs.values) / tokens), damping);
  return {
    ...{ name, columns, out, inward, outward, stairs },
    inputBasis: Float32Array.from(inputs.vectors.subarray((columns - inward) * columns)),
    outputBasis: Float32Array.from(outputs.vectors.subarray((out - outward) * out)),
    rowScales: Float32Array.from(products, (product) => 1 / Math.sqrt(product + lambda)),
    ...{ moments: new Float64Array(products.length), square: 0 },
  };
}

interface Seen {
  readonly examples: number;
  readonly square: number;
  readonly damping: number;
}

/** Rows carry (λ_A λ_G + λ)^−½ already; a query brings the rest of 1 / (moment + λ'). */
function correctedScales(
  moments: Float64Array,
  { columns, out, rowScales }: Omit<FittedModule, "moments" | "square">,
  { examples, square, damping }: Seen,
): Float32Array {
  const lambda = dampingOf(square / examples / (columns * out), damping);
  return Float32Array.from(moments, (moment, i) => 1 / ((moment / examples + lambda) * rowScales[i]!));
}

/** Of the mean over all directions, kept or not. A module without any curvature gets a damping all the same: its gradients are zero too. */
function dampingOf(mean: number, damping: number): number {
  return mean > 0 ? damping * mean : 1;
}

/** What is kept of a gradient [outward, inward], as an array of its own. */
function alongStairs(
  gradients: Gradients,
  { name, outward, inward, stairs }: Omit<ModuleFactors, "rowScales" | "queryScales">,
) {
  const gradient = gradients.get(name);
  assert(gradient !== undefined && gradient.length === outward * inward, `${name} has a gradient of its own shape`);
  const kept = new Float32Array(rowWidth([{ stairs }]));
  let at = 0;
  for (const [step, count] of stairs.entries()) {
    const end = (step + 1) * inward;
    kept.set(gradient.subarray(end - count, end), at);
    at += count;
  }
  return kept;
}

function squareOf(values: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! * values[i]!;
  return sum;
}
