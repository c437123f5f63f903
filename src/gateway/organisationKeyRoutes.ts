import type { ApiKey } from "../ledger/ledger.ts";
import type { LimitScope, Organisation, Organisations } from "../ledger/organisations.ts";
import { keyListSchema, keySchema, limitsSchema, newKeySchema } from "../protocol/accounts.ts";
import {
  organisationKeyParam,
  organisationParam,
  ownKeyBody,
  projectKeyBody,
  spendingQuery,
  spendingSchema,
  usageSchema,
} from "../protocol/organisations.ts";
import { DAY_MS } from "./limits.ts";
import type { Floor } from "./order.ts";
import { actorOf, on, own } from "./organisationCall.ts";
import { present } from "./present.ts";
import { json, jsonOf, plain, type Route, route } from "./routes.ts";

const shared = { ...plain, access: "key", tag: "organisations" } as const;
const base = "/api/organisations/{id}";

/** The keys of an organisation, and what they spend. */
export function organisationKeyRoutes(floor: Floor, book: Organisations): Route[] {
  const { accounts } = floor.ledger;
  const ofOne = { ...shared, params: organisationKeyParam } as const;
  return [
    route({
      ...{ ...shared, method: "GET", path: `${base}/keys`, params: organisationParam, needs: "organisation.read" },
      ...{ summary: "The organisation's keys, never their secrets", response: keyListSchema },
      handle: (call) => on(book, call, async (id) => json({ data: accounts.keys(book.get(id)?.account ?? "none") })),
    }),
    route({
      ...{ ...shared, method: "POST", path: `${base}/keys`, params: organisationParam, needs: "keys.write" },
      ...{
        summary: "A key of a project, which executes and nothing else",
        body: projectKeyBody,
        response: newKeySchema,
      },
      handle: (call) =>
        on(book, call, async (id) => {
          const { limits, ...rest } = call.body;
          return jsonOf(await book.createKey(actorOf(call), id, { ...rest, ...limitsOf(limits) }));
        }),
    }),
    route({
      ...{ ...shared, method: "POST", path: `${base}/keys/own`, params: organisationParam, needs: "keys.own" },
      ...{ summary: "Another key of one's own, which acts in one's role", body: ownKeyBody, response: newKeySchema },
      handle: (call) =>
        on(book, call, async (id) => {
          const { name, limits } = call.body;
          return jsonOf(await book.createKey(actorOf(call), id, { name, ...limitsOf(limits) }));
        }),
    }),
    route({
      ...{ ...ofOne, method: "POST", path: `${base}/keys/{key}/rotate`, needs: "keys.own", response: newKeySchema },
      summary: "Another secret for the same key; the old one stops at once",
      handle: (call) => on(book, call, async (id) => jsonOf(await book.rotateKey(actorOf(call), id, call.params.key))),
    }),
    route({
      ...{ ...ofOne, method: "POST", path: `${base}/keys/{key}/limits`, needs: "limits.write", body: limitsSchema },
      ...{ summary: "The limits of a key, in place of those it has", response: keySchema },
      handle: (call) =>
        on(book, call, async (id) =>
          jsonOf(await book.limitKey(actorOf(call), id, call.params.key, present(call.body))),
        ),
    }),
    route({
      ...{ ...ofOne, method: "DELETE", path: `${base}/keys/{key}`, needs: "keys.own", response: keySchema },
      summary: "Revoke a key, at once and for good",
      handle: (call) => on(book, call, async (id) => jsonOf(await book.revokeKey(actorOf(call), id, call.params.key))),
    }),
    route({
      ...{ ...shared, method: "GET", path: `${base}/usage`, params: organisationParam, needs: "organisation.read" },
      ...{ summary: "What the organisation and each of its parts use now, beside their limits", response: usageSchema },
      handle: ({ key, params }) => jsonOf(own(book, key, params.id), (found) => usageOf(floor, book, found)),
    }),
    route({
      ...{ ...shared, method: "GET", path: `${base}/spending`, params: organisationParam, needs: "money.read" },
      ...{ summary: "What each key spent on each day", query: spendingQuery, response: spendingSchema },
      handle: (call) =>
        on(book, call, async (id) => {
          const [from, until] = [dayOf(call.query.from), dayOf(call.query.until)];
          const keys = new Map(accounts.keys(book.get(id)?.account ?? "none").map((key) => [key.id, key]));
          const rows = await book.spending(id, from, until);
          const data = rows.map(({ day, ...rest }) => ({ day: dateOf(day), ...rest, ...placeOf(keys.get(rest.key)) }));
          return json({ data });
        }),
    }),
  ];
}

function usageOf({ meters, world, ledger }: Floor, book: Organisations, { account }: Organisation): object {
  const nowMs = world.nowMs();
  const scopes = new Map<string, LimitScope>();
  const live = ledger.accounts.keys(account).filter((key) => key.revokedMs === undefined);
  for (const key of live) for (const scope of book.scopesOf(key)) scopes.set(scope.id, scope);
  const data = [...scopes.values()].map((scope) => {
    const { nano, inFlight } = meters.usage(scope, nowMs);
    return { id: scope.id, what: `${scope.kind} ${scope.name}`, limits: scope.limits, nanoToday: nano, inFlight };
  });
  return { data };
}

function limitsOf(limits: object | undefined) {
  return limits === undefined ? {} : { limits: present(limits) };
}

function placeOf(key: ApiKey | undefined): { readonly member: string; readonly project: string } {
  return { member: key?.scope?.member ?? "", project: key?.scope?.project ?? "" };
}

function dayOf(date: string): number {
  return Math.floor(Date.parse(date) / DAY_MS);
}

function dateOf(day: number): string {
  return new Date(day * DAY_MS).toISOString().slice(0, 10);
}
