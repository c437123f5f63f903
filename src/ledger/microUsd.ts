/** Nano as millionths of a dollar, rounded half away from zero; 0 where there is no rate. */
export function microUsdOf(nano: bigint, nanoPerUsd: number): bigint {
  if (nanoPerUsd === 0) return 0n;
  const rate = BigInt(nanoPerUsd);
  const size = nano < 0n ? -nano : nano;
  const micro = (2n * size * 1_000_000n + rate) / (2n * rate);
  return nano < 0n ? -micro : micro;
}
