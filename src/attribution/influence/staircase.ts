import type { Spectrum } from "./spectrum.ts";

/**
 * Which of a layer's gradient in its eigenbases is kept: of each output direction so many leading input directions, ascending, those with none left out. Directions in which
 * the training data hardly moves say nothing of a record, and whether it moves is the product of both sides' eigenvalues: what is above a line is a staircase, and tells as much as a
 * rectangle of twice the size.
 */
export type Staircase = readonly number[];

/** A layer and what is kept of it. */
export interface ModuleSize {
  readonly name: string;
  readonly columns: number;
  readonly out: number;
  readonly stairs: Staircase;
}

/** Output directions that are kept, and the most input directions of one: the rectangle in which the stairs stand. */
export function sidesOf({ stairs }: { readonly stairs: Staircase }): {
  readonly outward: number;
  readonly inward: number;
} {
  return { outward: stairs.length, inward: stairs.at(-1) ?? 0 };
}

/** Numbers that are kept of one gradient. */
export function rowWidth(modules: readonly { readonly stairs: Staircase }[]): number {
  return modules.reduce((sum, { stairs }) => stairs.reduce((own, count) => own + count, sum), 0);
}

/** Everything. */
export function wholeStairs(modules: readonly Spectrum[]): readonly ModuleSize[] {
  return modules.map(({ name, columns, out }) => ({ name, columns, out, stairs: new Array(out).fill(columns) }));
}

/** Doublings of the mean between which the line is looked for: below, all rounding; above, nothing. */
const LINE_EXPONENT_MAX = 64;
const HALVINGS = 48;

/** The most that is within, of all layers above one line: everything, or as much as there may be. At least one number of each layer is kept. */
export function widestStairs(
  modules: readonly Spectrum[],
  isWithin: (sizes: readonly ModuleSize[]) => boolean,
): readonly ModuleSize[] {
  const whole = wholeStairs(modules);
  if (isWithin(whole)) return whole;
  const above = (exponent: number): readonly ModuleSize[] =>
    modules.map((module) => stairsAbove(module, 2 ** exponent));
  let [within, beyond] = [LINE_EXPONENT_MAX, -LINE_EXPONENT_MAX];
  for (let n = 0; n < HALVINGS; n++) {
    const middle = (within + beyond) / 2;
    if (isWithin(above(middle))) within = middle;
    else beyond = middle;
  }
  return above(within);
}

/** Where the product of both eigenvalues is at least `line` times the layer's mean. */
function stairsAbove({ name, columns, out, inputs, outputs }: Spectrum, line: number): ModuleSize {
  const [a, g] = [inputs.values, outputs.values];
  const least = line * meanOf(a) * meanOf(g);
  const stairs: number[] = [];
  let first = columns;
  for (let i = 0; i < out; i++) {
    while (first > 0 && g[i]! > 0 && a[first - 1]! > 0 && g[i]! * a[first - 1]! >= least) first -= 1;
    if (first < columns) stairs.push(columns - first);
  }
  return { name, columns, out, stairs: stairs.length === 0 ? [1] : stairs };
}

/** What rounding makes of an eigenvalue of 0 may be below it. */
export function meanOf(eigenvalues: Float64Array): number {
  return eigenvalues.reduce((sum, value) => sum + Math.max(0, value), 0) / eigenvalues.length;
}
