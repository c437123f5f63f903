/** Running means of gradients and of their squares, per parameter; zeros at the start. */
export interface Moments {
  readonly mean: Float32Array;
  readonly square: Float32Array;
}

export interface AdamWStep {
  /** Counted from 1. */
  readonly step: number;
  readonly learningRate: number;
  readonly weightDecay: number;
  /** Multiplies every gradient: what clipping leaves of it. */
  readonly gradientScale: number;
}

/** Llama's (Touvron et al. 2023). */
const BETA_MEAN = 0.9;
const BETA_SQUARE = 0.95;
const EPSILON = 1e-8;

/** One step of AdamW (Loshchilov & Hutter 2019) on `values`, in place: the decay is not a part of the gradient. Sums in float64, stored in float32. */
export function adamW(values: Float32Array, gradient: Float32Array, moments: Moments, options: AdamWStep): void {
  const { step, learningRate, weightDecay, gradientScale } = options;
  const { mean, square } = moments;
  const meanBias = 1 - BETA_MEAN ** step;
  const squareBias = 1 - BETA_SQUARE ** step;
  for (let i = 0; i < values.length; i++) {
    const g = gradient[i]! * gradientScale;
    const m = BETA_MEAN * mean[i]! + (1 - BETA_MEAN) * g;
    const v = BETA_SQUARE * square[i]! + (1 - BETA_SQUARE) * g * g;
    mean[i] = m;
    square[i] = v;
    const value = values[i]!;
    values[i] = value - learningRate * (m / meanBias / (Math.sqrt(v / squareBias) + EPSILON) + weightDecay * value);
  }
}

/** Matrices decay; norms' gains and the embedding, which is a table and not a map, do not. */
export function decays(name: string): boolean {
  return !/norm|embed_tokens/.test(name);
}

/** √Σ g² over all gradients. */
export function globalNorm(gradients: Iterable<Float32Array>): number {
  let sum = 0;
  for (const gradient of gradients) for (let i = 0; i < gradient.length; i++) sum += gradient[i]! * gradient[i]!;
  return Math.sqrt(sum);
}
