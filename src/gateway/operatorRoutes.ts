import { attachOperatorSchema, detachedSchema } from "../protocol/operators.ts";
import { operatorParam, operatorSchema } from "../protocol/service.ts";
import type { OperatorDesk } from "./operatorDesk.ts";
import { json, jsonOf, plain, type Route, route } from "./routes.ts";

export function operatorRoutes(desk: OperatorDesk): Route[] {
  return [
    route({
      ...{ ...plain, method: "POST", path: "/api/operators", tag: "service", access: "admin" },
      ...{ body: attachOperatorSchema, response: operatorSchema },
      statuses: [201],
      summary: "Attach an OpenAI-compatible server as an operator, with adapters where it is vLLM",
      handle: async ({ body }) => jsonOf(await desk.attach(body)),
    }),
    route({
      ...{ ...plain, method: "DELETE", path: "/api/operators/{name}", tag: "service", access: "admin" },
      ...{ params: operatorParam, response: detachedSchema },
      summary: "Detach an operator that was attached",
      handle: async ({ params }) => {
        const detached = await desk.detach(params.name);
        return detached.ok ? json({ name: params.name, detached: true }) : detached;
      },
    }),
  ];
}
