/** The rate of step `step` (counted from 0) of `steps`: a straight rise over the first `warmUp` share, then half a cosine (Loshchilov & Hutter 2017) down to a tenth. */
export function learningRateAt(
  step: number,
  { steps, warmUp, learningRate }: { steps: number; warmUp: number; learningRate: number },
): number {
  const rise = Math.ceil(steps * warmUp);
  if (step < rise) return (learningRate * (step + 1)) / rise;
  const done = (step - rise) / Math.max(1, steps - rise);
  return learningRate * (FLOOR + ((1 - FLOOR) * (1 + Math.cos(Math.PI * done))) / 2);
}

const FLOOR = 0.1;
