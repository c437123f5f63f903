import { type Result, refuse } from "../core/result.ts";
import {
  type Annotate,
  type AnnotationView,
  annotateSchema,
  annotationListSchema,
  annotationParam,
  annotationQuery,
  annotationSchema,
} from "../protocol/annotations.ts";
import { datanetParam, reviewSchema } from "../protocol/datanets.ts";
import { jsonOf, plain, type Route, route } from "./routes.ts";

/** What people add to a datanet's records as context. */
export interface Annotations {
  /** Counts from the next version on, once it is approved. Refuses `already_exists` what was said before. */
  annotate(datanet: string, draft: Annotate): Promise<Result<AnnotationView>>;
  list(datanet: string, state: AnnotationView["state"] | undefined): Promise<Result<readonly AnnotationView[]>>;
  /** `by` is the account that decided. */
  review(
    datanet: string,
    id: string,
    action: { readonly decision: "approve" | "reject"; readonly reason: string; readonly by: string },
  ): Promise<Result<AnnotationView>>;
}

export function annotationRoutes(annotations: Annotations): Route[] {
  const path = "/api/datanets/{name}/annotations";
  const shared = { ...plain, tag: "datanets", params: datanetParam } as const;
  return [
    route({
      ...{ ...shared, method: "GET", access: "open", path, query: annotationQuery, response: annotationListSchema },
      summary: "What was added to its records, and what was decided on it",
      handle: async ({ params, query }) =>
        jsonOf(await annotations.list(params.name, query.state), (data) => ({ data })),
    }),
    route({
      ...{ ...shared, method: "POST", access: "admin", path, body: annotateSchema, response: annotationSchema },
      summary: "Add words to a record, or a link from another record, by which it is found from the next version on",
      statuses: [201],
      handle: async ({ params, body }) => jsonOf(await annotations.annotate(params.name, body)),
    }),
    route({
      ...{ ...shared, method: "POST", access: "admin", path: `${path}/{id}/review`, params: annotationParam },
      ...{ body: reviewSchema, response: annotationSchema },
      summary: "Approve or reject an open annotation, with a reason",
      handle: async ({ params, body, key }) => {
        if (key === undefined) return refuse("unauthenticated", "a review needs a key");
        return jsonOf(await annotations.review(params.name, params.id, { ...body, by: key.account }));
      },
    }),
  ];
}
