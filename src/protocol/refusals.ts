import type { RefusalCode } from "../core/result.ts";

/**
 * The one error table: how each refusal looks from every door. `satisfies Record<RefusalCode, …>` keeps it whole, and a literal test pins it.
 * HTTP statuses follow RFC 9110; 422 for an idempotency key with another body follows draft-ietf-httpapi-idempotency-key-header.
 * 402 rather than OpenAI's 429 for an empty account, because its clients retry a 429 and no retry pays a bill.
 * Exit codes follow BSD sysexits.h.
 */
export interface RefusalRow {
  readonly httpStatus: number;
  /** `error.type` and `error.code` of an OpenAI error object. */
  readonly openaiType: OpenAiErrorType;
  readonly openaiCode: string;
  /** Last part of the RFC 9457 `type` URI. */
  readonly problemType: string;
  readonly title: string;
  readonly jsonRpcCode: number;
  readonly exitCode: number;
  /** The same request may well succeed later, unchanged. */
  readonly retryable: boolean;
}

export type OpenAiErrorType =
  | "invalid_request_error"
  | "authentication_error"
  | "permission_error"
  | "insufficient_quota"
  | "rate_limit_error"
  | "server_error";

export const refusalTable = {
  invalid_request: row(400, "invalid_request_error", "invalid_request", "The request is not valid", -32602, 64),
  unsupported_media_type: row(415, "invalid_request_error", "unsupported_media_type", "Not JSON", -32001, 64),
  payload_too_large: row(413, "invalid_request_error", "payload_too_large", "The body is too large", -32002, 64),
  unauthenticated: row(401, "authentication_error", "invalid_api_key", "No valid API key", -32003, 77),
  key_revoked: row(401, "authentication_error", "api_key_revoked", "The API key was revoked", -32004, 77),
  forbidden: row(403, "permission_error", "forbidden", "Not allowed", -32005, 77),
  not_found: row(404, "invalid_request_error", "not_found", "Not found", -32006, 66),
  model_not_found: row(404, "invalid_request_error", "model_not_found", "No such model", -32007, 66),
  method_not_allowed: row(405, "invalid_request_error", "method_not_allowed", "Not with this method", -32037, 64),
  conflict: row(409, "invalid_request_error", "conflict", "In conflict with what is there", -32008, 65),
  already_exists: row(409, "invalid_request_error", "already_exists", "It exists already", -32009, 73),
  idempotency_mismatch: row(422, "invalid_request_error", "idempotency_mismatch", "Same key, other body", -32010, 65),
  idempotency_in_flight: retry(409, "invalid_request_error", "idempotency_in_flight", "Still running", -32011, 75),
  insufficient_funds: row(402, "insufficient_quota", "insufficient_quota", "Not enough funds", -32012, 69),
  amount_out_of_range: row(400, "invalid_request_error", "amount_out_of_range", "Amount out of range", -32013, 65),
  context_too_long: row(400, "invalid_request_error", "context_length_exceeded", "Too long for the model", -32014, 65),
  rate_limited: retry(429, "rate_limit_error", "rate_limit_exceeded", "A limit of the key is reached", -32015, 75),
  queue_full: retry(503, "server_error", "queue_full", "The queue is full", -32016, 75),
  queue_timeout: retry(503, "server_error", "queue_timeout", "Waited too long in the queue", -32017, 75),
  no_operator: retry(503, "server_error", "no_operator", "No operator can take it now", -32018, 69),
  upstream_failed: retry(502, "server_error", "upstream_failed", "The operator failed", -32019, 69),
  upstream_timeout: retry(504, "server_error", "upstream_timeout", "The operator took too long", -32020, 75),
  rate_stale: retry(503, "server_error", "rate_stale", "No dollar rate to hold money at", -32038, 75),
  licence_refused: row(422, "invalid_request_error", "licence_refused", "The licence does not allow it", -32021, 65),
  rule_violated: row(422, "invalid_request_error", "rule_violated", "Against a rule", -32022, 65),
  binding_refused: row(403, "permission_error", "binding_refused", "The binding was refused", -32023, 77),
  proof_invalid: row(422, "invalid_request_error", "proof_invalid", "The proof does not hold", -32024, 65),
  verification_failed: row(422, "invalid_request_error", "verification_failed", "Verification failed", -32025, 1),
  epoch_not_final: retry(409, "invalid_request_error", "epoch_not_final", "The epoch is not final yet", -32026, 75),
  nothing_to_claim: row(409, "invalid_request_error", "nothing_to_claim", "Nothing to claim", -32027, 65),
  data_folder_in_use: row(503, "server_error", "data_folder_in_use", "The data folder is in use", -32028, 73),
  data_folder_damaged: row(500, "server_error", "data_folder_damaged", "The data folder is damaged", -32029, 74),
  port_in_use: row(503, "server_error", "port_in_use", "The port is in use", -32030, 73),
  disk_full: retry(507, "server_error", "disk_full", "The disk is full", -32031, 74),
  store_unavailable: retry(503, "server_error", "store_unavailable", "The record store is away", -32032, 69),
  chain_unavailable: retry(503, "server_error", "chain_unavailable", "The chain is away", -32033, 69),
  writer_fenced: retry(503, "server_error", "writer_fenced", "Another writer took over", -32034, 75),
  shutting_down: retry(503, "server_error", "shutting_down", "Shutting down", -32035, 75),
  cancelled: row(499, "invalid_request_error", "cancelled", "Cancelled by the caller", -32036, 130),
} as const satisfies Record<RefusalCode, RefusalRow>;

export function refusalRow(code: RefusalCode): RefusalRow {
  return refusalTable[code];
}

function row(
  httpStatus: number,
  openaiType: OpenAiErrorType,
  openaiCode: string,
  title: string,
  jsonRpcCode: number,
  exitCode: number,
): RefusalRow {
  const problemType = openaiCode.replaceAll("_", "-");
  return { httpStatus, openaiType, openaiCode, problemType, title, jsonRpcCode, exitCode, retryable: false };
}

function retry(...columns: Parameters<typeof row>): RefusalRow {
  return { ...row(...columns), retryable: true };
}
