import { z } from "zod";
import { hex, nano, timeMs } from "./scalars.ts";

/** Why a receipt credits whom it credits. Parts are millionths of the contributors' part of the royalty; ranges are UTF-16 code units, [from, until). */
const range = z.tuple([z.number().int(), z.number().int()]);
const payee = z.object({ payee: hex, label: z.string().optional() });
const kind = z.enum(["span", "passage", "influence", "lineage", "prior"]);

/** A fact about two texts, a fact about the model and this answer, or an estimate about its training. */
const measures = z.enum(["match", "use", "cause"]);
const basis = z.enum(["exact", "measured", "assumed"]);

export const methodTrustSchema = z.object({
  id: z.string(),
  version: z.number().int(),
  kind,
  measures,
  /** What of the method's weight counts on this model, and how that is known. */
  reliabilityPpm: z.number().int(),
  basis,
});
const methodSchema = methodTrustSchema.extend({ says: z.string(), doesNotSay: z.string() });

const evidenceSchema = z.object({
  kind,
  /** Of the method that found it, where the node knows the methods that the receipt names. */
  measures: measures.optional(),
  reliabilityPpm: z.number().int().optional(),
  basis: basis.optional(),
  partPpm: z.number().int(),
  record: z.string().optional(),
  title: z.string().optional(),
  source: z.string().optional(),
  author: z.string().optional(),
  payees: z.array(payee.extend({ weight: z.number().int() })),
  /** Where in the answer; for the payer. */
  output: range.optional(),
  /** Where in the record. */
  position: range.optional(),
  /** The words themselves; absent where the evidence is for the answer as a whole, and where they are not the reader's to see. */
  text: z.string().optional(),
});

const traceSchema = z.object({
  spans: z.array(z.object({ output: range, text: z.string(), records: z.array(z.string()) })),
  documents: z.array(
    z.object({
      ...{ record: z.string(), title: z.string(), source: z.string(), author: z.string() },
      relevance: z.enum(["high", "medium", "low"]),
      score: z.number(),
      passages: z.array(z.object({ output: range, source: range })),
      snippet: z.string(),
    }),
  ),
});
export type TraceView = z.infer<typeof traceSchema>;

export const explanationSchema = z.object({
  receipt: hex,
  timeMs,
  model: z.object({ asset: hex, name: z.string().optional() }),
  /** `payer` sees everything; `contributor` the evidence for records of its own, without prompt and answer; `public` sums. */
  view: z.enum(["public", "contributor", "payer"]),
  /** The same for people. */
  says: z.array(z.string()),
  methods: z.array(methodSchema),
  people: z.array(payee.extend({ kinds: z.array(kind), weightPpm: z.number().int(), amount: nano })),
  evidence: z.array(evidenceSchema),
  unattributed: z.object({ weightPpm: z.number().int(), prior: nano, reserve: nano }),
  answer: z.string().optional(),
  /** Where the answer's words stand in the datanet, common phrases and copies included: for the eye, nobody is paid by it. */
  trace: traceSchema.optional(),
});
export type Explanation = z.infer<typeof explanationSchema>;
