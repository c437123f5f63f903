import type { Member, Organisation, Organisations } from "../ledger/organisations.ts";
import { limitsSchema } from "../protocol/accounts.ts";
import {
  acceptBody,
  auditQuery,
  auditSchema,
  invitationSchema,
  inviteBody,
  memberBody,
  memberParam,
  memberSchema,
  newOrganisationSchema,
  type OrganisationView,
  organisationBody,
  organisationListSchema,
  organisationParam,
  organisationSchema,
  projectBody,
  projectParam,
  projectSchema,
  renameBody,
  transferBody,
} from "../protocol/organisations.ts";
import type { Floor } from "./order.ts";
import { actorOf, on, own, sees } from "./organisationCall.ts";
import { organisationKeyRoutes } from "./organisationKeyRoutes.ts";
import { present } from "./present.ts";
import { json, jsonOf, plain, type Route, route } from "./routes.ts";

/** Organisations: made by the node's owner, then run by their own members, each as far as the table of capabilities lets the role. */
export function organisationRoutes(floor: Floor, book: Organisations): Route[] {
  return [
    ...ownRoutes(book),
    ...memberRoutes(book),
    ...projectRoutes(book),
    ...organisationKeyRoutes(floor, book),
    ...auditRoutes(book),
  ];
}

const shared = { ...plain, access: "key", tag: "organisations" } as const;
const base = "/api/organisations/{id}";

function ownRoutes(book: Organisations): Route[] {
  return [
    route({
      ...{ ...shared, method: "POST", path: "/api/organisations", access: "admin", audit: "none" },
      ...{ body: organisationBody, response: newOrganisationSchema },
      summary: "Open an organisation with its account, its first owner and that owner's key",
      handle: async (call) =>
        jsonOf(await book.create(actorOf(call), call.body), ({ organisation, key, secret }) => ({
          ...{ organisation: viewOf(organisation), key, secret },
        })),
    }),
    route({
      ...{ ...shared, method: "GET", path: "/api/organisations", needs: "organisation.read" },
      ...{ summary: "The key's own organisation; an admin sees all", response: organisationListSchema },
      handle: ({ key }) =>
        json({
          data: book
            .list()
            .filter(({ id }) => sees(key, id))
            .map(viewOf),
        }),
    }),
    route({
      ...{ ...shared, method: "GET", path: base, params: organisationParam, needs: "organisation.read" },
      ...{ summary: "An organisation, its members and projects; `me` is the key's own", response: organisationSchema },
      handle: ({ params, key }) => jsonOf(own(book, key, params.id), viewOf),
    }),
    route({
      ...{ ...shared, method: "POST", path: base, params: organisationParam, needs: "organisation.write" },
      ...{ summary: "Give it another name", body: renameBody, response: organisationSchema },
      handle: (call) => on(book, call, async (id) => jsonOf(await book.change(actorOf(call), id, call.body), viewOf)),
    }),
    route({
      ...{ ...shared, method: "POST", path: `${base}/limits`, params: organisationParam, needs: "limits.write" },
      ...{ summary: "The limits of the whole organisation, in place of those it has", body: limitsSchema },
      response: organisationSchema,
      handle: (call) =>
        on(book, call, async (id) =>
          jsonOf(await book.change(actorOf(call), id, { limits: present(call.body) }), viewOf),
        ),
    }),
    route({
      ...{
        ...shared,
        method: "POST",
        path: `${base}/transfer`,
        params: organisationParam,
        needs: "organisation.write",
      },
      ...{ summary: "Make a member the owner; the owner who hands over becomes a builder", body: transferBody },
      response: organisationSchema,
      handle: (call) =>
        on(book, call, async (id) => jsonOf(await book.transfer(actorOf(call), id, call.body.member), viewOf)),
    }),
  ];
}

