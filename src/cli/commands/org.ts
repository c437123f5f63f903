import { z } from "zod";
import { formatOpen } from "../../core/money.ts";
import { roles } from "../../protocol/capabilities.ts";
import {
  acceptBody,
  invitationSchema,
  memberSchema,
  newOrganisationSchema,
  type OrganisationView,
  organisationListSchema,
  organisationParam,
  organisationSchema,
  projectSchema,
} from "../../protocol/organisations.ts";
import type { Output } from "../output.ts";
import { type CliCommand, command } from "./command.ts";
import { wholeText } from "./inputs.ts";
import { describeLimits, orgOption, personName, targetOf } from "./orgInputs.ts";
import { orgKeyCommands } from "./orgKeys.ts";

const org = organisationParam.shape.id.default("me");
const member = z.string().regex(/^mem_[0-9a-f]{24}$/, "a member id, mem_ and 24 hex digits");
const project = z.string().regex(/^prj_[0-9a-f]{24}$/, "a project id, prj_ and 24 hex digits");

const create = command({
  path: "org create",
  summary: "Open an organisation with its account, its owner and that owner's key",
  arguments: [["<name>", "the customer's"]],
  options: [["--owner <name>", "who owns it (default owner)"]],
  examples: ["openledger org create acme --owner Ann"],
  input: z.object({ name: personName, owner: personName.default("owner") }),
  run: async (body, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const made = await client.value.post("/api/organisations", body, newOrganisationSchema);
    if (made.ok) {
      const { organisation, secret } = made.value;
      output.line(`${organisation.id} (${organisation.name}) spends ${organisation.account}`);
      output.line(`  its owner's key, shown this once: ${secret}`);
      output.line(`  give it credit: openledger account credit ${organisation.account} 1`);
    }
    return made;
  },
});

const list = command({
  path: "org list",
  summary: "The key's own organisation; with an admin key, all",
  examples: ["openledger org list"],
  input: z.object({}),
  run: async (_input, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get("/api/organisations", organisationListSchema);
    if (found.ok)
      output.table(
        found.value.data.map(({ id, name, account, members, projects }) => ({
          ...{ id, name, account, members: members.filter(({ state }) => state === "active").length },
          projects: projects.filter(({ state }) => state === "active").length,
        })),
        "open one: openledger org create NAME --owner PERSON",
      );
    return found;
  },
});

const show = command({
  path: "org show",
  summary: "An organisation, its members, projects and limits",
  arguments: [["[org]", "the key's own where it is left out"]],
  examples: ["openledger org show", "openledger org show org_…"],
  input: z.object({ org }),
  run: async ({ org: id }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get(`/api/organisations/${id}`, organisationSchema);
    if (found.ok) showOrganisation(found.value, output);
    return found;
  },
});

const rename = command({
  path: "org rename",
  summary: "Give an organisation another name",
  arguments: [["<name>", "the new one"]],
  options: [orgOption],
  examples: ["openledger org rename 'Acme Inc.'"],
  input: z.object({ name: personName, org }),
  run: async ({ name, org: id }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const changed = await client.value.post(`/api/organisations/${id}`, { name }, organisationSchema);
    if (changed.ok) output.line(`${changed.value.id} is now ${changed.value.name}`);
    return changed;
  },
});

const invite = command({
  path: "org invite",
  summary: "Invite somebody as owner, builder, billing or viewer",
  arguments: [
    ["<name>", "whom"],
    ["<role>", roles.join(", ")],
  ],
  options: [orgOption],
  examples: ["openledger org invite Ben builder"],
  input: z.object({ name: personName, role: z.enum(roles), org }),
  run: async ({ org: id, ...body }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const made = await client.value.post(`/api/organisations/${id}/members`, body, invitationSchema);
    if (made.ok) {
      output.line(`${made.value.member.id} (${made.value.member.name}) is invited for a week, with the token`);
      output.line(made.value.token);
      output.line("  they join with: openledger org join TOKEN");
    }
    return made;
  },
});

