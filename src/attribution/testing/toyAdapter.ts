import type { Curvature } from "../../models/training/evaluation.ts";
import { type Random, randomOf } from "../../models/training/random.ts";
import { cholesky, choleskySolve } from "../influence/matrix.ts";
import type { Gradients } from "../influence/method.ts";

/**
 * The smallest layer with a loss: y = B h for given h, cross-entropy over the `out` classes, a little L2. It is convex, so training without
 * an example has one answer, which Newton's method finds to the last digit: the truth that influence estimates.
 */
export const toy = { name: "toy.weight", out: 4, columns: 3, decay: 0.5 };
const SIZE = toy.out * toy.columns;

export interface ToyExample {
  readonly tokens: readonly { readonly h: Float64Array; readonly target: number }[];
}

/** Examples of a few tokens each; some directions of h are much larger than others, as in real models. */
export function toyExamples(count: number, seed: number): ToyExample[] {
  const random = randomOf(seed);
  const truth = Float64Array.from({ length: SIZE }, random.normal);
  return Array.from({ length: count }, () => ({
    tokens: Array.from({ length: 3 }, () => {
      const h = Float64Array.from([4, 1, 0.25], (scale) => scale * random.normal());
      return { h, target: draw(chances(truth, h), random) };
    }),
  }));
}

/** B [out, columns] at the least regularised loss. */
export function toyTrain(examples: readonly ToyExample[]): Float64Array {
  const b = new Float64Array(SIZE);
  for (let step = 0; step < 12; step++) {
    const gradient = b.map((value) => toy.decay * value);
    const hessian = new Float64Array(SIZE * SIZE);
    for (let i = 0; i < SIZE; i++) hessian[i * SIZE + i] = toy.decay;
    for (const { h, target } of examples.flatMap(({ tokens }) => tokens)) addToken(b, h, target, gradient, hessian);
    const move = choleskySolve(cholesky(hessian, SIZE)!, gradient);
    for (let i = 0; i < SIZE; i++) b[i] = b[i]! - move[i]!;
  }
  return b;
}

export function toyLoss(b: Float64Array, { tokens }: ToyExample): number {
  return tokens.reduce((sum, { h, target }) => sum - Math.log(chances(b, h)[target]!), 0);
}

export function toyGradients(b: Float64Array, { tokens }: ToyExample): Gradients {
  const gradient = new Float32Array(SIZE);
  for (const { h, target } of tokens) {
    const g = errors(b, h, target);
    for (let i = 0; i < toy.out; i++)
      for (let j = 0; j < toy.columns; j++)
        gradient[i * toy.columns + j] = gradient[i * toy.columns + j]! + g[i]! * h[j]!;
  }
  return new Map([[toy.name, gradient]]);
}

/** With the examples' own labels. */
export function toyCurvature(b: Float64Array, examples: readonly ToyExample[]): Curvature {
  const { name, columns, out } = toy;
  const [inputs, outputs] = [new Float64Array(columns * columns), new Float64Array(out * out)];
  const tokens = examples.flatMap((example) => example.tokens);
  for (const { h, target } of tokens) {
    addOuter(inputs, h);
    addOuter(outputs, errors(b, h, target));
  }
  return { tokens: tokens.length, examples: examples.length, modules: [{ name, columns, out, inputs, outputs }] };
}

function addToken(
  b: Float64Array,
  h: Float64Array,
  target: number,
  gradient: Float64Array,
  hessian: Float64Array,
): void {
  const p = chances(b, h);
  const g = errors(b, h, target);
  for (let i = 0; i < toy.out; i++)
    for (let j = 0; j < toy.columns; j++) {
      const row = i * toy.columns + j;
      gradient[row] = gradient[row]! + g[i]! * h[j]!;
      for (let k = 0; k < toy.out; k++)
        for (let l = 0; l < toy.columns; l++) {
          const at = row * SIZE + k * toy.columns + l;
          hessian[at] = hessian[at]! + ((i === k ? p[i]! : 0) - p[i]! * p[k]!) * h[j]! * h[l]!;
        }
    }
}

/** Softmax of B h minus the target's one. */
function errors(b: Float64Array, h: Float64Array, target: number): Float64Array {
  const g = chances(b, h);
  g[target] = g[target]! - 1;
  return g;
}

function chances(b: Float64Array, h: Float64Array): Float64Array {
  const logits = Float64Array.from({ length: toy.out }, (_unused, i) =>
    h.reduce((sum, value, j) => sum + value * b[i * toy.columns + j]!, 0),
  );
  const top = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - top));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}

function draw(weights: Float64Array, random: Random): number {
  let left = random.uniform();
  const found = weights.findIndex((weight) => {
    left -= weight;
    return left < 0;
  });
  return found < 0 ? weights.length - 1 : found;
}

function addOuter(sum: Float64Array, v: Float64Array): void {
  const n = v.length;
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) sum[i * n + j] = sum[i * n + j]! + v[i]! * v[j]!;
}
