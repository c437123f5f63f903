import type { Factors } from "./kronecker.ts";
import { dot } from "./matrix.ts";
import { rowWidth } from "./staircase.ts";

/**
 * What records would be scored for each other, each given by its examples: the products of their gradients in the curvature's own measure, all factors' summed. The diagonal says how large each record
 * is, the rest how much of one is in another. Shape [records, records], symmetric.
 */
export function mutualScores(members: readonly Factors[], records: readonly (readonly number[])[]): Float64Array {
  const scores = new Float64Array(records.length ** 2);
  for (const factors of members)
    for (let m = 0; m < factors.modules.length; m++) addScores(scores, factors, m, records);
  return scores;
}

/** The same, and whoever else has something to do is let in between. */
export async function mutualScoresInSteps(
  members: readonly Factors[],
  records: readonly (readonly number[])[],
  pause: () => Promise<void>,
): Promise<Float64Array> {
  const scores = new Float64Array(records.length ** 2);
  for (const factors of members)
    for (let m = 0; m < factors.modules.length; m++) {
      await pause();
      addScores(scores, factors, m, records);
    }
  return scores;
}

/** What one layer has of them. A layer at a time: gradients of all would be four times as large as their rows. */
function addScores(scores: Float64Array, factors: Factors, m: number, records: readonly (readonly number[])[]): void {
  const gradients = records.map((examples) => summedGradient(factors, m, examples));
  const count = records.length;
  for (const [i, one] of gradients.entries())
    for (let j = 0; j <= i; j++) {
      const score = scores[i * count + j]! + dot(one, gradients[j]!);
      scores[i * count + j] = score;
      scores[j * count + i] = score;
    }
}

/** Of some examples, in one layer, such that the dot product of two is the score of one for the other. */
function summedGradient({ modules, rows, steps }: Factors, m: number, examples: readonly number[]): Float32Array {
  const { queryScales, rowScales } = modules[m]!;
  const [width, before] = [rowWidth(modules), rowWidth(modules.slice(0, m))];
  const sum = new Float32Array(queryScales.length);
  for (const example of examples) {
    const [from, step] = [example * width + before, steps[example * modules.length + m]!];
    for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + rows[from + i]! * step;
  }
  return sum.map((value, i) => value * Math.sqrt(queryScales[i]! / rowScales[i]!));
}
