import { expect, test } from "vitest";
import { type RefusalCode, refusalCodes } from "../core/result.ts";
import { openAiError, problem } from "./errors.ts";
import { refusalRow, refusalTable } from "./refusals.ts";

/** Outward values: http, type, code, JSON-RPC code, exit code, retryable. Changing one is a breaking change. */
const pinned = `
invalid_request         400 invalid_request_error invalid_request         -32602  64 -
unsupported_media_type  415 invalid_request_error unsupported_media_type  -32001  64 -
payload_too_large       413 invalid_request_error payload_too_large       -32002  64 -
unauthenticated         401 authentication_error  invalid_api_key         -32003  77 -
key_revoked             401 authentication_error  api_key_revoked         -32004  77 -
forbidden               403 permission_error      forbidden               -32005  77 -
not_found               404 invalid_request_error not_found               -32006  66 -
model_not_found         404 invalid_request_error model_not_found         -32007  66 -
method_not_allowed      405 invalid_request_error method_not_allowed      -32037  64 -
conflict                409 invalid_request_error conflict                -32008  65 -
already_exists          409 invalid_request_error already_exists          -32009  73 -
idempotency_mismatch    422 invalid_request_error idempotency_mismatch    -32010  65 -
idempotency_in_flight   409 invalid_request_error idempotency_in_flight   -32011  75 retry
insufficient_funds      402 insufficient_quota    insufficient_quota      -32012  69 -
amount_out_of_range     400 invalid_request_error amount_out_of_range     -32013  65 -
context_too_long        400 invalid_request_error context_length_exceeded -32014  65 -
rate_limited            429 rate_limit_error      rate_limit_exceeded     -32015  75 retry
queue_full              503 server_error          queue_full              -32016  75 retry
queue_timeout           503 server_error          queue_timeout           -32017  75 retry
no_operator             503 server_error          no_operator             -32018  69 retry
upstream_failed         502 server_error          upstream_failed         -32019  69 retry
upstream_timeout        504 server_error          upstream_timeout        -32020  75 retry
rate_stale              503 server_error          rate_stale              -32038  75 retry
licence_refused         422 invalid_request_error licence_refused         -32021  65 -
rule_violated           422 invalid_request_error rule_violated           -32022  65 -
binding_refused         403 permission_error      binding_refused         -32023  77 -
proof_invalid           422 invalid_request_error proof_invalid           -32024  65 -
verification_failed     422 invalid_request_error verification_failed     -32025   1 -
epoch_not_final         409 invalid_request_error epoch_not_final         -32026  75 retry
nothing_to_claim        409 invalid_request_error nothing_to_claim        -32027  65 -
data_folder_in_use      503 server_error          data_folder_in_use      -32028  73 -
data_folder_damaged     500 server_error          data_folder_damaged     -32029  74 -
port_in_use             503 server_error          port_in_use             -32030  73 -
disk_full               507 server_error          disk_full               -32031  74 retry
store_unavailable       503 server_error          store_unavailable       -32032  69 retry
chain_unavailable       503 server_error          chain_unavailable       -32033  69 retry
writer_fenced           503 server_error          writer_fenced           -32034  75 retry
shutting_down           503 server_error          shutting_down           -32035  75 retry
cancelled               499 invalid_request_error cancelled               -32036 130 -
`;

function written(code: RefusalCode): string {
  const row = refusalRow(code);
  const columns = [code, row.httpStatus, row.openaiType, row.openaiCode, row.jsonRpcCode, row.exitCode];
  return [...columns, row.retryable ? "retry" : "-"].join(" ");
}

test("every refusal looks from every door as it always did", () => {
  const lines = pinned
    .trim()
    .split("\n")
    .map((line) => line.replace(/ +/g, " "));
  expect(refusalCodes.map(written)).toEqual(lines);
});

test("JSON-RPC codes and problem types are unique", () => {
  const rows = Object.values(refusalTable);
  expect(new Set(rows.map((row) => row.jsonRpcCode)).size).toBe(rows.length);
  expect(new Set(rows.map((row) => row.problemType)).size).toBe(rows.length);
});

test("encodes a refusal for both worlds", () => {
  const refusal = { code: "rate_limited", message: "too fast", hint: "wait 2 s", field: "model" } as const;
  expect(openAiError(refusal)).toEqual({
    error: { message: "too fast. wait 2 s", type: "rate_limit_error", param: "model", code: "rate_limit_exceeded" },
  });
  expect(problem(refusal, "request:1")).toEqual({
    type: "https://openledger.dev/problems/rate-limit-exceeded",
    title: "A limit of the key is reached",
    status: 429,
    detail: "too fast",
    code: "rate_limited",
    instance: "request:1",
    hint: "wait 2 s",
    field: "model",
  });
});
