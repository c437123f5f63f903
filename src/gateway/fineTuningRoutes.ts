import { fromUtf8 } from "../core/bytes.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { Factory, OrderedBy } from "../factory/factory.ts";
import type { Viewer } from "../factory/fileDesk.ts";
import { FILE_BYTES_MAX } from "../factory/trainingFile.ts";
import type { ApiKey } from "../ledger/ledger.ts";
import {
  fileDeletedSchema,
  fileFormSchema,
  fileListSchema,
  fileParam,
  fileSchema,
  filesQuery,
  fineTuneSchema,
  fineTuningCheckpointListSchema,
  fineTuningEventListSchema,
  fineTuningJobListSchema,
  fineTuningJobSchema,
  jobIdParam,
  jobPageQuery,
  pageQuery,
} from "../protocol/fineTuning.ts";
import { onceHeaders } from "../protocol/headers.ts";
import {
  checkpointViews,
  eventNumber,
  eventView,
  fileView,
  jobView,
  listView,
  metadataFilter,
  orderOf,
} from "./fineTuningWire.ts";
import { type FormField, readForm } from "./form.ts";
import { jsonOf, plain, type Route, route } from "./routes.ts";

/** OpenAI's files and fine-tuning jobs, exactly as its clients speak them. A key sees its account's, an admin key everybody's. */
export function fineTuningRoutes(factory: Factory, nowMs: () => number): Route[] {
  return [...fileRoutes(factory), ...makingRoutes(factory, nowMs), ...followingRoutes(factory)];
}

export function viewerOf(key: ApiKey | undefined): Viewer {
  return key?.admin === true ? undefined : accountOf(key);
}

export function accountOf(key: ApiKey | undefined): string {
  return key?.account ?? "";
}

function payerOf(key: ApiKey | undefined): OrderedBy {
  return { account: accountOf(key), ...(key === undefined ? {} : { keyId: key.id }) };
}

/** Beside the file's bytes there is room for a form's other fields. */
const FORM_BYTES_MAX = FILE_BYTES_MAX + 64 * 1024;
const FILES_MOST = 1_000;
const shared = { ...plain, access: "key", needs: "models.build", tag: "fine-tuning" } as const;

function fileRoutes({ files }: Factory): Route[] {
  return [
    route({
      ...{ ...shared, method: "POST", path: "/v1/files", form: fileFormSchema, response: fileSchema },
      ...{ summary: "Upload a training file", bodyBytesMax: FORM_BYTES_MAX },
      handle: async ({ exchange, key, rawBody }) => {
        const form = await readForm(exchange.request.headers["content-type"], rawBody);
        if (!form.ok) return form;
        const upload = uploadOf(form.value);
        if (!upload.ok) return upload;
        const { bytes, fileName = "" } = upload.value;
        return jsonOf(await files.add(accountOf(key), fileName, bytes), fileView);
      },
    }),
    route({
      ...{ ...shared, method: "GET", path: "/v1/files", query: filesQuery, response: fileListSchema },
      summary: "Uploaded files",
      handle: async ({ key, query: { after, limit, order, purpose = "fine-tune" } }) => {
        const all = await files.list(viewerOf(key), { limit: FILES_MOST });
        if (!all.ok) return all;
        const sorted = order === "asc" ? all.value.toReversed() : all.value;
        const from = after === undefined ? 0 : sorted.findIndex(({ id }) => id === after) + 1;
        const isKnown = purpose === "fine-tune" && (after === undefined || from > 0);
        const rows = isKnown ? sorted.slice(from, from + limit + 1) : [];
        return jsonOf(ok(listView(rows.map(fileView), limit)));
      },
    }),
    route({
      ...{ ...shared, method: "GET", path: "/v1/files/{id}", params: fileParam, response: fileSchema },
      summary: "An uploaded file",
      handle: async ({ key, params }) => jsonOf(await files.find(viewerOf(key), params.id), fileView),
    }),
    route({
      ...{ ...shared, method: "GET", path: "/v1/files/{id}/content", params: fileParam, response: "bytes" },
      summary: "What is in an uploaded file",
      handle: async ({ key, params }) => {
        const content = await files.content(viewerOf(key), params.id);
        if (!content.ok) return content;
        return ok({ kind: "bytes", body: content.value, headers: { "content-type": "application/octet-stream" } });
      },
    }),
    route({
      ...{ ...shared, method: "DELETE", path: "/v1/files/{id}", params: fileParam, response: fileDeletedSchema },
      summary: "Delete an uploaded file that no open job needs",
      handle: async ({ key, params }) =>
        jsonOf(await files.remove(viewerOf(key), params.id), ({ id }) => ({ id, object: "file", deleted: true })),
    }),
  ];
}

