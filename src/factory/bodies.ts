import { z } from "zod";
import { refusalCodes } from "../core/result.ts";
import { legRoles } from "../core/route.ts";
import { projections } from "../models/llama.ts";
import { type Job, type JobEvent, jobStatuses } from "./job.ts";
import type { StoredFile } from "./store.ts";

/** The factory's things as their JSON text is read back by a store. */
const hex = z.templateLiteral(["0x", z.string().regex(/^[0-9a-f]{64}$/)]);
const prices = z.object({ inPerMillion: z.number(), outPerMillion: z.number(), perCall: z.number() });
const noCharge = { inPerMillion: 0, outPerMillion: 0, perCall: 0 };
const payment = z.object({
  ...{ receipt: z.templateLiteral(["0x", z.string().regex(/^[0-9a-f]{32}$/)]), seq: z.number(), timeMs: z.number() },
  ...{ asset: hex, step: z.number(), tokens: z.number(), cost: z.number(), dataFee: z.number() },
  credited: z.partialRecord(z.enum(legRoles), z.number()),
});
const texts = z.record(z.string(), z.string());

const options = z.object({
  adapter: z
    .object({ rank: z.number(), alpha: z.number(), dropout: z.number(), targets: z.array(z.enum(projections)) })
    .exactOptional(),
  ...{ epochs: z.number(), batchSize: z.number(), sequenceTokens: z.number(), learningRate: z.number() },
  ...{ warmUp: z.number(), weightDecay: z.number(), gradientNormMax: z.number(), seed: z.number() },
  ...{ patience: z.number(), checkpointEvery: z.number(), fitsInfluence: z.boolean() },
});

const datanet = z.object({
  ...{ name: z.string(), version: z.number(), id: hex, licence: z.string(), records: z.number() },
});
const source = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("file"), file: z.string(), validation: z.string().exactOptional() }),
  z.object({ kind: z.literal("datanets"), datanets: z.array(datanet) }),
]);

const measured = z.object({
  ...{ loss: z.number(), tokens: z.number(), answers: z.number() },
  ...{ exactMatch: z.number().exactOptional(), grounding: z.number().exactOptional() },
  cut: z.number().exactOptional(),
});
const compared = z.object({ records: z.number(), lower: z.number(), higher: z.number() }).exactOptional();
const evaluation = z.object({
  ...{ timeMs: z.number(), step: z.number().exactOptional() },
  parts: z.array(
    z.object({
      ...{ name: z.string(), version: z.number().exactOptional(), examples: z.number() },
      ...{ base: measured, model: measured, compared },
      samples: z.array(
        z.object({
          ...{ record: z.string(), prompt: z.string(), expected: z.string(), base: z.string(), model: z.string() },
        }),
      ),
    }),
  ),
});

export const jobBody: z.ZodType<Job> = z.object({
  ...{ id: z.string(), account: z.string(), createdMs: z.number(), orderHash: hex, status: z.enum(jobStatuses) },
  ...{ base: z.object({ name: z.string(), hash: hex }), source, options, heldOutShare: z.number() },
  rateMultiplier: z.number().exactOptional(),
  ...{ suffix: z.string().exactOptional(), metadata: texts.exactOptional() },
  deploy: z
    .object({
      ...{ name: z.string().exactOptional(), royalty: prices.exactOptional(), parentsBps: z.number().exactOptional() },
      anyway: z.boolean().exactOptional(),
    })
    .exactOptional(),
  estimate: z.object({
    ...{ examples: z.number(), heldOut: z.number(), tokens: z.number(), trainedTokens: z.number(), steps: z.number() },
    ...{ cut: z.number().exactOptional(), unlearnt: z.number().exactOptional() },
    ...{ tokensPerSecond: z.number(), isMeasured: z.boolean(), seconds: z.number() },
    ...{ cost: z.number(), dataFee: z.number() },
  }),
  prices: z.object({ cost: prices, royalty: prices }).default({ cost: noCharge, royalty: noCharge }),
  ...{ keyId: z.string().exactOptional(), paid: z.array(payment).default([]) },
  owed: z
    .object({ step: z.number(), tokens: z.number(), isElsewhere: z.literal(true).exactOptional() })
    .exactOptional(),
  ...{ startedMs: z.number().exactOptional(), finishedMs: z.number().exactOptional() },
  error: z
    .object({
      ...{ code: z.enum(refusalCodes), message: z.string() },
      ...{ hint: z.string().exactOptional(), field: z.string().exactOptional() },
    })
    .exactOptional(),
  progress: z
    .object({
      ...{ step: z.number(), steps: z.number() },
      ...{ loss: z.number().exactOptional(), tokensPerSecond: z.number().exactOptional() },
    })
    .exactOptional(),
  ...{ baseLoss: z.number().exactOptional(), baseLosses: z.array(z.number()).exactOptional() },
  checkpoints: z.array(
    z.object({
      ...{ step: z.number(), timeMs: z.number(), isKept: z.boolean() },
      ...{ trainLoss: z.number().exactOptional(), heldOutLoss: z.number().exactOptional(), compared },
    }),
  ),
  result: z
    .object({
      ...{ hash: hex, kind: z.enum(["adapter", "model"]), steps: z.number(), trainedTokens: z.number() },
      ...{ heldOutLoss: z.number().exactOptional(), build: z.string() },
      reason: z.enum(["done", "early_stop", "imported"]),
    })
    .exactOptional(),
  evaluations: z.array(evaluation),
  deployments: z.array(
    z.object({
      ...{ name: z.string(), step: z.number().exactOptional(), asset: hex, hash: hex },
      ...{ royalty: prices, parentsBps: z.number(), createdMs: z.number() },
    }),
  ),
});

export const eventBody: z.ZodType<Omit<JobEvent, "number">> = z.object({
  ...{ timeMs: z.number(), level: z.enum(["info", "warn", "error"]), message: z.string() },
  data: z.record(z.string(), z.union([z.number(), z.string()])).exactOptional(),
});

export const fileBody: z.ZodType<StoredFile> = z.object({
  ...{ id: z.string(), account: z.string(), name: z.string(), bytes: z.number(), examples: z.number() },
  ...{ hash: z.string(), createdMs: z.number() },
});
