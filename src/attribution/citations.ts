import { assert } from "../core/result.ts";

/** Who cites whom: `cites[i]` are the numbers of what i builds on, with whole or other positive weights. Cycles and self-citations may be. */
export type Citations = readonly (readonly { readonly to: number; readonly weight: number }[])[];

/** Passes until what still moves is less than this part of the whole; then it stays where it is. */
const MOVING_MIN = 1e-16;
const ROUNDS_MAX = 4_096;

/**
 * Credit passed up a citation graph, as an absorbing Markov chain (Kemeny and Snell 1960, chapter 3): each node keeps `retention` of what reaches it, and passes the rest to what
 * it cites, in proportion; one that cites nothing keeps all. Cycles end because every turn of one leaves something behind: after k rounds at most (1 − retention)^k still moves. What
 * moves at the last round is kept where it is, so that nothing is lost or made: Σ kept = Σ credit to the last bits of the sum. Sums are compensated (Neumaier 1974).
 */
export function passAlongCitations(credit: ArrayLike<number>, cites: Citations, retention: number): Float64Array {
  assert(retention > 0 && retention <= 1, "a node keeps a part of its credit");
  assert(credit.length === cites.length, "every node has a credit and its citations");
  const count = credit.length;
  const totals = cites.map((list) => list.reduce((sum, { weight }) => sum + weight, 0));
  const kept = new CompensatedSums(count);
  let moving: Float64Array = Float64Array.from(credit);
  const whole = moving.reduce((sum, one) => sum + Math.abs(one), 0);
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const next = new CompensatedSums(count);
    let left = 0;
    for (let i = 0; i < count; i++) {
      const here = moving[i]!;
      if (here === 0) continue;
      const total = totals[i]!;
      const passed = total > 0 ? here * (1 - retention) : 0;
      kept.add(i, here - passed);
      for (const { to, weight } of cites[i]!) next.add(to, (passed * weight) / (total || 1));
      left += Math.abs(passed);
    }
    moving = next.values();
    if (left <= whole * MOVING_MIN) break;
  }
  for (let i = 0; i < count; i++) kept.add(i, moving[i]!);
  return kept.values();
}

/** Sums whose rounding errors are carried along. */
class CompensatedSums {
  readonly #sums: Float64Array;
  readonly #lost: Float64Array;

  constructor(count: number) {
    this.#sums = new Float64Array(count);
    this.#lost = new Float64Array(count);
  }

  add(i: number, value: number): void {
    const before = this.#sums[i]!;
    const after = before + value;
    this.#lost[i]! += Math.abs(before) >= Math.abs(value) ? before - after + value : value - after + before;
    this.#sums[i] = after;
  }

  values(): Float64Array {
    return this.#sums.map((sum, i) => sum + this.#lost[i]!);
  }
}