function makingRoutes(factory: Factory, nowMs: () => number): Route[] {
  const view = (job: Parameters<typeof jobView>[0]) => jobView(job, nowMs());
  const change = (action: "cancel" | "pause" | "resume", summary: string) =>
    route({
      ...{ ...shared, method: "POST", path: `/v1/fine_tuning/jobs/{id}/${action}`, params: jobIdParam, summary },
      ...{ isBodyless: true, response: fineTuningJobSchema },
      handle: async ({ key, params }) => jsonOf(await factory[action](viewerOf(key), params.id, payerOf(key)), view),
    });
  return [
    route({
      ...{ ...shared, method: "POST", path: "/v1/fine_tuning/jobs", body: fineTuneSchema },
      ...{ headers: onceHeaders, summary: "Order a training", response: fineTuningJobSchema },
      handle: async ({ key, body, headers: { "idempotency-key": once } }) => {
        const order = orderOf(body);
        if (!order.ok) return order;
        const by = { ...payerOf(key), ...(once === undefined ? {} : { key: once }) };
        return jsonOf(await factory.order(by, order.value), ({ job }) => view(job));
      },
    }),
    route({
      ...{ ...shared, method: "GET", path: "/v1/fine_tuning/jobs", query: jobPageQuery },
      ...{ summary: "Training jobs, newest first", response: fineTuningJobListSchema },
      handle: async ({ key, query: { after, limit, ...rest } }) => {
        const page = { limit: limit + 1, ...(after === undefined ? {} : { after }) };
        const isWanted = metadataFilter(rest);
        if (!isWanted.ok) return isWanted;
        const jobs = await factory.jobs(viewerOf(key), page, isWanted.value);
        return jsonOf(jobs, (rows) =>
          listView(
            rows.map((job) => ({ id: job.id, ...view(job) })),
            limit,
          ),
        );
      },
    }),
    route({
      ...{ ...shared, method: "GET", path: "/v1/fine_tuning/jobs/{id}", params: jobIdParam },
      ...{ summary: "A training job", response: fineTuningJobSchema },
      handle: async ({ key, params }) => jsonOf(await factory.job(viewerOf(key), params.id), view),
    }),
    change("cancel", "End a job for good"),
    change("pause", "Set a job aside; it keeps its checkpoint"),
    change("resume", "Go on with a job that was set aside"),
  ];
}

function followingRoutes(factory: Factory): Route[] {
  return [
    route({
      ...{ ...shared, method: "GET", path: "/v1/fine_tuning/jobs/{id}/events", params: jobIdParam, query: pageQuery },
      ...{ summary: "What has happened in a job, newest first", response: fineTuningEventListSchema },
      handle: async ({ key, params: { id }, query: { after, limit } }) => {
        const before = after === undefined ? undefined : (eventNumber(id, after) ?? 0);
        const page = { limit: limit + 1, ...(before === undefined ? {} : { before }) };
        const events = await factory.events(viewerOf(key), id, page);
        return jsonOf(events, (rows) =>
          listView(
            rows.map((event) => eventView(id, event)),
            limit,
          ),
        );
      },
    }),
    route({
      ...{ ...shared, method: "GET", path: "/v1/fine_tuning/jobs/{id}/checkpoints", params: jobIdParam },
      ...{ query: pageQuery, response: fineTuningCheckpointListSchema },
      summary: "A job's checkpoints, newest first",
      handle: async ({ key, params, query: { after, limit } }) => {
        const job = await factory.job(viewerOf(key), params.id);
        if (!job.ok) return job;
        const all = checkpointViews(job.value);
        const from = after === undefined ? 0 : all.findIndex(({ id }) => id === after) + 1;
        const rows = after !== undefined && from === 0 ? [] : all.slice(from, from + limit + 1);
        return jsonOf(ok(listView(rows, limit)));
      },
    }),
  ];
}

function uploadOf(form: ReadonlyMap<string, FormField>): Result<FormField> {
  const purpose = form.get("purpose");
  if (purpose === undefined) return refuse("invalid_request", "the purpose is missing", { field: "purpose" });
  if (fromUtf8(purpose.bytes) !== "fine-tune")
    return refuse("invalid_request", "files are taken for fine-tune only", { field: "purpose" });
  const unknown = [...form.keys()].find((name) => name !== "file" && name !== "purpose");
  if (unknown !== undefined)
    return refuse("invalid_request", `${unknown.slice(0, 80)} is not supported here`, { field: unknown.slice(0, 80) });
  const file = form.get("file");
  return file?.fileName === undefined ? refuse("invalid_request", "the file is missing", { field: "file" }) : ok(file);
}
