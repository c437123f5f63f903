import { z } from "zod";
import { methodTrustSchema } from "./explanation.ts";
import { hex, name } from "./scalars.ts";
import { modelPrices } from "./workshop.ts";

/** Bases, and what is written about models. */
export const baseViewSchema = z.object({
  name: z.string(),
  /** sha256 over configuration, tokenizer and weights. */
  hash: hex,
  licence: z.string(),
  weights: z.number().int(),
  layers: z.number().int(),
  hidden: z.number().int(),
  contextTokens: z.number().int(),
  vocabulary: z.number().int(),
  madeFrom: z.array(z.object({ name: z.string(), licence: z.string(), records: z.number(), contributors: z.number() })),
});
export type BaseView = z.infer<typeof baseViewSchema>;
export const baseListSchema = z.object({ data: z.array(baseViewSchema) });

export const registerBaseSchema = z.object({
  name,
  /** On the node's machine, by its whole path. */
  folder: z.string().min(1).max(4_096),
  /** SPDX; read from the folder's `openledger.json` or README where it is left out. */
  licence: z.string().min(1).max(200).optional(),
});
export type RegisterBase = z.infer<typeof registerBaseSchema>;

export const baseParam = z.object({ name });
export const serveBaseSchema = z.object({
  /** What callers will name; the base's own name where it is left out. */
  as: name.optional(),
  royalty: modelPrices.optional(),
});
export type ServeBase = z.infer<typeof serveBaseSchema>;

/** A CycloneDX 1.7 document: see https://cyclonedx.org/docs/1.7/json/. */
export const bomSchema = z.looseObject({ bomFormat: z.literal("CycloneDX"), specVersion: z.literal("1.7") });

export const measureSchema = z.object({
  /** Whose records shape its answers, too: two more trainings. */
  influence: z.boolean().optional(),
});
export type MeasureOrder = z.infer<typeof measureSchema>;
/** What each method counts for on a model, and what is being found out about that. */
export const measurementSchema = z.object({
  model: z.string(),
  methods: z.array(methodTrustSchema),
  /** Asked for and not measured yet. */
  open: z.array(
    z.object({
      what: z.enum(["influence", "matches"]),
      stage: z.enum(["waiting", "training", "fitting", "asking", "failed"]),
      /** Steps of a training, or questions. */
      done: z.number().int().optional(),
      total: z.number().int().optional(),
      why: z.string().optional(),
    }),
  ),
});
export type MeasurementView = z.infer<typeof measurementSchema>;

export const exportFormats = ["hf", "gguf", "peft"] as const;
export type ExportFormat = (typeof exportFormats)[number];
const weightFormat = z.enum(["hf", "gguf"]);
export const modelExportParam = z.object({ name, format: weightFormat });
export const modelExportFileParam = z.object({ name, format: weightFormat, file: z.string().min(1).max(400) });
const jobId = z.string().min(1).max(128);
export const jobParam = z.object({ id: jobId });
export const jobExportParam = z.object({ id: jobId, format: z.enum(exportFormats) });
export const jobExportFileParam = z.object({ ...jobExportParam.shape, file: z.string().min(1).max(400) });
export const exportViewSchema = z.object({
  format: z.enum(exportFormats),
  /** On the node's machine. */
  folder: z.string(),
  files: z.array(z.object({ name: z.string(), bytes: z.number().int() })),
});
export type ExportView = z.infer<typeof exportViewSchema>;
