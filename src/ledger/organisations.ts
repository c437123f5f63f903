import type { Result } from "../core/result.ts";
import type { AuditRow } from "./audit.ts";
import type { ApiKey, KeyLimits, Spending } from "./ledger.ts";

export type Role = "owner" | "builder" | "billing" | "viewer";

/** A customer: one account of the ledger, the people who may act for it, and the projects that spend it. */
export interface Organisation {
  /** `org_` and 24 hex digits. */
  readonly id: string;
  readonly name: string;
  /** Whose money it spends, and no other organisation. */
  readonly account: string;
  readonly limits: KeyLimits;
  readonly members: readonly Member[];
  readonly projects: readonly Project[];
  readonly createdMs: number;
}

export interface Member {
  /** `mem_` and 24 hex digits. */
  readonly id: string;
  readonly name: string;
  readonly role: Role;
  readonly limits: KeyLimits;
  /** Who was removed stays, so that keys, spending and the audit log can name them. */
  readonly state: "invited" | "active" | "removed";
  readonly createdMs: number;
  /** The keyed hash of the invitation, in hex, and until when it can be accepted. */
  readonly invitation?: { readonly hash: string; readonly untilMs: number };
}

export interface Project {
  /** `prj_` and 24 hex digits. */
  readonly id: string;
  readonly name: string;
  readonly limits: KeyLimits;
  readonly state: "active" | "archived";
  readonly createdMs: number;
}

/** Who does something, and in which request: both stand in the audit log. */
export interface Actor {
  readonly key: ApiKey;
  readonly request: string;
}

export interface IssuedKey {
  readonly key: ApiKey;
  /** Shown this once. */
  readonly secret: string;
}

/** Something whose limits a request counts against. */
export interface LimitScope {
  readonly id: string;
  readonly kind: "key" | "project" | "member" | "organisation";
  readonly name: string;
  readonly limits: KeyLimits;
}

type Written<T> = Promise<Result<T>>;

/**
 * Organisations behind the ledger's one writer: what is changed and its line in the audit log are durable together or not at all.
 * Who may do what by role is the door's to check, from the table of capabilities; what follows from who somebody is (the last owner, somebody else's key) is refused here.
 */
export interface Organisations {
  create(actor: Actor, input: { readonly name: string; readonly owner: string }): Written<NewOrganisation>;
  list(): readonly Organisation[];
  get(id: string): Organisation | undefined;
  /** Of an account that an organisation has. */
  ofAccount(account: string): Organisation | undefined;
  /** The role in which a key acts; `project` for a project's key; undefined once its member was removed. */
  roleOf(key: ApiKey): Role | "project" | undefined;
  /** What a key's requests count against, narrowest first. */
  scopesOf(key: ApiKey): readonly LimitScope[];
  /** A new name or new limits. */
  change(actor: Actor, id: string, input: Change): Written<Organisation>;
  /** The token is shown this once; whoever accepts it gets a key that nobody else saw. */
  invite(
    actor: Actor,
    id: string,
    input: { readonly name: string; readonly role: Role; readonly limits?: KeyLimits },
  ): Written<{ readonly member: Member; readonly token: string }>;
  accept(token: string, request: string): Written<{ readonly organisation: Organisation } & IssuedKey>;
  changeMember(actor: Actor, id: string, member: string, input: Change & { readonly role?: Role }): Written<Member>;
  /** Every key of theirs stops at once. Refuses for the last owner. */
  removeMember(actor: Actor, id: string, member: string): Written<Member>;
  /** `member` becomes an owner; the owner who hands over becomes a builder. */
  transfer(actor: Actor, id: string, member: string): Written<Organisation>;
  createProject(
    actor: Actor,
    id: string,
    input: { readonly name: string; readonly limits?: KeyLimits },
  ): Written<Project>;
  changeProject(actor: Actor, id: string, project: string, input: Change): Written<Project>;
  /** Its keys stop at once. */
  archiveProject(actor: Actor, id: string, project: string): Written<Project>;
  /** Of a project, or without one a key of one's own. */
  createKey(
    actor: Actor,
    id: string,
    input: { readonly name: string; readonly project?: string; readonly limits?: KeyLimits },
  ): Written<IssuedKey>;
  /** Another secret for the same key, whose limits and spending go on; the old secret stops at once. A project's key passes to whoever rotates it. */
  rotateKey(actor: Actor, id: string, key: string): Written<IssuedKey>;
  limitKey(actor: Actor, id: string, key: string, limits: KeyLimits): Written<ApiKey>;
  revokeKey(actor: Actor, id: string, key: string): Written<ApiKey>;
  /** What its keys spent on the days [from, until), which count from 1970 in UTC. */
  spending(id: string, from: number, until: number): Promise<readonly Spending[]>;
  /** An act from outside: on the node itself, or with an organisation's id on that one. */
  note(
    actor: Actor,
    log: string,
    act: { readonly action: string; readonly target: string; readonly before?: object; readonly after: object },
  ): Written<void>;
  /** The log of an organisation, or with `node` of the node; oldest first, from `after` on. */
  audit(id: string, query: { readonly after: number; readonly limit: number }): Promise<readonly AuditRow[]>;
}

export interface NewOrganisation extends IssuedKey {
  readonly organisation: Organisation;
}

export interface Change {
  readonly name?: string;
  readonly limits?: KeyLimits;
}
