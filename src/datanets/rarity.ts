/** How much a term that `frequency` of `count` records hold says: ln(1 + (N − n + ½) / (n + ½)), positive for every n, the same bits on every machine. */
export function rarity(frequency: number, count: number): number {
  return exactLog(1 + (count - frequency + 0.5) / (frequency + 0.5));
}

/** ln x for x ≥ 1 from the four operations, which IEEE 754 rounds the same everywhere; `Math.log` may differ in its last bit. Error below 1e-12. */
function exactLog(x: number): number {
  let [mantissa, halvings] = [x, 0];
  while (mantissa > 1.5) {
    mantissa /= 2;
    halvings++;
  }
  const z = (mantissa - 1) / (mantissa + 1);
  let [sum, power] = [0, z];
  for (let k = 1; k <= 33; k += 2) {
    sum += power / k;
    power *= z * z;
  }
  return 2 * sum + halvings * Math.LN2;
}
