import { z } from "zod";
import { ok, type Result } from "../core/result.ts";
import {
  baseListSchema,
  baseParam,
  baseViewSchema,
  bomSchema,
  registerBaseSchema,
  serveBaseSchema,
} from "../protocol/models.ts";
import { modelParam, servedModelSchema } from "../protocol/service.ts";
import type { ModelLibrary } from "./modelLibrary.ts";
import { json, plain, type Reply, type Route, route } from "./routes.ts";

const jobParam = z.object({ id: z.string().min(1).max(128) });

/** Bases, and what is written about models. Cards and bills of materials are public, as the journal is. */
export function modelRoutes(library: ModelLibrary): Route[] {
  const read = { ...plain, method: "GET", access: "open", tag: "models" } as const;
  const admin = { ...plain, method: "POST", access: "admin", tag: "models" } as const;
  return [
    route({
      ...{ ...read, path: "/api/bases", response: baseListSchema },
      summary: "Models that can be trained on",
      handle: async () => json({ data: await library.bases() }),
    }),
    route({
      ...{ ...admin, path: "/api/bases", body: registerBaseSchema, response: baseViewSchema },
      summary: "Take up a Hugging Face folder of a Llama as a base",
      handle: async ({ body }) => {
        const base = await library.registerBase(body);
        return base.ok ? json(base.value, 201) : base;
      },
    }),
    route({
      ...{ ...admin, path: "/api/bases/{name}/serve", params: baseParam, body: serveBaseSchema },
      response: servedModelSchema,
      summary: "Register a base as an asset with its parents, and serve it as it is",
      handle: async ({ params, body }) => {
        const served = await library.serveBase(params.name, body);
        return served.ok ? json(served.value, 201) : served;
      },
    }),
    route({
      ...{ ...read, path: "/api/models/{name}/card", params: modelParam, response: "text" },
      summary: "A served model's card: Markdown with Hugging Face's front matter",
      handle: async ({ params }) => markdown(await library.card(params.name)),
    }),
    route({
      ...{ ...read, path: "/api/models/{name}/bom", params: modelParam, response: bomSchema },
      summary: "A served model's bill of materials: CycloneDX 1.7, with datanets and contributors",
      handle: async ({ params }) => cycloneDx(await library.bom(params.name)),
    }),
    route({
      ...{ ...read, path: "/api/jobs/{id}/card", params: jobParam, access: "admin", response: "text" },
      summary: "The card of what a training job has made",
      handle: async ({ params }) => markdown(await library.jobCard(params.id)),
    }),
    route({
      ...{ ...read, path: "/api/jobs/{id}/bom", params: jobParam, access: "admin", response: bomSchema },
      summary: "The bill of materials of what a training job has made",
      handle: async ({ params }) => cycloneDx(await library.jobBom(params.id)),
    }),
  ];
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
