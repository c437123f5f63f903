/** The roles of an organisation's members, and `project`: a key that only executes. */
export const roles = ["owner", "builder", "billing", "viewer"] as const;
export type MemberRole = (typeof roles)[number];
export type ActingRole = MemberRole | "project";

/**
 * Who may do what in an organisation: the one table, which every endpoint names a row of and a test walks through.
 * `organisation.read` covers members, projects, keys (never their secrets), limits and usage.
 */
export const capabilities = {
  "models.execute": ["owner", "builder", "project"],
  "models.build": ["owner", "builder"],
  "models.read": ["owner", "builder", "billing", "viewer", "project"],
  "receipts.read": ["owner", "builder", "billing", "viewer", "project"],
  "receipts.open": ["owner", "builder", "project"],
  "organisation.read": ["owner", "builder", "billing", "viewer"],
  "money.read": ["owner", "billing"],
  "earnings.write": ["owner", "billing"],
  "limits.write": ["owner", "billing"],
  "projects.write": ["owner", "builder"],
  "keys.write": ["owner", "builder"],
  "keys.own": ["owner", "builder", "billing", "viewer"],
  "members.write": ["owner"],
  "organisation.write": ["owner"],
  "audit.read": ["owner"],
} as const satisfies Record<string, readonly ActingRole[]>;

export type Capability = keyof typeof capabilities;

export function may(role: ActingRole | undefined, capability: Capability): boolean {
  const allowed: readonly ActingRole[] = capabilities[capability];
  return role !== undefined && allowed.includes(role);
}
