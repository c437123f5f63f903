import { OpenAPIRegistry, OpenApiGeneratorV31 } from "@asteasolutions/zod-to-openapi";
import { z } from "zod";
import { openAiErrorSchema, PROBLEM_MEDIA_TYPE, problemSchema } from "../protocol/errors.ts";
import { speaksOpenAi } from "./exchange.ts";
import type { Route } from "./routes.ts";

/** The OpenAPI 3.1 document of a route table, made of the same schemas that validate. */
export function openApiDocument(routes: readonly Route[], version: string): object {
  const registry = new OpenAPIRegistry();
  const bearer = registry.registerComponent("securitySchemes", "key", { type: "http", scheme: "bearer" });
  for (const route of routes) registry.registerPath(pathOf(route, bearer.name));
  return new OpenApiGeneratorV31(registry.definitions).generateDocument({
    openapi: "3.1.0",
    info: { title: "OpenLedger", version, description: "The accounting layer under machine economies." },
  });
}

type PathConfig = Parameters<OpenAPIRegistry["registerPath"]>[0];

function pathOf(route: Route, scheme: string): PathConfig {
  const { params, query } = route;
  const hasBody = route.method === "POST" && !(route.body instanceof z.ZodUnknown);
  const [media, schema] =
    route.form === undefined ? ["application/json", route.body] : ["multipart/form-data", route.form];
  return {
    method: methods[route.method],
    path: route.path.replace("*}", "}"),
    ...{ summary: route.summary, tags: [route.tag] },
    ...(route.access === "open" ? {} : { security: [{ [scheme]: [] }, ...(route.access === "optional" ? [{}] : [])] }),
    request: {
      ...(params instanceof z.ZodObject && hasFields(params) ? { params } : {}),
      ...(query instanceof z.ZodObject && hasFields(query) ? { query } : {}),
      ...(hasBody || route.form !== undefined ? { body: { content: { [media]: { schema } }, required: true } } : {}),
    },
    responses: { 200: { description: route.summary, content: contentOf(route) }, default: errorOf(route.path) },
  };
}

function contentOf({ response }: Route): Record<string, { schema?: z.ZodType }> {
  if (response === "bytes") return { "application/octet-stream": {} };
  if (response === "text") return { "text/plain": {} };
  return { "application/json": { schema: response } };
}

function errorOf(path: string): NonNullable<PathConfig["responses"][string]> {
  const isOpenAi = speaksOpenAi(path);
  const content = isOpenAi
    ? { "application/json": { schema: openAiErrorSchema } }
    : { [PROBLEM_MEDIA_TYPE]: { schema: problemSchema } };
  return { description: isOpenAi ? "An OpenAI error object" : "An RFC 9457 problem", content };
}

function hasFields(schema: z.ZodObject): boolean {
  return Object.keys(schema.shape).length > 0;
}

const methods = { GET: "get", POST: "post", DELETE: "delete" } as const;
