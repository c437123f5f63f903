/**
 * Expected failures are plain values. A function that a caller can make fail returns a `Result`;
 * what can only be a bug throws through {@link assert}.
 */
export type Result<T, E = Refusal> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: E };

/**
 * Every way in which OpenLedger can say no. `src/protocol/refusals.ts` maps each one to an HTTP status,
 * an OpenAI error, an RFC 9457 problem, a JSON-RPC code and an exit code; the compiler keeps that table whole.
 */
export const refusalCodes = [
  "invalid_request",
  "unsupported_media_type",
  "payload_too_large",
  "unauthenticated",
  "key_revoked",
  "forbidden",
  "not_found",
  "model_not_found",
  "method_not_allowed",
  "conflict",
  "already_exists",
  "idempotency_mismatch",
  "idempotency_in_flight",
  "insufficient_funds",
  "amount_out_of_range",
  "context_too_long",
  "rate_limited",
  "queue_full",
  "queue_timeout",
  "no_operator",
  "upstream_failed",
  "upstream_timeout",
  "rate_stale",
  "licence_refused",
  "rule_violated",
  "binding_refused",
  "proof_invalid",
  "verification_failed",
  "epoch_not_final",
  "nothing_to_claim",
  "data_folder_in_use",
  "data_folder_damaged",
  "port_in_use",
  "disk_full",
  "store_unavailable",
  "chain_unavailable",
  "writer_fenced",
  "shutting_down",
  "cancelled",
] as const;

export type RefusalCode = (typeof refusalCodes)[number];

/** A refusal says what was wrong, and in `hint` what to do about it. */
export interface Refusal {
  readonly code: RefusalCode;
  readonly message: string;
  readonly hint?: string;
  /** The name of the offending field or argument, where there is one. */
  readonly field?: string;
}

export function ok<T>(value: T): { readonly ok: true; readonly value: T } {
  return { ok: true, value };
}

export function refuse(
  code: RefusalCode,
  message: string,
  extra: { readonly hint?: string; readonly field?: string } = {},
): { readonly ok: false; readonly error: Refusal } {
  return { ok: false, error: { code, message, ...extra } };
}

/** Carries a refusal through code that can only throw; doors unwrap it. */
export class RefusalError extends Error {
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super(refusal.message);
    this.name = "RefusalError";
    this.refusal = refusal;
  }
}

/** The value, or a thrown {@link RefusalError}: for composition roots, examples and tests. */
export function unwrap<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  throw new RefusalError(result.error);
}

/** States what must hold; a failure is a bug of ours, never of a caller. */
export function assert(condition: boolean, mustHold: string): asserts condition {
  if (!condition) throw new Error(`broken invariant: ${mustHold}`);
}
