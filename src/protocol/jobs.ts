import { z } from "zod";
import { legRoles } from "../core/route.ts";
import { deployWishSchema } from "./fineTuning.ts";
import { hex, limit, nano, timeMs, wholeNumber } from "./scalars.ts";
import { modelPrices, priceChanges } from "./workshop.ts";

/** Training jobs as our own API shows them: all that is kept of one. */
const datanetRef = z.object({
  ...{ name: z.string(), version: z.number().int(), id: hex, licence: z.string(), records: z.number().int() },
});
const sourceSchema = z.union([
  z.object({ kind: z.literal("file"), file: z.string(), validation: z.string().optional() }),
  z.object({ kind: z.literal("datanets"), datanets: z.array(datanetRef) }),
]);
const optionsSchema = z.looseObject({
  adapter: z
    .object({ rank: z.number(), alpha: z.number(), dropout: z.number(), targets: z.array(z.string()) })
    .optional(),
  ...{ epochs: z.number(), batchSize: z.number(), sequenceTokens: z.number(), learningRate: z.number() },
  ...{ seed: z.number(), patience: z.number(), checkpointEvery: z.number() },
});
const figures = z.object({
  ...{ examples: z.number(), heldOut: z.number(), tokens: z.number(), trainedTokens: z.number(), steps: z.number() },
  /** Conversations that are longer than a sequence, and those of them whose answers lie behind its end, so that nothing of them is learnt. */
  ...{ cut: wholeNumber.optional(), unlearnt: wholeNumber.optional() },
  ...{ tokensPerSecond: z.number(), isMeasured: z.boolean(), seconds: z.number(), cost: nano, dataFee: nano },
});
const paymentSchema = z.object({
  receipt: z.templateLiteral(["0x", z.string().regex(/^[0-9a-f]{32}$/)]),
  ...{ seq: wholeNumber, timeMs, asset: hex, step: wholeNumber, tokens: wholeNumber, cost: nano, dataFee: nano },
  /** Nano of both lines, by the role of those whom they went to. */
  credited: z.partialRecord(z.enum(legRoles), nano),
});
const baseRef = z.object({ name: z.string(), hash: hex });

export const estimateSchema = z.object({
  ...{ base: baseRef, source: sourceSchema, options: optionsSchema, heldOutShare: z.number(), estimate: figures },
});

const measured = z.object({
  ...{ loss: z.number(), tokens: z.number(), answers: z.number() },
  ...{ exactMatch: z.number().optional(), grounding: z.number().optional() },
  /** Answers that were cut at their limit, where some were: they match nothing. */
  cut: z.number().optional(),
});
/** A model beside its base on held-out records, one by one: on how many it loses less, and on how many more. */
const compared = z.object({ records: wholeNumber, lower: wholeNumber, higher: wholeNumber }).optional();
export const evaluationSchema = z.object({
  ...{ timeMs, step: z.number().optional() },
  parts: z.array(
    z.object({
      ...{ name: z.string(), version: z.number().optional(), examples: z.number(), base: measured, model: measured },
      compared,
      samples: z.array(
        z.object({
          ...{ record: z.string(), prompt: z.string(), expected: z.string(), base: z.string(), model: z.string() },
        }),
      ),
    }),
  ),
});

export const deploymentSchema = z.object({
  ...{ name: z.string(), step: z.number().optional(), asset: hex, hash: hex, royalty: modelPrices },
  ...{ parentsBps: z.number(), createdMs: timeMs },
});

export const jobViewSchema = estimateSchema.extend({
  ...{ id: z.string(), account: z.string(), createdMs: timeMs },
  status: z.enum(["queued", "running", "paused", "succeeded", "failed", "cancelled"]),
  ...{ suffix: z.string().optional(), metadata: z.record(z.string(), z.string()).optional() },
  ...{ startedMs: timeMs.optional(), finishedMs: timeMs.optional() },
  error: z
    .object({
      ...{ code: z.string(), message: z.string(), hint: z.string().optional(), field: z.string().optional() },
    })
    .optional(),
  progress: z
    .object({
      ...{ step: z.number(), steps: z.number(), loss: z.number().optional(), tokensPerSecond: z.number().optional() },
    })
    .optional(),
  /** The base's loss on what checkpoints are measured by. */
  baseLoss: z.number().optional(),
  /** Of the result over its base, held-out loss in nats a token. */
  gain: z.object({ before: z.number(), after: z.number(), compared }).optional(),
  checkpoints: z.array(
    z.object({
      ...{ step: z.number(), timeMs, isKept: z.boolean() },
      ...{ trainLoss: z.number().optional(), heldOutLoss: z.number().optional(), compared },
    }),
  ),
  result: z
    .object({
      ...{ hash: hex, kind: z.enum(["adapter", "model"]), steps: z.number(), trainedTokens: z.number() },
      ...{ heldOutLoss: z.number().optional(), reason: z.string(), build: z.string() },
    })
    .optional(),
  ...{ evaluations: z.array(evaluationSchema), deployments: z.array(deploymentSchema) },
  /** A receipt for each stretch of it, and what was done and is not posted yet. */
  paid: z.array(paymentSchema),
  owed: z.object({ step: wholeNumber, tokens: wholeNumber, isElsewhere: z.literal(true).optional() }).optional(),
});
export type JobView = z.infer<typeof jobViewSchema>;
export const jobListSchema = z.object({ data: z.array(jobViewSchema) });
export const jobsQuery = z.strictObject({ after: z.string().max(128).optional(), limit });

/** Steps in order, each with what was measured there; 0 is the base. */
export const lossesSchema = z.object({
  data: z.array(z.object({ step: z.number().int(), loss: z.number().optional(), heldOutLoss: z.number().optional() })),
});
export const lossesQuery = z.strictObject({ after: wholeNumber.optional() });

const step = z.number().int().min(1).optional();
export const evaluateBody = z.strictObject({ step });
export const deployBody = deployWishSchema.extend({ step });
export const priceBody = z.strictObject({ royalty: priceChanges });
export const adapterFormSchema = z.object({
  config: z.string().meta({ format: "binary", description: "PEFT's adapter_config.json" }),
  weights: z.string().meta({ format: "binary", description: "PEFT's adapter_model.safetensors" }),
  provenance: z
    .string()
    .optional()
    .meta({ format: "binary", description: "openledger.json, where it lies beside them: it must be the job's" }),
});

/** What trainings cost here, in nano a million tokens that are learnt. */
const price = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
export const tariffSchema = z.strictObject({ cost: price, base: price, data: price });
/** What is left out stays as it is. */
export const tariffBody = tariffSchema.partial();
