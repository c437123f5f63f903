import { z } from "zod";
import { hex, storable } from "./scalars.ts";

/** Executions that other gateways served, and what became of each. */
export const REPORT_ROWS_MAX = 10_000;

const column = z.string().min(1).max(256).optional();
/** How the body is to be read, and which column of a table holds what. */
export const executionsQuery = z.object({
  format: z.enum(["openai", "otlp", "litellm", "cloudevents", "csv"]).optional(),
  /** Who pays, where a row does not say. */
  payer: z.string().min(1).max(256).optional(),
  /** The model, where a row does not say. */
  model: z.string().min(1).max(256).optional(),
  /** Rows that are known with other contents are amended. */
  amend: z.enum(["true", "false"]).optional(),
  /** Whether the answer lists every row, or those alone that were refused. */
  rows: z.enum(["all", "refused"]).optional(),
  ...{ "col.id": column, "col.time": column, "col.payer": column, "col.model": column, "col.operator": column },
  ...{ "col.tokensIn": column, "col.tokensOut": column, "col.cost": column, "col.parent": column },
  ...{ "col.prompt": column, "col.answer": column, "col.amendment": column },
});
export type ExecutionsQuery = z.infer<typeof executionsQuery>;

export const executionRowSchema = z.object({
  row: z
    .number()
    .int()
    .meta({ description: "counts from 1: records of a list, lines, rows below a table's header, or spans" }),
  outcome: z.enum(["booked", "known", "corrected", "refused"]),
  receipt: hex.optional(),
  seq: z.number().int().optional(),
  amount: z.number().int().meta({ description: "nano OPEN that this row changed" }).optional(),
  code: z.string().optional(),
  reason: z.string().optional(),
  hint: z.string().optional(),
});
export type ExecutionRow = z.infer<typeof executionRowSchema>;

export const executionsSchema = z.object({
  booked: z.number().int(),
  known: z.number().int(),
  corrected: z.number().int(),
  refused: z.number().int(),
  rows: z.array(executionRowSchema),
});
export type ExecutionsView = z.infer<typeof executionsSchema>;

/** `ExportTraceServiceResponse` of OTLP/HTTP JSON. */
export const traceResponseSchema = z.object({
  partialSuccess: z.object({ rejectedSpans: z.number().int(), errorMessage: z.string() }).optional(),
});

const price = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(0);
const prices = z.object({ inPerMillion: price, outPerMillion: price, perCall: price });
const weight = z.number().int().min(1).max(1_000_000_000);
const party = z
  .string()
  .regex(/^0x(?:[0-9a-fA-F]{40}|[0-9a-fA-F]{64})$/, "an address or a payee id, 0x and 40 or 64 hex digits");
const datanetName = z.string().min(1).max(64);

/** What a model was made from: a datanet's version, or some of its records or people, or parties by name. */
const trainedOn = z
  .object({
    datanet: datanetName.optional(),
    /** The latest where it is left out. */
    version: z.number().int().min(1).optional(),
    /** How much of the model this is, beside the other entries. */
    weight: weight.default(1),
    /** Ids of records of the version: only these count. */
    records: z.array(z.string().min(1).max(200)).min(1).max(100_000).optional(),
    contributors: z
      .array(
        z.object({
          identity: z.string().min(3).max(300).optional(),
          payee: party.optional(),
          weight: weight.default(1),
        }),
      )
      .min(1)
      .max(50_000)
      .optional(),
    /** `declared`: by weights, or by bytes of text where none are given. `measured`: by what evidence finds, and nothing else. */
    by: z.enum(["declared", "measured"]).default("declared"),
  })
  .refine(
    ({ datanet, contributors }) => datanet !== undefined || contributors !== undefined,
    "names neither a datanet nor contributors",
  )
  .refine(
    ({ records, contributors }) => records === undefined || contributors === undefined,
    "names both records and contributors",
  )
  .refine(({ datanet, records }) => records === undefined || datanet !== undefined, "names records of no datanet");

export const reportedModelInput = z.object({
  name: z.string().min(1).max(256),
  /** Who owns it; the node where it is left out. */
  owner: party.optional(),
  /** Who ran it and keeps the cost; the node's operator where it is left out. */
  operator: party.optional(),
  licence: z.string().min(1).max(32).default("NOASSERTION"),
  unit: z.enum(["nano", "microUsd"]).default("nano"),
  /** Charged where a row does not say what it cost. */
  cost: prices.optional(),
  royalty: prices.optional(),
  /** The part of what a row says that it cost that is royalty, in basis points. */
  royaltyBps: z.number().int().min(0).max(10_000).default(0),
  parentsBps: z.number().int().min(0).max(10_000).default(3_000),
  trainedOn: z.array(trainedOn).max(16).default([]),
});
export type ReportedModelInput = z.infer<typeof reportedModelInput>;
/** What is registered from now on: the same, with a name that a URI can hold. */
export const newReportedModel = reportedModelInput.extend({ name: storable.min(1).max(256) });

export const importModelsSchema = z.object({
  models: z.array(z.unknown()).min(1).max(1_000),
  dryRun: z.boolean().default(false),
  /** A model that is known with other contents becomes this one. */
  replace: z.boolean().default(false),
});
export type ImportModels = z.infer<typeof importModelsSchema>;

export const importedModelSchema = z.object({
  row: z.number().int(),
  name: z.string(),
  outcome: z.enum(["registered", "replaced", "known", "refused"]),
  asset: hex.optional(),
  contributors: z.number().int().optional(),
  code: z.string().optional(),
  reason: z.string().optional(),
  hint: z.string().optional(),
});
export type ImportedModel = z.infer<typeof importedModelSchema>;
export const importedModelsSchema = z.object({ data: z.array(importedModelSchema) });
