import { toHex } from "../core/bytes.ts";
import { type Result, refuse } from "../core/result.ts";
import type { Webhook, Webhooks } from "../ledger/webhooks.ts";
import { empty } from "../protocol/scalars.ts";
import {
  newWebhookSchema,
  type WebhookView,
  webhookBody,
  webhookListSchema,
  webhookParam,
  webhookResumeBody,
  webhookSchema,
} from "../protocol/webhooks.ts";
import type { Floor } from "./order.ts";
import { present } from "./present.ts";
import { json, jsonOf, plain, type Route, route } from "./routes.ts";

/** What the gateway needs for webhooks: the dispatcher, and which addresses it would never call. */
export interface WebhookParts {
  readonly webhooks: Webhooks;
  check(url: string): Result<unknown>;
}

/** Who is told of what happens, and how far they have been. */
export function webhookRoutes(floor: Floor, { webhooks, check }: WebhookParts): Route[] {
  const shared = { ...plain, access: "admin", tag: "webhooks" } as const;
  return [
    route({
      ...{ ...shared, method: "POST", path: "/api/webhooks", body: webhookBody, response: newWebhookSchema },
      summary: "Be told of what happens from now on; the secret is shown once",
      handle: async ({ body: { url, types, account } }) => {
        const checked = check(url);
        if (!checked.ok) return checked;
        const found = account === undefined ? undefined : floor.ledger.accounts.get(account);
        if (account !== undefined && found === undefined)
          return refuse("not_found", `there is no account ${account}`, { field: "account" });
        const subject = found === undefined ? "" : toHex(found.pseudonym);
        return jsonOf(await webhooks.add({ url, types, subject }), ({ webhook, secret }) => ({
          ...viewOf(webhook),
          secret,
        }));
      },
    }),
    route({
      ...{ ...shared, method: "GET", path: "/api/webhooks", response: webhookListSchema },
      summary: "All webhooks and how far each has been",
      handle: async () => json({ data: (await webhooks.list()).map(viewOf) }),
    }),
    route({
      ...{ ...shared, method: "DELETE", path: "/api/webhooks/{id}", params: webhookParam, response: empty },
      summary: "Tell it no more",
      handle: async ({ params }) => jsonOf(await webhooks.remove(params.id), () => ({})),
    }),
    route({
      ...{
        ...shared,
        method: "POST",
        path: "/api/webhooks/{id}/resume",
        params: webhookParam,
        body: webhookResumeBody,
      },
      ...{ summary: "Go on where it stood, or again from an earlier entry", response: webhookSchema },
      handle: async ({ params, body: { fromSeq: seq, fromKept: kept } }) =>
        jsonOf(await webhooks.resume(params.id, present({ seq, kept })), viewOf),
    }),
  ];
}

function viewOf({
  id,
  url,
  types,
  subject,
  nextSeq,
  nextKept,
  state,
  failures,
  lastError,
  retryAtMs,
  createdMs,
}: Webhook): WebhookView {
  return { id, url, types: [...types], subject, nextSeq, nextKept, state, failures, lastError, retryAtMs, createdMs };
}
