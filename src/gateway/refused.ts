import { type Refusal, type RefusalCode, refuse } from "../core/result.ts";

/** A refusal at the HTTP door may also say when to come back. */
export interface Refused extends Refusal {
  readonly retryAfterMs?: number;
}

/** Like `refuse` of core, with a time to wait. */
export function refuseFor(
  code: RefusalCode,
  message: string,
  extra: { readonly hint?: string; readonly field?: string; readonly retryAfterMs?: number } = {},
): { readonly ok: false; readonly error: Refused } {
  const { retryAfterMs, ...rest } = extra;
  const { error } = refuse(code, message, rest);
  return { ok: false, error: retryAfterMs === undefined ? error : { ...error, retryAfterMs } };
}
