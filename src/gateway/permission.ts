import { ok, type Result, refuse } from "../core/result.ts";
import { NODE_LOG } from "../ledger/audit.ts";
import type { ApiKey } from "../ledger/ledger.ts";
import type { Organisations } from "../ledger/organisations.ts";
import { capabilities, may } from "../protocol/capabilities.ts";
import type { Refused } from "./refused.ts";
import type { RawCall, Reply, Route } from "./routes.ts";

/** A key that acts in an organisation may do what its role may, and nothing that no role is named for. Other keys are the door's. */
export function permit(
  key: ApiKey | undefined,
  route: Pick<Route, "needs" | "access">,
  organisations: Pick<Organisations, "roleOf"> | undefined,
): Result<void> {
  if (key?.scope === undefined) return ok(undefined);
  const { needs } = route;
  if (needs === undefined) return refuse("forbidden", "this is not for the keys of an organisation");
  const role = organisations?.roleOf(key);
  if (may(role, needs)) return ok(undefined);
  const allowed = capabilities[needs].join(", ");
  return refuse("forbidden", `this needs the role of ${allowed}; the key acts as ${role ?? "nobody"}`);
}

/** What the owner of a node does to it. */
export function isAudited({ access, method, audit }: Pick<Route, "access" | "method" | "audit">): boolean {
  return access === "admin" && method !== "GET" && audit !== "none";
}

/** Notes the act before it is done: if the node dies in between, the log tells of something that may not have happened, and never the other way round. */
export async function runAudited(
  route: Route,
  call: RawCall,
  organisations: Pick<Organisations, "note">,
): Promise<Result<Reply, Refused>> {
  const { key, exchange, params, rawBody } = call;
  if (key === undefined) return route.run(call);
  const actor = { key, request: exchange.requestId };
  const act = { action: `${route.method} ${route.path}`, target: Object.values(params).join(" ") };
  const noted = await organisations.note(actor, NODE_LOG, { ...act, after: bodyOf(route, rawBody, call.body) });
  if (!noted.ok) return noted;
  const replied = await route.run(call);
  if (!replied.ok) await organisations.note(actor, NODE_LOG, { ...act, after: { refused: replied.error.code } });
  return replied;
}

const BODY_BYTES_MAX = 4_096;

function bodyOf({ audit }: Route, rawBody: Uint8Array, body: unknown): object {
  if (audit === "bodiless" || rawBody.length === 0) return {};
  return rawBody.length > BODY_BYTES_MAX ? { bytes: rawBody.length } : { body };
}
