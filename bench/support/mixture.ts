import type { CorpusIndex } from "../../src/models/corpusIndex.ts";
import { nextTokens } from "../../src/models/infinigram.ts";
import { batchOf } from "../../src/models/training/batch.ts";
import type { EncodedExample } from "../../src/models/training/chatTemplate.ts";
import type { Computation } from "../../src/models/training/neuralModel.ts";

/** One predicted token: what each model gave it, and how much context the ∞-gram found. */
export interface Prediction {
  readonly neural: number;
  readonly counted: number;
  readonly uniform: number;
  readonly bucket: number;
}

/** Suffix lengths, as the mixture tells them apart. */
const buckets = [0, 1, 2, 3, 4, 6, 8, 12, 16, 32];

/** Which set of shares counts after a suffix of this length. */
export function bucketOf(suffixLength: number): number {
  return buckets.findLastIndex((length) => length <= suffixLength);
}

/** What both models gave each target of a window. */
export async function predict(
  computation: Computation,
  index: CorpusIndex,
  window: EncodedExample,
): Promise<Prediction[]> {
  const { feeds } = batchOf([[window]], 1);
  const losses = (await computation.run(feeds)).get("losses")!.data;
  const predictions: Prediction[] = [];
  for (const [at, isTarget] of window.isTarget.entries()) {
    if (isTarget === 0) continue;
    const from = window.tokens.lastIndexOf(0, at - 1) + 1;
    const { suffixLength, total, tokens } = nextTokens(index, window.tokens.subarray(from, at));
    const count = tokens.find(({ token }) => token === window.tokens[at])?.count ?? 0;
    predictions.push({
      ...{ neural: Math.exp(-losses[predictions.length]!), counted: count / Math.max(1, total) },
      ...{
        uniform: 1 / index.tokenizer.bytes.length,
        bucket: bucketOf(suffixLength),
      },
    });
  }
  return predictions;
}

export type Part = "neural" | "counted" | "uniform";
/** For each bucket, the share of each part; they sum to 1. */
export type Shares = readonly (readonly (readonly [Part, number])[])[];

/** Shares that fit some predictions best, one set for each length of the suffix that the ∞-gram found, by expectation maximisation. */
export function weigh(predictions: readonly Prediction[], parts: readonly Part[]): Shares {
  return buckets.map((_length, bucket) => {
    const own = predictions.filter((one) => one.bucket === bucket);
    let shares = parts.map((part): readonly [Part, number] => [part, 1 / parts.length]);
    for (let round = 0; round < 50 && own.length > 0 && parts.length > 1; round++) {
      const sums = shares.map(() => 0);
      for (const one of own) {
        const total = shares.reduce((sum, [part, share]) => sum + share * one[part], 0);
        for (const [i, [part, share]] of shares.entries()) sums[i]! += (share * one[part]) / total;
      }
      shares = shares.map(([part], i) => [part, sums[i]! / own.length]);
    }
    return shares;
  });
}

/** Nats a token. */
export function lossOf(predictions: readonly Prediction[], shares: Shares): number {
  let nats = 0;
  for (const one of predictions)
    nats -= Math.log(shares[one.bucket]!.reduce((sum, [part, share]) => sum + share * one[part], 0));
  return nats / predictions.length;
}