const join = command({
  path: "org join",
  summary: "Accept an invitation; prints the new member's own key",
  arguments: [["<token>", "as it was handed over"]],
  examples: ["openledger org join inv_… --url https://ledger.example.org"],
  input: z.object({ token: acceptBody.shape.token }),
  run: async (body, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const joined = await client.value.post("/api/invitations/accept", body, newOrganisationSchema);
    if (joined.ok) {
      output.line(joined.value.secret);
      output.line(`  your key in ${joined.value.organisation.name}; it is not shown again`);
    }
    return joined;
  },
});

const role = command({
  path: "org role",
  summary: "Give a member another role",
  arguments: [
    ["<member>", "mem_ and 24 hex digits"],
    ["<role>", roles.join(", ")],
  ],
  options: [orgOption],
  examples: ["openledger org role mem_… billing"],
  input: z.object({ member, role: z.enum(roles), org }),
  run: async ({ member: who, role: as, org: id }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const changed = await client.value.post(`/api/organisations/${id}/members/${who}`, { role: as }, memberSchema);
    if (changed.ok) output.line(`${changed.value.name} is ${changed.value.role}`);
    return changed;
  },
});

const remove = command({
  path: "org remove",
  summary: "Remove a member, or archive a project; all keys of it stop at once",
  arguments: [["<id>", "mem_… or prj_…"]],
  options: [orgOption],
  examples: ["openledger org remove mem_…", "openledger org remove prj_…"],
  input: z.object({ id: z.union([member, project]), org }),
  run: async ({ id: what, org: id }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const schema = what.startsWith("mem_") ? memberSchema : projectSchema;
    const gone = await client.value.delete<z.infer<typeof memberSchema> | z.infer<typeof projectSchema>>(
      `/api/organisations/${id}/${targetOf(what)}`,
      schema,
    );
    if (gone.ok) output.line(`${gone.value.name} is ${gone.value.state}; every key of it has stopped`);
    return gone;
  },
});

const transfer = command({
  path: "org transfer",
  summary: "Make a member the owner; the owner who hands over becomes a builder",
  arguments: [["<member>", "mem_ and 24 hex digits"]],
  options: [orgOption],
  examples: ["openledger org transfer mem_…"],
  input: z.object({ member, org }),
  run: async ({ member: to, org: id }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const changed = await client.value.post(`/api/organisations/${id}/transfer`, { member: to }, organisationSchema);
    if (changed.ok) showOrganisation(changed.value, output);
    return changed;
  },
});

const projectCommand = command({
  path: "org project",
  summary: "Begin a project, for keys and limits of its own",
  arguments: [["<name>", "what it is"]],
  options: [orgOption],
  examples: ["openledger org project search"],
  input: z.object({ name: wholeText.max(120), org }),
  run: async ({ name, org: id }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const made = await client.value.post(`/api/organisations/${id}/projects`, { name }, projectSchema);
    if (made.ok) {
      output.line(`${made.value.id} (${made.value.name})`);
      output.line(`  a key for it: openledger org key prod --project ${made.value.id}`);
    }
    return made;
  },
});

export const orgCommands: readonly CliCommand[] = [
  ...[create, list, show, rename, invite, join, role, remove, transfer, projectCommand],
  ...orgKeyCommands,
];

function showOrganisation({ id, name, account, limits, members, projects }: OrganisationView, output: Output): void {
  const most = describeLimits(limits, formatOpen);
  output.line(`${id} (${name}) spends ${account}${most === "" ? "" : `, ${most}`}`);
  output.table(
    members.map((one) => ({
      ...{ member: one.id, name: one.name, role: one.role, state: one.state },
      limits: describeLimits(one.limits, formatOpen),
    })),
  );
  if (projects.length === 0) return;
  output.table(
    projects.map((one) => ({
      ...{ project: one.id, name: one.name, state: one.state, limits: describeLimits(one.limits, formatOpen) },
    })),
  );
}
