import { z } from "zod";
import { hex, hex16, hex32, limit, nano, timeMs } from "./scalars.ts";

/** Receipts of the own API: one execution, its route with labels where they are known, and its opening for the payer. */
const prices = z.object({ inPerMillion: z.number(), outPerMillion: z.number(), perCall: z.number() });

export const legSchema = z.object({
  role: z.string(),
  payee: hex,
  number: z.number().int(),
  label: z.string().optional(),
  weight: z.number(),
  amount: nano,
});

export const receiptSchema = z.object({
  id: hex,
  seq: z.number().int(),
  timeMs,
  flags: z.object({ reported: z.boolean(), unaudited: z.boolean(), partial: z.boolean(), undeclared: z.boolean() }),
  nesting: z.object({ depth: z.number(), parent: hex, root: hex, sibling: hex, childrenTotal: nano }),
  payer: hex,
  account: hex,
  operator: z.object({ payee: hex, label: z.string().optional() }),
  model: z.object({ asset: hex, name: z.string().optional() }),
  policyHash: hex,
  unit: z.enum(["nano", "microUsd"]),
  rate: z.object({ nanoPerUsd: z.number(), source: z.string() }),
  prices: z.object({ cost: prices, royalty: prices }),
  usage: z.object({ tokensIn: z.number(), tokensOut: z.number(), calls: z.number() }),
  fee: z.object({ cost: nano, royalty: nano, own: nano, amount: nano, earned: nano }),
  /** Whose earnings paid the part of the fee that is `earned`. */
  earner: z.object({ payee: hex, label: z.string().optional() }).optional(),
  hashes: z.object({ prompt: hex, answer: hex, evidence: hex, index: hex, methods: hex }),
  unattributed: z.number(),
  legs: z.array(legSchema),
});
export type ReceiptView = z.infer<typeof receiptSchema>;

const evidenceKind = z.enum(["span", "passage", "influence", "lineage", "prior"]);

/** Salts, texts and evidence. Given to the key of the account that paid, and to admin keys. */
export const openingSchema = z.object({
  v: z.literal(1),
  promptSalt: hex,
  answerSalt: hex,
  prompt: z.string(),
  answer: z.string(),
  evidence: z.array(
    z.object({
      kind: evidenceKind,
      payee: hex,
      weight: z.number(),
      record: z.string().optional(),
      title: z.string().optional(),
      source: z.string().optional(),
      author: z.string().optional(),
      /** All who are paid for the record, with their whole weights. */
      payees: z.array(z.object({ payee: hex, weight: z.number().int() })).optional(),
      /** Byte or character range in the answer, [from, until). */
      output: z.tuple([z.number(), z.number()]).optional(),
      /** Range in the record, [from, until). */
      position: z.tuple([z.number(), z.number()]).optional(),
      text: z.string().optional(),
    }),
  ),
  /** Ids of the records that were retrieved into the context, best first. */
  context: z.array(z.string()).optional(),
  /** Which records repeat which earlier answers. Parts are millionths. */
  derivations: z
    .array(z.object({ record: hex, receipt: hex16, partPpm: z.number().int(), attributedPpm: z.number().int() }))
    .optional(),
  /** What methods found that cannot be run again without the engine: their evidence before anything was passed on. */
  stated: z.array(z.object({ kind: evidenceKind, record: hex, weight: z.number().int() })).optional(),
  /** The payer forbade to remember the answer, so that a contribution that repeats it is recognised. */
  isForgotten: z.literal(true).optional(),
});
export type Opening = z.infer<typeof openingSchema>;

const reportedName = z.object({ source: z.string(), id: z.string() });
/** What another gateway reported a receipt as. Receipts nest within a batch; what came in another batch is linked here. */
const reportedSchema = reportedName.extend({
  causedBy: reportedName.extend({ receipt: hex.optional() }).optional(),
  caused: z.array(reportedName.extend({ receipt: hex })),
  laterWords: z.array(z.number().int()).meta({ description: "entries of the corrections that later words on it are" }),
});
export type ReportedView = z.infer<typeof reportedSchema>;

/** What the source calls it. */
export const executionParam = z.object({ id: z.string().min(1).max(300) });
export const executionQuery = z.object({
  /** Any where it is left out. */
  source: z.enum(["openai", "opentelemetry", "litellm", "cloudevents", "csv"]).optional(),
});
export const executionListSchema = z.object({
  data: z.array(reportedSchema.extend({ receipt: receiptSchema })),
});

export const receiptDetailSchema = receiptSchema.extend({
  entry: hex,
  /** The text that `hashes.methods` is the keccak256 of: methods, what they count for on this model, and rules. */
  combination: z.string().optional(),
  opening: openingSchema.optional(),
  reported: reportedSchema.optional(),
});
export const receiptListSchema = z.object({ data: z.array(receiptSchema), nextBeforeSeq: z.number().optional() });
export const receiptParam = z.object({ id: hex16 });
export const combinationParam = z.object({ hash: hex32 });
export const receiptQuery = z.object({
  limit,
  beforeSeq: z.coerce.number().int().min(0).optional(),
  mine: z.stringbool().default(false),
});
