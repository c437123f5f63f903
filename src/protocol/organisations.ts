import { z } from "zod";
import { limitsSchema, newKeySchema } from "./accounts.ts";
import { roles } from "./capabilities.ts";
import { limit, nano, timeMs } from "./scalars.ts";

/** Organisations, their members, projects, keys, usage and audit log. */
const name = z.string().trim().min(1).max(120);
const role = z.enum(roles);
const idOf = (kind: "org" | "mem" | "prj" | "key") =>
  z.string().regex(new RegExp(`^${kind}_[0-9a-f]{24}$`), `${kind}_ and 24 hex digits`);
const organisationId = z.string().regex(/^(?:me|org_[0-9a-f]{24})$/, "org_ and 24 hex digits, or me");

export const memberSchema = z.object({
  ...{ id: z.string(), name: z.string(), role, limits: limitsSchema, createdMs: timeMs },
  state: z.enum(["invited", "active", "removed"]),
});
export const projectSchema = z.object({
  ...{ id: z.string(), name: z.string(), limits: limitsSchema, createdMs: timeMs },
  state: z.enum(["active", "archived"]),
});
export const organisationSchema = z.object({
  ...{ id: z.string(), name: z.string(), account: z.string(), limits: limitsSchema, createdMs: timeMs },
  ...{ members: z.array(memberSchema), projects: z.array(projectSchema) },
});
export type OrganisationView = z.infer<typeof organisationSchema>;
export const organisationListSchema = z.object({ data: z.array(organisationSchema) });
export const newOrganisationSchema = newKeySchema.extend({ organisation: organisationSchema });
export const invitationSchema = z.object({
  member: memberSchema,
  token: z.string().meta({ description: "shown this once; whoever accepts it becomes the member" }),
});

export const organisationBody = z.strictObject({ name, owner: name.default("owner") });
export const renameBody = z.strictObject({ name });
export const inviteBody = z.strictObject({ name, role, limits: limitsSchema.optional() });
export const acceptBody = z.strictObject({ token: z.string().regex(/^inv_[0-9a-f]{48}$/, "inv_ and 48 hex digits") });
export const memberBody = z
  .strictObject({ name: name.optional(), role: role.optional() })
  .refine((body) => body.name !== undefined || body.role !== undefined, "a name or a role");
export const transferBody = z.strictObject({ member: idOf("mem") });
export const projectBody = z.strictObject({ name, limits: limitsSchema.optional() });
export const projectKeyBody = z.strictObject({ name, project: idOf("prj"), limits: limitsSchema.optional() });
export const ownKeyBody = z.strictObject({ name, limits: limitsSchema.optional() });

export const organisationParam = z.object({ id: organisationId });
export const memberParam = z.object({ id: organisationId, member: idOf("mem") });
export const projectParam = z.object({ id: organisationId, project: idOf("prj") });
export const organisationKeyParam = z.object({ id: organisationId, key: idOf("key") });

/** What the keys, projects, members and the whole of an organisation use now, beside what they may. */
export const usageSchema = z.object({
  data: z.array(
    z.object({
      ...{ id: z.string(), what: z.string(), limits: limitsSchema },
      ...{ nanoToday: nano.meta({ description: "spent or held on this UTC day" }), inFlight: z.number().int() },
    }),
  ),
});
export const spendingQuery = z.object({ from: z.iso.date(), until: z.iso.date() });
export const spendingSchema = z.object({
  data: z.array(
    z.object({
      ...{ day: z.string(), key: z.string(), member: z.string(), project: z.string() },
      ...{ nano, receipts: z.number().int(), tokens: z.number().int() },
    }),
  ),
});

export const auditQuery = z.object({ after: z.coerce.number().int().min(0).default(0), limit });
export const auditSchema = z.object({
  data: z.array(
    z.object({
      ...{ log: z.string(), number: z.number().int(), timeMs, request: z.string(), key: z.string() },
      ...{ member: z.string(), action: z.string(), target: z.string(), before: z.string(), after: z.string() },
      ...{ previous: z.string(), hash: z.string() },
    }),
  ),
});
