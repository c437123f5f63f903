/** Chance for training: the same numbers for the same seed on every machine. Nothing secret hangs on it. */
export interface Random {
  /** Uniform over the 32-bit numbers. */
  bits(): number;
  /** Uniform in [0, 1), with 32 bits. */
  uniform(): number;
  /** Gaussian with mean 0 and variance 1. */
  normal(): number;
}

/** Chris Doty-Humphrey's sfc32 (PractRand), from whole numbers that say what the chance is for: (seed, epoch), (seed, step, layer) … */
export function randomOf(...purpose: readonly number[]): Random {
  let [a, b, c] = [0x9e3779b9, 0x243f6a88, 0xb7e15162];
  let counter = 1;
  const bits = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    c |= 0;
    return sum >>> 0;
  };
  for (const part of purpose) {
    a ^= part | 0;
    b ^= Math.floor(part / 2 ** 32) | 0;
    for (let i = 0; i < 15; i++) bits();
  }
  const uniform = (): number => bits() / 2 ** 32;
  // Box and Muller 1958.
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return { bits, uniform, normal };
}

/** The numbers below `count` in random order (Fisher & Yates). */
export function shuffled(count: number, random: Random): Int32Array {
  const order = Int32Array.from({ length: count }, (_unused, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random.uniform() * (i + 1));
    const kept = order[i]!;
    order[i] = order[j]!;
    order[j] = kept;
  }
  return order;
}
