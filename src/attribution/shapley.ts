import { assert } from "../core/result.ts";

/** What each of these coalitions of players is worth; all are asked for at once, and each once. Members ascend. */
export type Worths = (coalitions: readonly (readonly number[])[]) => Promise<readonly number[]>;

export interface ShapleyOptions {
  /** Up to so many players every coalition is asked: 2^n evaluations. */
  readonly exactMax: number;
  /** Above, at most so many evaluations, the empty and the full coalition among them. */
  readonly evaluationsMax: number;
  /** Draws which coalitions are asked: a whole number in [0, below). */
  readonly draw: (below: number) => number;
}

/**
 * Shapley values (Shapley 1953): they sum to worth(all) − worth(none). Up to `exactMax` players exactly. Above as the best additive fit to the coalitions that were asked
 * (KernelSHAP, Lundberg and Lee 2017): sizes from the outside in, since they weigh most, each coalition with its complement (Covert and Lee 2021), the last size drawn.
 */
export async function shapleyValues(count: number, worths: Worths, options: ShapleyOptions): Promise<number[]> {
  assert(Number.isInteger(count) && count >= 0 && count <= 30, "at most 30 players");
  if (count === 0) return [];
  const all = 2 ** count - 1;
  const isExact = count <= options.exactMax;
  const levels = isExact ? [] : levelsOf(count, options);
  const asked = isExact
    ? Array.from({ length: all + 1 }, (_, coalition) => coalition)
    : [0, all, ...levels.flatMap(({ coalitions }) => coalitions)];
  const values = await worths(asked.map((coalition) => membersOf(coalition, count)));
  const known = new Map(asked.map((coalition, i) => [coalition, values[i]!]));
  if (isExact) return exactValues(count, known);
  const none = known.get(0)!;
  return fitted(count, levels, (coalition) => known.get(coalition)! - none, known.get(all)! - none);
}

/** φ_i = Σ_S |S|! (n − |S| − 1)! / n! · (worth(S ∪ i) − worth(S)). */
function exactValues(count: number, worths: ReadonlyMap<number, number>): number[] {
  const weights = Array.from({ length: count }, (_, size) => 1 / (count * choose(count - 1, size)));
  return Array.from({ length: count }, (_, player) => {
    let sum = 0;
    for (const [coalition, value] of worths) {
      if ((coalition & (1 << player)) !== 0) continue;
      sum += weights[sizeOf(coalition)]! * (worths.get(coalition | (1 << player))! - value);
    }
    return sum;
  });
}

interface Level {
  readonly coalitions: readonly number[];
  /** What each of them weighs in the fit. */
  readonly weight: number;
}

/** Coalitions of size s and count − s, as many pairs as there are evaluations left. */
function levelsOf(count: number, { evaluationsMax, draw }: ShapleyOptions): Level[] {
  const levels: Level[] = [];
  let room = evaluationsMax - 2;
  for (let size = 1; 2 * size <= count && room > 1; size++) {
    const isMiddle = 2 * size === count;
    // In the middle a coalition's complement is of the same size: half of them stand for all.
    const pairs = coalitionsOf(count, size).filter((coalition) => !isMiddle || (coalition & 1) === 1);
    const chosen = drawn(pairs, Math.floor(room / 2), draw);
    const all = 2 ** count - 1;
    const coalitions = chosen.flatMap((coalition) => [coalition, all - coalition]);
    const weight = ((isMiddle ? 1 : 2) * (count - 1)) / (size * (count - size)) / coalitions.length;
    levels.push({ coalitions, weight });
    room -= coalitions.length;
  }
  return levels;
}

/** Minimises Σ weight · (worth(S) − Σ_{i ∈ S} φ_i)² where Σ φ_i is `total`, by a Lagrange multiplier. */
function fitted(
  count: number,
  levels: readonly Level[],
  worth: (coalition: number) => number,
  total: number,
): number[] {
  const matrix = Array.from({ length: count }, () => new Array<number>(count).fill(0));
  const right = new Array<number>(count).fill(0);
  for (const { coalitions, weight } of levels)
    for (const coalition of coalitions) {
      const members = membersOf(coalition, count);
      const value = worth(coalition);
      for (const i of members) {
        right[i]! += weight * value;
        for (const j of members) matrix[i]![j]! += weight;
      }
    }
  const [free, ones] = solve(matrix, [right, new Array<number>(count).fill(1)]);
  const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
  const shift = (sum(free!) - total) / sum(ones!);
  return free!.map((value, i) => value - shift * ones![i]!);
}

/** Gaussian elimination with partial pivoting, for several right sides of one symmetric positive matrix. */
function solve(matrix: readonly (readonly number[])[], rights: readonly (readonly number[])[]): number[][] {
  const n = matrix.length;
  const rows = matrix.map((row, i) => [...row, ...rights.map((right) => right[i]!)]);
  for (let column = 0; column < n; column++) {
    let pivot = column;
    for (let i = column + 1; i < n; i++) if (Math.abs(rows[i]![column]!) > Math.abs(rows[pivot]![column]!)) pivot = i;
    [rows[column], rows[pivot]] = [rows[pivot]!, rows[column]!];
    const lead = rows[column]!;
    assert(Math.abs(lead[column]!) > 1e-12, "every player stands in some coalition without another");
    for (let i = 0; i < n; i++) {
      if (i === column) continue;
      const factor = rows[i]![column]! / lead[column]!;
      for (let k = column; k < lead.length; k++) rows[i]![k]! -= factor * lead[k]!;
    }
  }
  return rights.map((_, r) => rows.map((row, i) => row[n + r]! / row[i]!));
}

function coalitionsOf(count: number, size: number): number[] {
  const found: number[] = [];
  for (let coalition = 0; coalition < 2 ** count; coalition++) if (sizeOf(coalition) === size) found.push(coalition);
  return found;
}

/** `wanted` of them, each as likely as the other; all where there are no more. */
function drawn(values: readonly number[], wanted: number, draw: (below: number) => number): number[] {
  const left = [...values];
  const count = Math.min(wanted, left.length);
  for (let i = 0; i < count; i++) {
    const j = i + draw(left.length - i);
    [left[i], left[j]] = [left[j]!, left[i]!];
  }
  return left.slice(0, count);
}

function membersOf(coalition: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => i).filter((i) => (coalition & (1 << i)) !== 0);
}

function sizeOf(coalition: number): number {
  let size = 0;
  for (let rest = coalition; rest !== 0; rest &= rest - 1) size++;
  return size;
}

function choose(n: number, k: number): number {
  let value = 1;
  for (let i = 1; i <= k; i++) value = (value * (n - k + i)) / i;
  return value;
}
