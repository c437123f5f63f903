import { refuse } from "../core/result.ts";
import {
  contributionListSchema,
  contributionParam,
  contributionQuery,
  contributionSchema,
  contributorListSchema,
  datanetListSchema,
  datanetParam,
  datanetSchema,
  diffQuery,
  diffSchema,
  recordListSchema,
  recordQuery,
  reviewSchema,
  versionListSchema,
} from "../protocol/datanets.ts";
import type { DatanetDirectory } from "./ports.ts";
import { json, jsonOf, plain, type Route, route } from "./routes.ts";

/** Datanets: what is in them, from whom, how they changed, and the owner's review. */
export function datanetRoutes(datanets: DatanetDirectory): Route[] {
  const listOf = (data: unknown) => ({ data });
  const shared = { ...plain, tag: "datanets", access: "open", method: "GET", params: datanetParam } as const;
  return [
    route({
      ...{ ...shared, params: plain.params, path: "/api/datanets", response: datanetListSchema },
      summary: "All datanets",
      handle: async () => json(listOf(await datanets.list())),
    }),
    route({
      ...{ ...shared, path: "/api/datanets/{name}", response: datanetSchema },
      summary: "One datanet",
      handle: async ({ params }) => jsonOf(await datanets.get(params.name)),
    }),
    route({
      ...{ ...shared, path: "/api/datanets/{name}/versions", response: versionListSchema },
      summary: "Its immutable versions, newest first",
      handle: async ({ params }) => jsonOf(await datanets.versions(params.name), listOf),
    }),
    route({
      ...{ ...shared, path: "/api/datanets/{name}/diff", response: diffSchema, query: diffQuery },
      summary: "What changed between two versions",
      handle: async ({ params, query }) => jsonOf(await datanets.diff(params.name, query.from, query.to)),
    }),
    route({
      ...{ ...shared, path: "/api/datanets/{name}/records", response: recordListSchema, query: recordQuery },
      summary: "Its records; `q` searches them",
      handle: async ({ params, query }) => {
        const { q, limit, offset } = query;
        return jsonOf(await datanets.records(params.name, { limit, offset, ...(q === undefined ? {} : { q }) }));
      },
    }),
    route({
      ...{ ...shared, path: "/api/datanets/{name}/contributors", response: contributorListSchema },
      summary: "Who contributed, and what they have been credited",
      handle: async ({ params }) => jsonOf(await datanets.contributors(params.name), listOf),
    }),
    route({
      ...{
        ...shared,
        path: "/api/datanets/{name}/contributions",
        response: contributionListSchema,
        query: contributionQuery,
      },
      summary: "Its contributions and what was decided on them",
      handle: async ({ params, query }) => {
        const { state, limit } = query;
        return jsonOf(await datanets.contributions(params.name, { limit, ...(state && { state }) }), listOf);
      },
    }),
    route({
      ...{ ...shared, method: "POST", path: "/api/datanets/{name}/contributions/{id}/review", access: "admin" },
      ...{ params: contributionParam, body: reviewSchema, response: contributionSchema },
      summary: "Approve or reject an open contribution, with a reason",
      handle: async ({ params, body, key }) => {
        if (key === undefined) return refuse("unauthenticated", "a review needs a key");
        return jsonOf(await datanets.review(params.name, params.id, { ...body, by: key.account }));
      },
    }),
  ];
}
