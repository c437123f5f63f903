import { batchOf } from "./batch.ts";
import type { Computation } from "./neuralModel.ts";

/** log p of every token after each token of a text: [length, vocabulary], in nats. The computation has `logits`. */
export async function nextLogChances(
  computation: Computation,
  tokens: ArrayLike<number>,
): Promise<readonly Float32Array[]> {
  // A token more, whatever it is, so that the last one has a next one to predict.
  const padded = Uint16Array.from([...Array.from(tokens), 0]);
  const isTarget = new Uint8Array(padded.length).fill(1, 1);
  const { feeds } = batchOf([[{ record: "", tokens: padded, isTarget }]], 1);
  const { shape, data } = (await computation.run(feeds)).get("logits")!;
  const vocabulary = shape[1]!;
  return Array.from(tokens, (_token, i) => normalised(data.subarray(i * vocabulary, (i + 1) * vocabulary)));
}

function normalised(logits: Float32Array): Float32Array {
  const top = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit - top), 0);
  return logits.map((logit) => logit - top - Math.log(total));
}
