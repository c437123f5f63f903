import { type Result, refuse } from "../core/result.ts";
import type { AuditTrail } from "./auditTrail.ts";
import type { Batch } from "./batch.ts";
import type { KeyBook } from "./keyBook.ts";
import type { ApiKey } from "./ledger.ts";
import type { Actor, LimitScope, Member, Organisation, Project, Role } from "./organisations.ts";
import type { Writer } from "./writer.ts";

/** A change of organisations: all that it does is one batch. */
export type Change<T> = (batch: Batch, organisation: Organisation) => Result<() => T>;

export interface Act {
  readonly action: string;
  readonly target: string;
  readonly before?: object;
  readonly after: object;
}

/** Organisations in memory, each a document that is written whole with the audit line of what changed it. */
export class OrganisationState {
  readonly #organisations = new Map<string, Organisation>();
  readonly #byAccount = new Map<string, string>();
  /** By key, as long as nothing of any organisation or key changes: what every request asks for. */
  readonly #scopes = new Map<string, readonly LimitScope[]>();
  readonly #writer: Writer;
  readonly #trail: AuditTrail;
  readonly #keys: KeyBook;

  constructor(organisations: readonly Organisation[], writer: Writer, trail: AuditTrail, keys: KeyBook) {
    this.#writer = writer;
    this.#trail = trail;
    this.#keys = keys;
    for (const one of organisations) this.#keep(one);
  }

  list(): readonly Organisation[] {
    return [...this.#organisations.values()];
  }

  get(id: string): Organisation | undefined {
    return this.#organisations.get(id);
  }

  ofAccount(account: string): Organisation | undefined {
    return this.#organisations.get(this.#byAccount.get(account) ?? "");
  }

  roleOf({ scope }: ApiKey): Role | "project" | undefined {
    const organisation = this.#organisations.get(scope?.organisation ?? "");
    if (scope === undefined || organisation === undefined) return undefined;
    const member = organisation.members.find(({ id }) => id === scope.member);
    if (member?.state !== "active") return undefined;
    if (scope.project === undefined) return member.role;
    const project = organisation.projects.find(({ id }) => id === scope.project);
    return project?.state === "active" ? "project" : undefined;
  }

  scopesOf(key: ApiKey): readonly LimitScope[] {
    const known = this.#scopes.get(key.id);
    if (known !== undefined) return known;
    const own = { id: key.id, kind: "key", name: key.hint, limits: key.limits } as const;
    const { scope } = key;
    const organisation = this.#organisations.get(scope?.organisation ?? "");
    if (scope === undefined || organisation === undefined) return [own];
    const project = organisation.projects.find(({ id }) => id === scope.project);
    const member = organisation.members.find(({ id }) => id === scope.member);
    const scopes = [
      own,
      ...(project === undefined ? [] : [limitScope("project", project)]),
      ...(member === undefined ? [] : [limitScope("member", member)]),
      limitScope("organisation", organisation),
    ];
    this.#scopes.set(key.id, scopes);
    return scopes;
  }

  /** A key was made, limited or rotated. */
  keysChanged(): void {
    this.#scopes.clear();
  }

  run<T>(job: (batch: Batch) => Result<() => T>): Promise<Result<T>> {
    return this.#writer.run(job);
  }

  /**
   * In turn, an act of somebody who still may act: a key that was revoked, or whose member was removed, after the door let it in
   * and before its turn came would leave a key or an invitation in the hands of who is gone.
   */
  by<T>(actor: Actor, job: (batch: Batch) => Result<() => T>): Promise<Result<T>> {
    return this.run((batch) => {
      const { id, hint, scope } = actor.key;
      const key = this.#keys.get(id);
      const isGone = key?.revokedMs !== undefined || (scope !== undefined && this.roleOf(actor.key) === undefined);
      return isGone ? refuse("key_revoked", `the API key ${hint} was revoked`) : job(batch);
    });
  }

  on<T>(actor: Actor, id: string, job: Change<T>): Promise<Result<T>> {
    return this.by(actor, (batch) => {
      const found = this.#organisations.get(id);
      return found === undefined ? refuse("not_found", `there is no organisation ${id}`) : job(batch, found);
    });
  }

  /** A member who was not removed. */
  onMember<T>(
    actor: Actor,
    id: string,
    member: string,
    job: (batch: Batch, organisation: Organisation, member: Member) => Result<() => T>,
  ): Promise<Result<T>> {
    return this.on(actor, id, (batch, organisation) => {
      const found = organisation.members.find((one) => one.id === member && one.state !== "removed");
      if (found === undefined) return refuse("not_found", `there is no member ${member}`, { field: "member" });
      return job(batch, organisation, found);
    });
  }

  /** A project that is not archived. */
  onProject<T>(
    actor: Actor,
    id: string,
    project: string,
    job: (batch: Batch, organisation: Organisation, project: Project) => Result<() => T>,
  ): Promise<Result<T>> {
    return this.on(actor, id, (batch, organisation) => {
      const found = organisation.projects.find((one) => one.id === project && one.state === "active");
      if (found === undefined) return refuse("not_found", `there is no project ${project}`, { field: "project" });
      return job(batch, organisation, found);
    });
  }

  write(batch: Batch, organisation: Organisation): void {
    batch.organisations.push(organisation);
    this.#keep(organisation);
  }

  note(batch: Batch, { key, request }: Actor, log: string, { action, target, before, after }: Act): void {
    this.#trail.add(batch, {
      ...{ log, request, key: key.id, member: key.scope?.member ?? "", action, target },
      before: before === undefined ? "" : JSON.stringify(before),
      after: JSON.stringify(after),
    });
  }

  #keep(organisation: Organisation): void {
    this.#organisations.set(organisation.id, organisation);
    this.#byAccount.set(organisation.account, organisation.id);
    this.#scopes.clear();
  }
}

function limitScope(kind: LimitScope["kind"], { id, name, limits }: Omit<LimitScope, "kind">): LimitScope {
  return { id, kind, name, limits };
}
