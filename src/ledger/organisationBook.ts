import { ok, type Result, refuse } from "../core/result.ts";
import type { AccountBook } from "./accountBook.ts";
import type { AuditRow } from "./audit.ts";
import type { AuditTrail } from "./auditTrail.ts";
import type { KeyBook } from "./keyBook.ts";
import type { ApiKey, KeyLimits, Spending } from "./ledger.ts";
import { named } from "./names.ts";
import { OrganisationKeys } from "./organisationKeys.ts";
import { OrganisationState } from "./organisationState.ts";
import type {
  Actor,
  Change,
  IssuedKey,
  LimitScope,
  Member,
  NewOrganisation,
  Organisation,
  Organisations,
  Project,
  Role,
} from "./organisations.ts";
import type { LedgerStore, LedgerWorld } from "./ports.ts";
import type { Writer } from "./writer.ts";

export interface OrganisationParts {
  readonly ledger: Uint8Array;
  readonly writer: Writer;
  readonly accounts: AccountBook;
  readonly keys: KeyBook;
  readonly store: LedgerStore;
  readonly trail: AuditTrail;
  readonly world: LedgerWorld;
}

const MEMBERS_MAX = 500;
const PROJECTS_MAX = 500;
const INVITED_MS = 7 * 86_400_000;

/** Organisations, their members and projects; their keys are {@link OrganisationKeys}'. */
export class OrganisationBook extends OrganisationKeys implements Organisations {
  readonly #parts: OrganisationParts;
  readonly #state: OrganisationState;

  constructor(organisations: readonly Organisation[], parts: OrganisationParts) {
    const state = new OrganisationState(organisations, parts.writer, parts.trail, parts.keys);
    super(state, parts.keys, parts.world);
    this.#parts = parts;
    this.#state = state;
  }

