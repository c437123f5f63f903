import { z } from "zod";
import { limit, name, timeMs } from "./scalars.ts";

/** Datanets of the own API: what is public about a network of contributions, and its owner's review actions. */
export const datanetSchema = z.object({
  /** 32 bytes of hex: what its versions descend from and what its contributors' payee ids are keyed with. */
  id: z.string(),
  name: z.string(),
  summary: z.string(),
  description: z.string().optional(),
  tags: z.array(z.string()),
  licence: z.string(),
  asset: z.string().optional(),
  records: z.number().int(),
  contributors: z.number().int(),
  version: z.number().int(),
});
export type DatanetView = z.infer<typeof datanetSchema>;

export const versionSchema = z.object({
  version: z.number().int(),
  contentRoot: z.string(),
  records: z.number().int(),
  contributions: z.number().int(),
  createdMs: timeMs,
  asset: z.string().optional(),
});
export type DatanetVersionView = z.infer<typeof versionSchema>;

export const diffSchema = z.object({
  from: z.number().int(),
  to: z.number().int(),
  added: z.array(z.string()),
  removed: z.array(z.string()),
  /** Same text, elsewhere or by other hands. */
  moved: z.array(z.object({ from: z.string(), to: z.string() })),
  unchanged: z.number().int(),
});
export type DatanetDiffView = z.infer<typeof diffSchema>;

export const recordSchema = z.object({
  id: z.string(),
  contributionId: z.string(),
  title: z.string(),
  headingPath: z.array(z.string()),
  text: z.string(),
  source: z.string(),
  licence: z.string(),
  date: z.string().nullable(),
  authors: z.array(z.object({ identity: z.string(), name: z.string() })),
  /** What others have added to it, by which it is found too. */
  notes: z.array(z.object({ by: z.string(), text: z.string() })).optional(),
  score: z.number().optional(),
});
export type RecordView = z.infer<typeof recordSchema>;

export const contributorSchema = z.object({
  payee: z.string(),
  label: z.string(),
  names: z.array(z.string()),
  records: z.number().int(),
  /** What the open and closed epochs credited this payee, nano as decimal text. */
  accrued: z.string(),
});
export type ContributorView = z.infer<typeof contributorSchema>;

export const contributionSchema = z.object({
  id: z.string(),
  state: z.enum(["open", "approved", "rejected"]),
  reason: z.string().optional(),
  by: z.string().optional(),
  records: z.number().int(),
  createdMs: timeMs,
  /** Which records repeat which earlier answers, and how much of each: millionths. */
  lineage: z
    .array(z.object({ record: z.string(), receipt: z.string(), partPpm: z.number().int(), isDeclared: z.boolean() }))
    .optional(),
});
export type ContributionView = z.infer<typeof contributionSchema>;

export const reviewSchema = z.object({
  decision: z.enum(["approve", "reject"]),
  reason: z.string().min(3, "say why, in at least 3 characters").max(2_000),
});

export const datanetListSchema = z.object({ data: z.array(datanetSchema) });
export const versionListSchema = z.object({ data: z.array(versionSchema) });
export const recordListSchema = z.object({ data: z.array(recordSchema), total: z.number().int() });
export const contributorListSchema = z.object({ data: z.array(contributorSchema) });
export const contributionListSchema = z.object({ data: z.array(contributionSchema) });

export const datanetParam = z.object({ name });
export const contributionParam = z.object({ name, id: z.string().min(1).max(128) });
export const recordQuery = z.object({
  q: z.string().max(1_000).optional(),
  limit,
  offset: z.coerce.number().int().min(0).max(10_000_000).default(0),
});
export const diffQuery = z.object({ from: z.coerce.number().int().min(1), to: z.coerce.number().int().min(1) });
export const contributionQuery = z.object({ state: z.enum(["open", "approved", "rejected"]).optional(), limit });
