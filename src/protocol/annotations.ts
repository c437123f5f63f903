import { z } from "zod";
import { name, timeMs } from "./scalars.ts";

/** A record's id, or the beginning of one that no other record of the version has. */
const recordId = z
  .string()
  .regex(/^0x[0-9a-f]{8,64}$/, "must be a record's id, or its first characters: 0x and at least 8 hex digits");

export const annotateSchema = z.strictObject({
  /** The record that the words lead to. */
  record: recordId,
  /** Of a link: the record that it stands in. */
  from: recordId.optional(),
  text: z.string().min(1).max(2_000),
  /** A 32-byte party id or an external identity; the node's own party where it is left out. */
  by: z.string().min(1).max(300).optional(),
});
export type Annotate = z.infer<typeof annotateSchema>;

export const annotationSchema = z.object({
  ...{ id: z.string(), record: z.string(), from: z.string().optional(), text: z.string(), by: z.string() },
  state: z.enum(["open", "approved", "rejected"]),
  ...{ reason: z.string().optional(), createdMs: timeMs },
});
export type AnnotationView = z.infer<typeof annotationSchema>;
export const annotationListSchema = z.object({ data: z.array(annotationSchema) });
export const annotationParam = z.object({ name, id: z.string().min(1).max(128) });
export const annotationQuery = z.object({ state: annotationSchema.shape.state.optional() });
