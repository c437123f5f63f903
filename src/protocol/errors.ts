import { z } from "zod";
import type { Refusal } from "../core/result.ts";
import { refusalRow } from "./refusals.ts";

/** The OpenAI error object: `{"error": {message, type, param, code}}`. `hint` is ours; clients ignore it. */
export const openAiErrorSchema = z.object({
  error: z.object({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string().nullable(),
    hint: z.string().optional(),
  }),
});
export type OpenAiError = z.infer<typeof openAiErrorSchema>;

/** RFC 9457 problem details; `code` is the refusal's code, `field` the offending field. */
export const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number().int(),
  detail: z.string(),
  code: z.string(),
  instance: z.string().optional(),
  hint: z.string().optional(),
  field: z.string().optional(),
});
export type Problem = z.infer<typeof problemSchema>;

export const PROBLEM_MEDIA_TYPE = "application/problem+json";

export function openAiError(refusal: Refusal): OpenAiError {
  const row = refusalRow(refusal.code);
  const message = refusal.hint === undefined ? refusal.message : `${refusal.message}. ${refusal.hint}`;
  return { error: { message, type: row.openaiType, param: refusal.field ?? null, code: row.openaiCode } };
}

/** `instance` names the occurrence: the request id, as a URN-like `request:…`. */
export function problem(refusal: Refusal, instance?: string): Problem {
  const row = refusalRow(refusal.code);
  return {
    type: `https://openledger.dev/problems/${row.problemType}`,
    title: row.title,
    status: row.httpStatus,
    detail: refusal.message,
    code: refusal.code,
    ...(instance === undefined ? {} : { instance }),
    ...(refusal.hint === undefined ? {} : { hint: refusal.hint }),
    ...(refusal.field === undefined ? {} : { field: refusal.field }),
  };
}

/** A bug of ours is no refusal: the caller can do nothing but tell us. */
export function openAiBug(message: string): OpenAiError {
  return { error: { message, type: "server_error", param: null, code: null } };
}

export function problemOfBug(detail: string, instance: string): Problem {
  return { type: "about:blank", title: "Internal Server Error", status: 500, detail, code: "internal_error", instance };
}
