import { ok, type Result, refuse } from "../core/result.ts";
import { type LlamaShape, type Projection, projections } from "../models/llama.ts";
import type { LoraShape } from "../models/lora.ts";
import type { TrainingOptions } from "../models/training/task.ts";

/** How somebody wants a training to be; what is left out is chosen for them. */
export interface TrainingWish {
  /** `false` trains all weights. */
  readonly lora?: Partial<LoraShape> | false;
  readonly epochs?: number;
  readonly batchSize?: number;
  readonly learningRate?: number;
  /** Scales the rate that would be chosen. */
  readonly learningRateMultiplier?: number;
  readonly sequenceTokens?: number;
  readonly warmUp?: number;
  readonly weightDecay?: number;
  readonly gradientNormMax?: number;
  readonly seed?: number;
  readonly patience?: number;
  readonly checkpointEvery?: number;
  /** Whether what is served of it tells whose records shaped its answers: costs a second training, afterwards. */
  readonly fitsInfluence?: boolean;
}

/** Of these many tokens a small model has learnt what there is: fewer examples are seen more often. */
const TOKENS_WANTED = 400_000;
/** Few examples in large batches are few steps, in which little is learnt. */
const STEPS_AN_EPOCH_WANTED = 8;
const CHECKPOINTS_WANTED = 6;
/** Of so many checkpoints none was better: what is learnt from then on is the examples by heart. The best one is the result. */
const PATIENCE = 3;

/** Whole options for a base and for so many tokens an epoch. Refuses what the base or an adapter cannot have. */
export function resolveOptions(wish: TrainingWish, shape: LlamaShape, tokens: number): Result<TrainingOptions> {
  const { lora, learningRateMultiplier = 1, ...rest } = wish;
  const adapter = lora === false ? undefined : resolveLora(lora ?? {}, shape);
  if (adapter?.ok === false) return adapter;
  const sequenceTokens = rest.sequenceTokens ?? Math.min(shape.contextTokens, 1_024);
  if (sequenceTokens > shape.contextTokens)
    return refuse("invalid_request", `the base reads at most ${shape.contextTokens} tokens`, {
      field: "sequence_tokens",
    });
  const epochs = rest.epochs ?? Math.min(10, Math.max(2, Math.round(TOKENS_WANTED / Math.max(1, tokens))));
  const sequences = Math.ceil(tokens / sequenceTokens);
  const batchSize = rest.batchSize ?? Math.min(8, Math.max(1, Math.ceil(sequences / STEPS_AN_EPOCH_WANTED)));
  const steps = epochs * Math.ceil(sequences / batchSize);
  return ok({
    ...(adapter === undefined ? {} : { adapter: adapter.value }),
    ...{ epochs, batchSize, sequenceTokens },
    learningRate: rest.learningRate ?? usualRate(shape, adapter !== undefined) * learningRateMultiplier,
    ...{
      warmUp: rest.warmUp ?? 0.05,
      weightDecay: rest.weightDecay ?? 0.01,
      gradientNormMax: rest.gradientNormMax ?? 1,
    },
    ...{ seed: rest.seed ?? 1, patience: rest.patience ?? PATIENCE, fitsInfluence: rest.fitsInfluence ?? false },
    checkpointEvery: rest.checkpointEvery ?? Math.max(5, Math.ceil(steps / CHECKPOINTS_WANTED)),
  });
}

function resolveLora(wish: Partial<LoraShape>, shape: LlamaShape): Result<LoraShape> {
  const rank = wish.rank ?? 8;
  if (rank > shape.hidden)
    return refuse("invalid_request", `a rank of ${rank} is more than the ${shape.hidden} that the base is wide`, {
      field: "rank",
    });
  const wanted = new Set<Projection>(wish.targets ?? projections);
  // In the order of the blocks: the same set of targets is the same adapter.
  const targets = projections.filter((projection) => wanted.has(projection));
  if (targets.length === 0)
    return refuse("invalid_request", "an adapter has at least one target", { field: "targets" });
  return ok({ rank, alpha: wish.alpha ?? 2 * rank, dropout: wish.dropout ?? 0, targets });
}

/** Narrow models take larger steps; an adapter, which begins at zero, larger ones than whole weights. */
function usualRate({ hidden }: LlamaShape, isAdapter: boolean): number {
  const narrow = hidden <= 512;
  if (isAdapter) return narrow ? 3e-3 : 2e-4;
  return narrow ? 5e-4 : 2e-5;
}
