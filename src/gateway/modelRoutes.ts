import { ok, type Result } from "../core/result.ts";
import {
  baseListSchema,
  baseParam,
  baseViewSchema,
  bomSchema,
  exportViewSchema,
  jobExportFileParam,
  jobExportParam,
  jobParam,
  measurementSchema,
  measureSchema,
  modelExportFileParam,
  modelExportParam,
  registerBaseSchema,
  serveBaseSchema,
} from "../protocol/models.ts";
import { modelParam, servedModelSchema } from "../protocol/service.ts";
import type { ModelLibrary } from "./modelLibrary.ts";
import { json, jsonOf, plain, type Reply, type Route, route } from "./routes.ts";

/** Bases, and what is written about models. Cards and bills of materials are public, as the journal is. */
export function modelRoutes(library: ModelLibrary): Route[] {
  return [...baseRoutes(library), ...measuringRoutes(library), ...writtenRoutes(library), ...exportRoutes(library)];
}

const read = { ...plain, method: "GET", access: "open", tag: "models" } as const;
const admin = { ...plain, method: "POST", access: "admin", tag: "models" } as const;

function baseRoutes(library: ModelLibrary): Route[] {
  return [
    route({
      ...{ ...read, path: "/api/bases", response: baseListSchema },
      summary: "Models that can be trained on",
      handle: async () => json({ data: await library.bases() }),
    }),
    route({
      ...{ ...admin, path: "/api/bases", body: registerBaseSchema, response: baseViewSchema },
      statuses: [201],
      summary: "Take up a Hugging Face folder of a Llama as a base",
      handle: async ({ body }) => jsonOf(await library.registerBase(body)),
    }),
    route({
      ...{ ...admin, path: "/api/bases/{name}/serve", params: baseParam, body: serveBaseSchema },
      response: servedModelSchema,
      statuses: [201],
      summary: "Register a base as an asset with its parents, and serve it as it is",
      handle: async ({ params, body }) => jsonOf(await library.serveBase(params.name, body)),
    }),
  ];
}

function measuringRoutes(library: ModelLibrary): Route[] {
  const path = "/api/models/{name}/measurement";
  return [
    route({
      ...{ ...read, path, params: modelParam, response: measurementSchema },
      summary: "What each method of attribution counts for on a neural model, and what is being measured",
      handle: async ({ params }) => jsonOf(await library.measurement(params.name)),
    }),
    route({
      ...{ ...admin, path, params: modelParam, body: measureSchema, response: measurementSchema },
      summary:
        "Measure in the background what repeated words are worth on a model, and whose records shape its answers",
      handle: async ({ params, body }) => jsonOf(await library.measure(params.name, body)),
    }),
  ];
}

function writtenRoutes(library: ModelLibrary): Route[] {
  return [
    route({
      ...{ ...read, path: "/api/models/{name}/card", params: modelParam, response: "text", produces: MARKDOWN },
      summary: "A served model's card: Markdown with Hugging Face's front matter",
      handle: async ({ params }) => markdown(await library.card(params.name)),
    }),
    route({
      ...{ ...read, path: "/api/models/{name}/bom", params: modelParam, response: bomSchema, produces: CYCLONE_DX },
      summary: "A served model's bill of materials: CycloneDX 1.7, with datanets and contributors",
      handle: async ({ params }) => cycloneDx(await library.bom(params.name)),
    }),
    route({
      ...{ ...read, path: "/api/jobs/{id}/card", params: jobParam, access: "admin", response: "text" },
      produces: MARKDOWN,
      summary: "The card of what a training job has made",
      handle: async ({ params }) => markdown(await library.jobCard(params.id)),
    }),
    route({
      ...{ ...read, path: "/api/jobs/{id}/bom", params: jobParam, access: "admin", response: bomSchema },
      produces: CYCLONE_DX,
      summary: "The bill of materials of what a training job has made",
      handle: async ({ params }) => cycloneDx(await library.jobBom(params.id)),
    }),
  ];
}

function exportRoutes(library: ModelLibrary): Route[] {
  const bytes = { ...read, access: "admin", response: "bytes" } as const;
  return [
    route({
      ...{ ...admin, path: "/api/models/{name}/exports/{format}", params: modelExportParam },
      response: exportViewSchema,
      summary: "Make a folder of a served model for other programs: Hugging Face, or GGUF for llama.cpp",
      handle: async ({ params }) => jsonOf(await library.exportModel(params.name, params.format)),
    }),
    route({
      ...{ ...bytes, path: "/api/models/{name}/exports/{format}/{file*}", params: modelExportFileParam },
      summary: "A file of a model's export",
      handle: async ({ params }) => binary(await library.exportedFile(params.name, params.format, params.file)),
    }),
    route({
      ...{ ...admin, path: "/api/jobs/{id}/exports/{format}", params: jobExportParam, response: exportViewSchema },
      summary: "Make a folder of a job: its result, or with peft the job itself for a GPU machine to run",
      handle: async ({ params }) => jsonOf(await library.exportJob(params.id, params.format)),
    }),
    route({
      ...{ ...bytes, path: "/api/jobs/{id}/exports/{format}/{file*}", params: jobExportFileParam },
      summary: "A file of a job's export",
      handle: async ({ params }) => binary(await library.exportedFile(params.id, params.format, params.file)),
    }),
  ];
}

const MARKDOWN = ["text/markdown"];
const CYCLONE_DX = ["application/vnd.cyclonedx+json"];

function binary(file: Result<Uint8Array>): Result<Reply> {
  if (!file.ok) return file;
  return ok({ kind: "bytes", body: file.value, headers: { "content-type": "application/octet-stream" } });
}

function markdown(card: Result<string>): Result<Reply> {
  if (!card.ok) return card;
  return ok({ kind: "bytes", body: card.value, headers: { "content-type": "text/markdown; charset=utf-8" } });
}

function cycloneDx(bom: Result<object>): Result<Reply> {
  if (!bom.ok) return bom;
  const body = JSON.stringify(bom.value, undefined, 2);
  return ok({ kind: "bytes", body, headers: { "content-type": "application/vnd.cyclonedx+json; version=1.7" } });
}