function memberRoutes(book: Organisations): Route[] {
  const one = { ...shared, params: memberParam, needs: "members.write", response: memberSchema } as const;
  return [
    route({
      ...{ ...shared, method: "POST", path: `${base}/members`, params: organisationParam, needs: "members.write" },
      ...{ summary: "Invite somebody; the token is shown this once", body: inviteBody, response: invitationSchema },
      handle: (call) => on(book, call, async (id) => jsonOf(await book.invite(actorOf(call), id, limited(call.body)))),
    }),
    route({
      ...{ ...shared, method: "POST", path: "/api/invitations/accept", access: "open", body: acceptBody },
      ...{ summary: "Become the member who was invited, with a key of one's own", response: newOrganisationSchema },
      handle: async ({ body, exchange }) =>
        jsonOf(await book.accept(body.token, exchange.requestId), ({ organisation, key, secret }) => ({
          ...{ organisation: viewOf(organisation), key, secret },
        })),
    }),
    route({
      ...{ ...one, method: "POST", path: `${base}/members/{member}`, body: memberBody },
      summary: "Another name or role for a member",
      handle: (call) =>
        on(book, call, async (id) =>
          jsonOf(await book.changeMember(actorOf(call), id, call.params.member, present(call.body))),
        ),
    }),
    route({
      ...{ ...one, method: "POST", path: `${base}/members/{member}/limits`, needs: "limits.write", body: limitsSchema },
      summary: "The limits of a member over all of their keys, in place of those they have",
      handle: (call) =>
        on(book, call, async (id) =>
          jsonOf(await book.changeMember(actorOf(call), id, call.params.member, { limits: present(call.body) })),
        ),
    }),
    route({
      ...{ ...one, method: "DELETE", path: `${base}/members/{member}` },
      summary: "Remove a member; every key of theirs stops at once",
      handle: (call) =>
        on(book, call, async (id) => jsonOf(await book.removeMember(actorOf(call), id, call.params.member))),
    }),
  ];
}

function projectRoutes(book: Organisations): Route[] {
  const one = { ...shared, params: projectParam, needs: "projects.write", response: projectSchema } as const;
  return [
    route({
      ...{ ...shared, method: "POST", path: `${base}/projects`, params: organisationParam, needs: "projects.write" },
      ...{ summary: "Begin a project, for keys and limits of its own", body: projectBody, response: projectSchema },
      handle: (call) =>
        on(book, call, async (id) => jsonOf(await book.createProject(actorOf(call), id, limited(call.body)))),
    }),
    route({
      ...{ ...one, method: "POST", path: `${base}/projects/{project}`, body: renameBody },
      summary: "Another name for a project",
      handle: (call) =>
        on(book, call, async (id) =>
          jsonOf(await book.changeProject(actorOf(call), id, call.params.project, call.body)),
        ),
    }),
    route({
      ...{
        ...one,
        method: "POST",
        path: `${base}/projects/{project}/limits`,
        needs: "limits.write",
        body: limitsSchema,
      },
      summary: "The limits of a project, in place of those it has",
      handle: (call) =>
        on(book, call, async (id) =>
          jsonOf(await book.changeProject(actorOf(call), id, call.params.project, { limits: present(call.body) })),
        ),
    }),
    route({
      ...{ ...one, method: "DELETE", path: `${base}/projects/{project}` },
      summary: "Archive a project; its keys stop at once",
      handle: (call) =>
        on(book, call, async (id) => jsonOf(await book.archiveProject(actorOf(call), id, call.params.project))),
    }),
  ];
}

function auditRoutes(book: Organisations): Route[] {
  return [
    route({
      ...{ ...shared, method: "GET", path: `${base}/audit`, params: organisationParam, needs: "audit.read" },
      ...{ summary: "Every administrative act, oldest first, each chained to the one before", query: auditQuery },
      response: auditSchema,
      handle: (call) => on(book, call, async (id) => json({ data: await book.audit(id, call.query) })),
    }),
    route({
      ...{ ...shared, method: "GET", path: "/api/audit", access: "admin", query: auditQuery, response: auditSchema },
      summary: "What was done to the node itself, oldest first",
      handle: async ({ query }) => json({ data: await book.audit("node", query) }),
    }),
  ];
}

function limited<T extends { readonly limits?: object | undefined }>({ limits, ...rest }: T) {
  return { ...rest, ...(limits === undefined ? {} : { limits: present(limits) }) };
}

function viewOf({ members, projects, limits, ...rest }: Organisation): OrganisationView {
  return { ...rest, limits, members: members.map(memberView), projects: [...projects] };
}

function memberView({ invitation: _, ...member }: Member): OrganisationView["members"][number] {
  return member;
}