  create(actor: Actor, input: { readonly name: string; readonly owner: string }): Promise<Result<NewOrganisation>> {
    return this.#state.by(actor, (batch) => {
      const name = this.#freeName(input.name, "");
      const ownerName = named(input.owner);
      if (!name.ok) return name;
      if (!ownerName.ok) return ownerName;
      const { accounts, keys, world } = this.#parts;
      const account = accounts.openIn(batch, { name: name.value });
      const owner = this.#member(ownerName.value, "owner", {}, "active");
      const organisation: Organisation = {
        ...{ id: keys.newId("org"), name: name.value, account: account.id, limits: {} },
        ...{ members: [owner], projects: [], createdMs: world.nowMs() },
      };
      const fresh = this.ownKey(batch, organisation, owner);
      this.#state.write(batch, organisation);
      const after = { name: name.value, account: account.id, owner, key: fresh.key.id };
      const act = { action: "organisation.create", target: organisation.id, after };
      this.#state.note(batch, actor, organisation.id, act);
      return ok(() => ({ organisation, ...fresh }));
    });
  }

  list(): readonly Organisation[] {
    return this.#state.list();
  }

  get(id: string): Organisation | undefined {
    return this.#state.get(id);
  }

  ofAccount(account: string): Organisation | undefined {
    return this.#state.ofAccount(account);
  }

  roleOf(key: ApiKey): Role | "project" | undefined {
    return this.#state.roleOf(key);
  }

  scopesOf(key: ApiKey): readonly LimitScope[] {
    return this.#state.scopesOf(key);
  }

  change(actor: Actor, id: string, input: Change): Promise<Result<Organisation>> {
    return this.#state.on(actor, id, (batch, organisation) => {
      const name = this.#freeName(input.name ?? organisation.name, id);
      if (!name.ok) return name;
      const changed = { ...organisation, name: name.value, limits: input.limits ?? organisation.limits };
      this.#state.write(batch, changed);
      const act = { action: "organisation.change", target: id, ...difference(organisation, changed) };
      this.#state.note(batch, actor, id, act);
      return ok(() => changed);
    });
  }

  invite(
    actor: Actor,
    id: string,
    input: { readonly name: string; readonly role: Role; readonly limits?: KeyLimits },
  ): Promise<Result<{ readonly member: Member; readonly token: string }>> {
    return this.#state.on(actor, id, (batch, organisation) => {
      const name = freeName(organisation.members.filter(isPresent), "member", input.name, "");
      if (!name.ok) return name;
      if (organisation.members.length >= MEMBERS_MAX)
        return refuse("conflict", `an organisation has at most ${MEMBERS_MAX} members, those removed included`);
      const { token, hash } = this.#parts.keys.newToken();
      const member = this.#member(name.value, input.role, input.limits ?? {}, "invited");
      const invitation = { hash, untilMs: this.#parts.world.nowMs() + INVITED_MS };
      const members = [...organisation.members, { ...member, invitation }];
      this.#state.write(batch, { ...organisation, members });
      this.#state.note(batch, actor, id, { action: "member.invite", target: member.id, after: member });
      return ok(() => ({ member, token }));
    });
  }

  accept(token: string, request: string): Promise<Result<{ readonly organisation: Organisation } & IssuedKey>> {
    return this.#state.run((batch) => {
      const hash = this.#parts.keys.tokenHash(token);
      for (const organisation of this.#state.list()) {
        const member = organisation.members.find(({ invitation }) => invitation?.hash === hash);
        if (member?.invitation === undefined) continue;
        if (member.invitation.untilMs < this.#parts.world.nowMs())
          return refuse("conflict", "the invitation is too old", { hint: "ask for a new one" });
        const changed = withMember(organisation, { ...withoutInvitation(member), state: "active" });
        const fresh = this.ownKey(batch, changed, member);
        this.#state.write(batch, changed);
        const act = { action: "member.accept", target: member.id, after: { key: fresh.key.id } };
        this.#state.note(batch, { key: fresh.key, request }, organisation.id, act);
        return ok(() => ({ organisation: changed, ...fresh }));
      }
      return refuse("not_found", "the invitation is not known, or was used already", { field: "token" });
    });
  }

  changeMember(
    actor: Actor,
    id: string,
    member: string,
    input: Change & { readonly role?: Role },
  ): Promise<Result<Member>> {
    return this.#state.onMember(actor, id, member, (batch, organisation, found) => {
      const name = freeName(organisation.members.filter(isPresent), "member", input.name ?? found.name, member);
      if (!name.ok) return name;
      const { role = found.role, limits = found.limits } = input;
      if (role !== "owner" && isLastOwner(organisation, found)) return lastOwner();
      const changed = { ...found, name: name.value, role, limits };
      this.#state.write(batch, withMember(organisation, changed));
      const { before, after } = difference(withoutInvitation(found), withoutInvitation(changed));
      this.#state.note(batch, actor, id, { action: "member.change", target: member, before, after });
      return ok(() => withoutInvitation(changed));
    });
  }

  removeMember(actor: Actor, id: string, member: string): Promise<Result<Member>> {
    return this.#state.onMember(actor, id, member, (batch, organisation, found) => {
      if (isLastOwner(organisation, found)) return lastOwner();
      const before = withoutInvitation(found);
      const removed: Member = { ...before, state: "removed" };
      const revoked = this.revokeAll(batch, organisation, ({ scope }) => scope?.member === member);
      this.#state.write(batch, withMember(organisation, removed));
      const act = { action: "member.remove", target: member, before, after: { state: "removed", revoked } };
      this.#state.note(batch, actor, id, act);
      return ok(() => removed);
    });
  }

  transfer(actor: Actor, id: string, member: string): Promise<Result<Organisation>> {
    return this.#state.onMember(actor, id, member, (batch, organisation, found) => {
      if (found.state !== "active")
        return refuse("conflict", "who was invited has to accept first", { field: "member" });
      const giver = organisation.members.find((one) => one.id === actor.key.scope?.member && one.role === "owner");
      if (giver?.id === member) return refuse("conflict", "this is the owner who hands over", { field: "member" });
      const taken = withMember(organisation, { ...found, role: "owner" });
      const changed = giver === undefined ? taken : withMember(taken, { ...giver, role: "builder" });
      this.#state.write(batch, changed);
      const [before, after] = [{ owners: ownersOf(organisation) }, { owners: ownersOf(changed) }];
      this.#state.note(batch, actor, id, { action: "ownership.transfer", target: member, before, after });
      return ok(() => changed);
    });
  }

  createProject(
    actor: Actor,
    id: string,
    input: { readonly name: string; readonly limits?: KeyLimits },
  ): Promise<Result<Project>> {
    return this.#state.on(actor, id, (batch, organisation) => {
      const name = freeName(organisation.projects.filter(isActive), "project", input.name, "");
      if (!name.ok) return name;
      if (organisation.projects.length >= PROJECTS_MAX)
        return refuse("conflict", `an organisation has at most ${PROJECTS_MAX} projects, those archived included`);
      const project: Project = {
        ...{ id: this.#parts.keys.newId("prj"), name: name.value, limits: input.limits ?? {}, state: "active" },
        createdMs: this.#parts.world.nowMs(),
      };
      this.#state.write(batch, { ...organisation, projects: [...organisation.projects, project] });
      this.#state.note(batch, actor, id, { action: "project.create", target: project.id, after: project });
      return ok(() => project);
    });
  }

  changeProject(actor: Actor, id: string, project: string, input: Change): Promise<Result<Project>> {
    return this.#state.onProject(actor, id, project, (batch, organisation, found) => {
      const name = freeName(organisation.projects.filter(isActive), "project", input.name ?? found.name, project);
      if (!name.ok) return name;
      const changed = { ...found, name: name.value, limits: input.limits ?? found.limits };
      this.#state.write(batch, withProject(organisation, changed));
      const act = { action: "project.change", target: project, ...difference(found, changed) };
      this.#state.note(batch, actor, id, act);
      return ok(() => changed);
    });
  }

  archiveProject(actor: Actor, id: string, project: string): Promise<Result<Project>> {
    return this.#state.onProject(actor, id, project, (batch, organisation, found) => {
      const archived: Project = { ...found, state: "archived" };
      const revoked = this.revokeAll(batch, organisation, ({ scope }) => scope?.project === project);
      this.#state.write(batch, withProject(organisation, archived));
      const act = { action: "project.archive", target: project, before: found, after: { state: "archived", revoked } };
      this.#state.note(batch, actor, id, act);
      return ok(() => archived);
    });
  }

  async spending(id: string, from: number, until: number): Promise<readonly Spending[]> {
    const organisation = this.#state.get(id);
    if (organisation === undefined) return [];
    const { store, ledger, keys } = this.#parts;
    const own = new Set(keys.list(organisation.account).map((key) => key.id));
    return (await store.spending(ledger, from, until)).filter(({ key }) => own.has(key));
  }

  note(
    actor: Actor,
    log: string,
    act: { readonly action: string; readonly target: string; readonly before?: object; readonly after: object },
  ): Promise<Result<void>> {
    return this.#state.run((batch) => {
      this.#state.note(batch, actor, log, act);
      return ok(() => undefined);
    });
  }

  audit(id: string, query: { readonly after: number; readonly limit: number }): Promise<readonly AuditRow[]> {
    return this.#parts.store.audits(this.#parts.ledger, id, query);
  }

  #freeName(text: string, but: string): Result<string> {
    return freeName(this.list(), "organisation", text, but);
  }

  #member(name: string, role: Role, limits: KeyLimits, state: Member["state"]): Member {
    const { keys, world } = this.#parts;
    return { id: keys.newId("mem"), name, role, limits, state, createdMs: world.nowMs() };
  }
}

