import { batchOf } from "./batch.ts";
import type { EncodedExample } from "./chatTemplate.ts";
import type { Computation } from "./neuralModel.ts";
import { microBatches, pack } from "./packing.ts";

/** Tokens that run at once, padding included: more need more memory and are not faster on a CPU. */
export const BATCH_TOKENS_MAX = 1_024;

/** The summed loss of each example, in nats, in their order; 0 for one without targets. The computation has `losses`. */
export async function lossesOf(
  computation: Computation,
  examples: readonly EncodedExample[],
  isCancelled: () => boolean = () => false,
): Promise<readonly number[]> {
  const sums = new Map<EncodedExample, number>();
  // Copies, for one example may stand twice in the list.
  const apart = examples.map((example) => ({ ...example }));
  const withTargets = apart.filter(({ isTarget }) => isTarget.includes(1));
  const sequenceTokens = withTargets.reduce((longest, { tokens }) => Math.max(longest, tokens.length), 2);
  for (const sequences of microBatches(pack(withTargets, sequenceTokens), BATCH_TOKENS_MAX)) {
    if (isCancelled()) break;
    const { feeds, owners } = batchOf(sequences, 1);
    const losses = (await computation.run(feeds)).get("losses")!.data;
    owners.forEach((owner, i) => {
      sums.set(owner, (sums.get(owner) ?? 0) + losses[i]!);
    });
  }
  return apart.map((example) => sums.get(example) ?? 0);
}

/** Targets of an example. */
export function targetCount({ isTarget }: EncodedExample): number {
  return isTarget.reduce((count, one) => count + one, 0);
}
