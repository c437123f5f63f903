import { OpenAPIRegistry, OpenApiGeneratorV31 } from "@asteasolutions/zod-to-openapi";
import { z } from "zod";
import { openAiErrorSchema, PROBLEM_MEDIA_TYPE, problemSchema } from "../protocol/errors.ts";
import { answerHeaders, refusalHeaders } from "../protocol/headers.ts";
import { speaksOpenAi } from "./exchange.ts";
import { type Route, takesBody } from "./routes.ts";

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
  const { params, query, headers } = route;
  const hasBody = takesBody(route.method) && !(route.body instanceof z.ZodUnknown);
  const statuses = route.statuses ?? [200];
  const answers = statuses.map((status) => [
    status,
    {
      description: route.summary,
      headers: answerHeaders.extend(route.answerHeaders?.shape ?? {}),
      ...(status === 204 ? {} : { content: contentOf(route) }),
    },
  ]);
  return {
    method: methods[route.method],
    path: route.path.replace("*}", "}"),
    ...{ summary: route.summary, tags: [route.tag] },
    ...(route.access === "open" ? {} : { security: [{ [scheme]: [] }, ...(route.access === "optional" ? [{}] : [])] }),
    request: {
      ...(params instanceof z.ZodObject && hasFields(params) ? { params } : {}),
      ...(query instanceof z.ZodObject && hasFields(query) ? { query } : {}),
      ...(hasFields(headers) ? { headers } : {}),
      ...(hasBody || route.form !== undefined || route.media !== undefined
        ? { body: { content: bodyOf(route), required: true } }
        : {}),
    },
    responses: { ...Object.fromEntries(answers), default: errorOf(route.path) },
  };
}

type Content = Record<string, { schema?: z.ZodType }>;

function bodyOf({ form, body, media }: Route): Content {
  if (form !== undefined) return { "multipart/form-data": { schema: form } };
  return { "application/json": { schema: body }, ...Object.fromEntries((media ?? []).map((type) => [type, {}])) };
}

function contentOf({ response, produces }: Route): Content {
  const usual = response === "bytes" ? "application/octet-stream" : response === "text" ? "text/plain" : JSON_TYPE;
  const typed = (type: string) => (typeof response !== "string" && type.endsWith("json") ? { schema: response } : {});
  return Object.fromEntries((produces ?? [usual]).map((type) => [type, typed(type)]));
}

const JSON_TYPE = "application/json";

function errorOf(path: string): NonNullable<PathConfig["responses"][string]> {
  const isOpenAi = speaksOpenAi(path);
  const content = isOpenAi
    ? { "application/json": { schema: openAiErrorSchema } }
    : { [PROBLEM_MEDIA_TYPE]: { schema: problemSchema } };
  const headers = answerHeaders.extend(refusalHeaders.shape);
  return { description: isOpenAi ? "An OpenAI error object" : "An RFC 9457 problem", headers, content };
}

function hasFields(schema: z.ZodObject): boolean {
  return Object.keys(schema.shape).length > 0;
}

const methods = { GET: "get", POST: "post", PUT: "put", DELETE: "delete" } as const;
