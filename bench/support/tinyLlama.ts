import type { LlamaShape } from "../../src/models/llama.ts";

/** What training is measured on beside its peer: small enough that a step takes well under a second. */
export const tinyShape: LlamaShape = {
  ...{ vocabulary: 512, hidden: 256, intermediate: 688, layers: 2, heads: 8, keyValueHeads: 8, headSize: 32 },
  ...{ contextTokens: 128, ropeTheta: 10_000, normEpsilon: 1e-5, isTied: true },
};

export const PEER_BATCH = { batch: 8, length: 128 } as const;
