import { z } from "zod";
import { storable } from "./scalars.ts";
import { modelPrices } from "./workshop.ts";

/**
 * The OpenAI-compatible wire of `/v1/files` and `/v1/fine_tuning/jobs`. Unknown fields are tolerated, known ones validated; what we cannot do (preference
 * tuning, reinforcement, integrations) is refused rather than ignored. What is ours stands under `openledger`.
 */
const auto = z.literal("auto");
const hyperparameters = z.looseObject({
  n_epochs: z.union([auto, z.number().int().min(1).max(1_000)]).nullish(),
  batch_size: z.union([auto, z.number().int().min(1).max(1_024)]).nullish(),
  learning_rate_multiplier: z.union([auto, z.number().gt(0).max(1_000)]).nullish(),
});

export const modelName = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._:@-]*$/, "a model's name has letters, digits and . _ : @ -");

export const deployWishSchema = z.strictObject({
  name: modelName.optional(),
  royalty: modelPrices.optional(),
  parentsBps: z.number().int().min(0).max(10_000).optional(),
  /** Also where nothing was gained over its base. */
  anyway: z.boolean().optional(),
});

const targets = z.enum(["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]);

/** What OpenAI's API has no words for. */
const ours = z.strictObject({
  /** Train all weights instead of an adapter. */
  full: z.boolean().optional(),
  rank: z.number().int().min(1).max(512).optional(),
  alpha: z.number().gt(0).max(4_096).optional(),
  dropout: z.number().min(0).max(0.9).optional(),
  targets: z.array(targets).min(1).max(7).optional(),
  /** The share of records that are kept out of training to measure it. */
  heldOut: z.number().min(0).max(0.9).optional(),
  /** `false` serves nothing. */
  deploy: z.union([z.boolean(), deployWishSchema]).optional(),
  learningRate: z.number().gt(0).max(1).optional(),
  sequenceTokens: z.number().int().min(2).max(131_072).optional(),
  /** Stop after so many evaluations without a better held-out loss; 0 never does. */
  patience: z.number().int().min(0).max(1_000).optional(),
  checkpointEvery: z.number().int().min(1).max(1_000_000).optional(),
  /** Find whose records shaped each answer of what is served, and what repeated words are worth: fitted by two more trainings, for an adapter on datanets. */
  influence: z.boolean().optional(),
  /** Set aside at once: to be exported, or resumed later. */
  paused: z.boolean().optional(),
});

export const fineTuneSchema = z.looseObject({
  model: z.string().min(1).max(128),
  training_file: storable
    .min(1)
    .max(2_048)
    .meta({ description: "the id of a file, or `datanet:NAME@VERSION`, several of them parted by commas" }),
  validation_file: storable.max(128).nullish(),
  hyperparameters: hyperparameters.nullish(),
  method: z
    .looseObject({
      type: z.literal("supervised", { error: "only the supervised method is supported here" }),
      supervised: z.looseObject({ hyperparameters: hyperparameters.nullish() }).nullish(),
    })
    .nullish(),
  seed: z.number().int().min(0).max(2_147_483_647).nullish(),
  suffix: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,64}$/, "a suffix has 1 to 64 letters, digits and . _ -")
    .nullish(),
  metadata: z
    .record(z.string().min(1).max(64), z.string().max(512))
    .refine((pairs) => Object.keys(pairs).length <= 16, { error: "metadata has at most 16 pairs" })
    .nullish(),
  integrations: z
    .unknown()
    .refine((value) => value === null || (Array.isArray(value) && value.length === 0), {
      error: "integrations are not supported here",
    })
    .optional(),
  openledger: ours.optional(),
});
export type FineTune = z.infer<typeof fineTuneSchema>;

/** As texts of a query string; lists of a page each. */
const page = (most: number, usual: number) => ({
  after: z.string().max(128).optional(),
  limit: z.coerce.number().int().min(1).max(most).default(usual),
});
export const pageQuery = z.strictObject(page(100, 20));
/** With `metadata[NAME]=VALUE` for each pair that is wanted, or `metadata=null` for jobs without any. */
export const jobPageQuery = z.object(page(100, 20)).catchall(z.string().max(512));
export const filesQuery = z.strictObject({
  ...page(10_000, 10_000),
  order: z.enum(["asc", "desc"]).default("desc"),
  purpose: z.string().max(64).optional(),
});
export const fileParam = z.object({ id: z.string().min(1).max(128) });
export const jobIdParam = z.object({ id: z.string().min(1).max(128) });

export const fileSchema = z.object({
  ...{ id: z.string(), object: z.literal("file"), bytes: z.number().int(), created_at: z.number().int() },
  ...{ filename: z.string(), purpose: z.literal("fine-tune"), status: z.literal("processed") },
  openledger: z.object({ examples: z.number().int(), sha256: z.string() }),
});
export const fileDeletedSchema = z.object({ id: z.string(), object: z.literal("file"), deleted: z.boolean() });
export const fileFormSchema = z.object({
  file: z.string().meta({ format: "binary", description: "JSON lines" }),
  purpose: z.literal("fine-tune"),
});

const listOf = <T extends z.ZodType>(one: T) =>
  z.object({
    ...{ object: z.literal("list"), data: z.array(one), has_more: z.boolean() },
    ...{ first_id: z.string().nullable(), last_id: z.string().nullable() },
  });
export const fileListSchema = listOf(fileSchema);

export const fineTuningJobSchema = z.object({
  ...{ id: z.string(), object: z.literal("fine_tuning.job"), created_at: z.number().int(), model: z.string() },
  status: z.enum(["queued", "running", "paused", "succeeded", "failed", "cancelled"]),
  ...{ fine_tuned_model: z.string().nullable(), finished_at: z.number().int().nullable() },
  ...{ organization_id: z.string(), result_files: z.array(z.string()), seed: z.number().int() },
  ...{ training_file: z.string(), validation_file: z.string().nullable(), trained_tokens: z.number().nullable() },
  ...{ estimated_finish: z.number().int().nullable(), integrations: z.array(z.unknown()) },
  ...{ hyperparameters, method: z.looseObject({ type: z.literal("supervised") }) },
  metadata: z.record(z.string(), z.string()).nullable(),
  error: z.object({ code: z.string(), message: z.string(), param: z.string().nullable() }).nullable(),
});
export const fineTuningJobListSchema = listOf(fineTuningJobSchema);

export const fineTuningEventSchema = z.object({
  ...{ id: z.string(), object: z.literal("fine_tuning.job.event"), created_at: z.number().int() },
  ...{ level: z.enum(["info", "warn", "error"]), message: z.string(), type: z.enum(["message", "metrics"]) },
  data: z.record(z.string(), z.union([z.number(), z.string()])),
});
export const fineTuningEventListSchema = listOf(fineTuningEventSchema);

export const fineTuningCheckpointSchema = z.object({
  ...{ id: z.string(), object: z.literal("fine_tuning.job.checkpoint"), created_at: z.number().int() },
  ...{ fine_tuning_job_id: z.string(), fine_tuned_model_checkpoint: z.string(), step_number: z.number().int() },
  metrics: z.object({
    ...{ step: z.number().int(), train_loss: z.number().optional(), valid_loss: z.number().optional() },
  }),
  openledger: z.object({ isKept: z.boolean() }),
});
export const fineTuningCheckpointListSchema = listOf(fineTuningCheckpointSchema);
