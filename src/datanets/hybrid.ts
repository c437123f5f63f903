import type { Embedder, StopSignal } from "../core/engine.ts";
import { assert } from "../core/result.ts";
import type { Bm25Index } from "./bm25.ts";

/** A record that was found, best first: only ratios of scores mean something. */
export interface HybridHit {
  readonly record: number;
  readonly score: number;
}

/** Cormack, Clarke and Büttcher 2009: what a rank counts, 1 / (60 + rank). */
const RANK_OFFSET = 60;
/** Ranks that are fused. */
const RANKED_MAX = 50;

/**
 * Records near a question in words, by BM25, and in meaning, by the cosine of vectors; the two rankings are fused by reciprocal rank. While there are no vectors, or the
 * question has none, it is BM25 alone. Nothing is found where neither thinks that the records hold an answer.
 */
export async function searchHybrid(
  lexical: Bm25Index,
  meanings: Meanings | undefined,
  question: string,
  limit: number,
  signal: StopSignal,
): Promise<readonly HybridHit[]> {
  const words = lexical.search(question, meanings === undefined ? limit : RANKED_MAX);
  const near = await meanings?.search(question, RANKED_MAX, signal);
  if (!words.isAnswerable && near?.isAnswerable !== true) return [];
  if (near === undefined) return words.hits.slice(0, limit);
  return fuseRanks([words.hits.map(({ record }) => record), near.records]).slice(0, limit);
}

/** Reciprocal rank fusion; of equals the lower number. */
export function fuseRanks(rankings: readonly (readonly number[])[]): HybridHit[] {
  const scores = new Map<number, number>();
  for (const ranking of rankings)
    for (const [rank, record] of ranking.entries())
      scores.set(record, (scores.get(record) ?? 0) + 1 / (RANK_OFFSET + 1 + rank));
  return [...scores]
    .map(([record, score]) => ({ record, score }))
    .sort((a, b) => b.score - a.score || a.record - b.record);
}

/** Vectors of records, looked through one by one. */
export class Meanings {
  readonly #embedder: Embedder;
  readonly #dimensions: number;
  /** Shape [records · dimensions]. */
  readonly #vectors: Float32Array;

  constructor(embedder: Embedder, vectors: readonly Float32Array[]) {
    this.#embedder = embedder;
    this.#dimensions = vectors[0]?.length ?? 0;
    this.#vectors = new Float32Array(vectors.length * this.#dimensions);
    for (const [i, vector] of vectors.entries()) {
      assert(vector.length === this.#dimensions, "vectors of one length");
      this.#vectors.set(vector, i * this.#dimensions);
    }
  }

  /** Undefined where the question cannot be embedded now. */
  async search(
    question: string,
    limit: number,
    signal: StopSignal,
  ): Promise<{ readonly records: readonly number[]; readonly isAnswerable: boolean } | undefined> {
    const embedded = await this.#embedder.embed([question], signal);
    const vector = embedded.ok ? embedded.value[0] : undefined;
    if (vector === undefined || vector.length !== this.#dimensions) return undefined;
    const cosines = this.#cosines(vector);
    const records = Array.from(cosines.keys()).sort((a, b) => cosines[b]! - cosines[a]! || a - b);
    return { records: records.slice(0, limit), isAnswerable: standsOut(cosines, cosines[records[0]!] ?? 0) };
  }

  #cosines(vector: Float32Array): Float64Array {
    const cosines = new Float64Array(this.#dimensions === 0 ? 0 : this.#vectors.length / this.#dimensions);
    for (let i = 0; i < cosines.length; i++) {
      let sum = 0;
      for (let k = 0, at = i * this.#dimensions; k < this.#dimensions; k++) sum += this.#vectors[at + k]! * vector[k]!;
      cosines[i] = sum;
    }
    return cosines;
  }
}

/** The best of n unrelated records stands about √(2 ln n) deviations above their mean; one that answers stands out by one more. */
function standsOut(cosines: Float64Array, best: number): boolean {
  const n = cosines.length;
  if (n < 8) return false;
  const mean = cosines.reduce((sum, cosine) => sum + cosine, 0) / n;
  const deviation = Math.sqrt(cosines.reduce((sum, cosine) => sum + (cosine - mean) ** 2, 0) / n);
  return best - mean > (Math.sqrt(2 * Math.log(n)) + 1) * deviation;
}