/** A name that nobody else among them has; `but` is the id of whoever is being named. */
function freeName(
  among: readonly { readonly id: string; readonly name: string }[],
  kind: string,
  text: string,
  but: string,
): Result<string> {
  const name = named(text);
  if (!name.ok || !among.some((one) => one.name === name.value && one.id !== but)) return name;
  return refuse("already_exists", `there is a ${kind} "${name.value}" already`, { field: "name" });
}

function isPresent({ state }: Member): boolean {
  return state !== "removed";
}

function isActive({ state }: Project): boolean {
  return state === "active";
}

function withMember(organisation: Organisation, member: Member): Organisation {
  return { ...organisation, members: organisation.members.map((one) => (one.id === member.id ? member : one)) };
}

function withProject(organisation: Organisation, project: Project): Organisation {
  return { ...organisation, projects: organisation.projects.map((one) => (one.id === project.id ? project : one)) };
}

function withoutInvitation({ invitation: _, ...member }: Member): Member {
  return member;
}

function ownersOf({ members }: Organisation): string[] {
  return members.filter(({ role, state }) => role === "owner" && state === "active").map(({ id }) => id);
}

function isLastOwner(organisation: Organisation, member: Member): boolean {
  const owners = ownersOf(organisation);
  return owners.length === 1 && owners[0] === member.id;
}

function lastOwner(): Result<never> {
  return refuse("conflict", "an organisation keeps one owner at least", {
    hint: "make somebody else an owner first: openledger org transfer",
  });
}

/** The fields of two states that differ, before and after. */
function difference(from: object, to: object): { readonly before: object; readonly after: object } {
  const [before, after]: Record<string, unknown>[] = [{}, {}];
  for (const [name, value] of Object.entries(to)) {
    const old: unknown = Reflect.get(from, name);
    if (JSON.stringify(old) === JSON.stringify(value)) continue;
    before![name] = old;
    after![name] = value;
  }
  return { before: before!, after: after! };
}
