import { gunzipSync } from "node:zlib";
import { ok, type Result, refuse } from "../core/result.ts";
import type { CsvMapping } from "../ingest/csv.ts";
import { type ReportFormat, type ReportSpelling, readReport } from "../ingest/formats.ts";
import type { ApiKey } from "../ledger/ledger.ts";
import {
  type ExecutionsQuery,
  type ExecutionsView,
  executionsQuery,
  executionsSchema,
  traceResponseSchema,
} from "../protocol/executions.ts";
import { type ReportHeaders, reportHeaders } from "../protocol/headers.ts";
import { empty } from "../protocol/scalars.ts";
import { mediaType } from "./door.ts";
import type { Exchange } from "./exchange.ts";
import type { ExecutionDesk, ReportBy } from "./executionDesk.ts";
import type { Refused } from "./refused.ts";
import { jsonOf, plain, type Route, route } from "./routes.ts";

/** Media types beside JSON's, and how each spells records. */
const spellings: Readonly<Record<string, ReportSpelling>> = {
  "application/json": "json",
  "application/cloudevents+json": "json",
  "application/cloudevents-batch+json": "json",
  "application/x-ndjson": "jsonl",
  "application/jsonl": "jsonl",
  "text/csv": "csv",
};
const media = Object.keys(spellings).filter((type) => type !== "application/json");
/** What a body may unpack to. */
const UNPACKED_BYTES_MAX = 32 * 1024 * 1024;

/**
 * Where other gateways report what they served. The node's owner reports for payers by name; any other key reports for its own account alone.
 * Two more doors take what common clients send, at the paths and with the answers that these clients expect.
 */
export function executionRoutes(desk: ExecutionDesk): Route[] {
  const shared = {
    ...plain,
    method: "POST",
    access: "key",
    needs: "models.execute",
    tag: "executions",
    media,
    headers: reportHeaders,
  } as const;
  return [
    route({
      ...{ ...shared, path: "/api/executions", query: executionsQuery, response: executionsSchema },
      summary:
        "Book executions that other gateways served: a batch, an outcome for each row; sent again it changes nothing",
      handle: async ({ exchange, key, headers, query, rawBody }) =>
        jsonOf(await take(desk, exchange, headers, rawBody, query, byOf(key, query))),
    }),
    route({
      ...{ ...shared, path: "/v1/traces", response: traceResponseSchema },
      summary: "OpenTelemetry GenAI spans, as the OTLP/HTTP JSON exporter posts them",
      handle: async ({ exchange, key, headers, rawBody }) => {
        const taken = await take(desk, exchange, headers, rawBody, { format: "otlp" }, byOf(key, { rows: "refused" }));
        return jsonOf(taken, traceResponse);
      },
    }),
    route({
      ...{ ...shared, path: "/api/v1/events", response: empty, statuses: [204] },
      summary: "CloudEvents of token usage, as OpenMeter's clients post them",
      handle: async ({ exchange, key, headers, rawBody }) => {
        const taken = await take(
          desk,
          exchange,
          headers,
          rawBody,
          { format: "cloudevents" },
          byOf(key, { rows: "refused" }),
        );
        if (!taken.ok) return taken;
        const refused = firstRefused(taken.value);
        return refused === undefined ? ok({ kind: "none" }) : refuse("invalid_request", refused);
      },
    }),
  ];
}

function byOf(key: ApiKey | undefined, { amend, rows }: Pick<ExecutionsQuery, "amend" | "rows">): ReportBy {
  const asked = { amends: amend === "true", tellsRefused: rows === "refused" };
  return key?.admin === true ? asked : { ...asked, account: key?.account ?? "" };
}

async function take(
  desk: ExecutionDesk,
  { request }: Exchange,
  { "content-encoding": encoding }: ReportHeaders,
  rawBody: Uint8Array,
  query: ExecutionsQuery,
  by: ReportBy,
): Promise<Result<ExecutionsView, Refused>> {
  const type = mediaType(request);
  const spelling = spellings[type] ?? "json";
  const format = query.format ?? formatOf(type);
  if (format === undefined)
    return refuse("invalid_request", "the body does not say whose records these are", {
      hint: "say it with ?format=openai, otlp, litellm, cloudevents or csv",
      field: "format",
    });
  const text = textOf(encoding, rawBody);
  if (!text.ok) return text;
  const payer = by.account ?? query.payer;
  const defaults = {
    ...(payer === undefined ? {} : { payer }),
    ...(query.model === undefined ? {} : { model: query.model }),
  };
  const readings = readReport(text.value, spelling, { format, defaults, mapping: mappingOf(query) });
  return readings.ok ? desk.book(readings.value, by) : readings;
}

function formatOf(type: string): ReportFormat | undefined {
  if (type.startsWith("application/cloudevents")) return "cloudevents";
  return type === "text/csv" ? "csv" : undefined;
}

function textOf(encoding: string | undefined, bytes: Uint8Array): Result<string> {
  if (encoding === undefined || encoding === "identity") return ok(Buffer.from(bytes).toString("utf8"));
  if (encoding !== "gzip")
    return refuse("unsupported_media_type", `the body is encoded as "${encoding}"`, {
      hint: "send it as it is, or as gzip",
    });
  try {
    return ok(gunzipSync(bytes, { maxOutputLength: UNPACKED_BYTES_MAX }).toString("utf8"));
  } catch {
    return refuse("invalid_request", `the body is not gzip of at most ${UNPACKED_BYTES_MAX} bytes`);
  }
}

function mappingOf(query: ExecutionsQuery): Partial<CsvMapping> {
  const column = (name: keyof CsvMapping): Partial<CsvMapping> => {
    const said = query[`col.${name}`];
    return said === undefined ? {} : { [name]: said };
  };
  const names: readonly (keyof CsvMapping)[] = [
    ...(["id", "time", "payer", "model", "operator", "tokensIn"] as const),
    ...(["tokensOut", "cost", "parent", "prompt", "answer", "amendment"] as const),
  ];
  return Object.assign({}, ...names.map(column));
}

function traceResponse(view: ExecutionsView): object {
  const errorMessage = firstRefused(view);
  return errorMessage === undefined ? {} : { partialSuccess: { rejectedSpans: view.refused, errorMessage } };
}

function firstRefused({ rows, booked, known, corrected, refused }: ExecutionsView): string | undefined {
  const first = rows.find(({ outcome }) => outcome === "refused");
  if (first === undefined) return undefined;
  const all = booked + known + corrected + refused;
  return `${refused} of ${all} were refused, the others are booked; the first, row ${first.row}: ${first.reason}`;
}
