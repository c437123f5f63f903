import { ok, type Result, refuse } from "../core/result.ts";
import type { Batch } from "./batch.ts";
import type { FreshKey, KeyBook } from "./keyBook.ts";
import type { ApiKey, KeyLimits } from "./ledger.ts";
import { named } from "./names.ts";
import type { OrganisationState } from "./organisationState.ts";
import type { Actor, IssuedKey, Member, Organisation } from "./organisations.ts";
import type { LedgerWorld } from "./ports.ts";

const KEYS_MAX = 2_000;

/**
 * The keys of an organisation. A member's own key acts in the member's role, so nobody else may have its secret; a project's key only executes, and is
 * for those who build.
 */
export class OrganisationKeys {
  readonly #state: OrganisationState;
  readonly #keys: KeyBook;
  readonly #world: LedgerWorld;

  constructor(state: OrganisationState, keys: KeyBook, world: LedgerWorld) {
    this.#state = state;
    this.#keys = keys;
    this.#world = world;
  }

  createKey(
    actor: Actor,
    id: string,
    input: { readonly name: string; readonly project?: string; readonly limits?: KeyLimits },
  ): Promise<Result<IssuedKey>> {
    return this.#state.on(actor, id, (batch, organisation) => {
      const name = named(input.name);
      if (!name.ok) return name;
      const { scope: by } = actor.key;
      if (by?.organisation !== id) return noMember();
      const { project } = input;
      if (project !== undefined && !organisation.projects.some((one) => one.id === project && one.state === "active"))
        return refuse("not_found", `there is no project ${project}`, { field: "project" });
      const live = this.#live(organisation);
      const isTwin = ({ name: other, scope }: ApiKey) =>
        other === name.value && scope?.project === project && (project !== undefined || scope?.member === by.member);
      if (live.some(isTwin))
        return refuse("already_exists", `there is a key "${name.value}" already`, { field: "name" });
      if (live.length >= KEYS_MAX) return refuse("conflict", `an organisation has at most ${KEYS_MAX} live keys`);
      const scope = { organisation: id, member: by.member, ...(project === undefined ? {} : { project }) };
      const facts = {
        account: organisation.account,
        name: name.value,
        limits: input.limits ?? {},
        admin: false,
        scope,
      };
      const fresh = this.#keys.create(batch, facts);
      this.#state.note(batch, actor, id, { action: "key.create", target: fresh.key.id, after: fresh.key });
      return ok(() => fresh);
    });
  }

  rotateKey(actor: Actor, id: string, key: string): Promise<Result<IssuedKey>> {
    return this.#onKey(actor, id, key, (batch, found) => {
      const { scope: by } = actor.key;
      if (by?.organisation !== id) return noMember();
      // Not even an owner: the secret of somebody else's key would act in their name.
      if (found.scope?.project === undefined && found.scope?.member !== by.member) return somebodyElses();
      const scope = { ...found.scope, organisation: id, member: by.member };
      const fresh = this.#keys.rotate(batch, found, scope);
      const [before, after] = [found, fresh.key].map(({ hint, scope: of }) => ({ hint, member: of?.member }));
      this.#state.note(batch, actor, id, { action: "key.rotate", target: key, before: before!, after: after! });
      this.#state.keysChanged();
      return ok(() => fresh);
    });
  }

  limitKey(actor: Actor, id: string, key: string, limits: KeyLimits): Promise<Result<ApiKey>> {
    return this.#state.on(actor, id, (batch, organisation) => {
      const found = this.#live(organisation).find((one) => one.id === key);
      if (found === undefined) return noKey(key);
      const changed = this.#keys.change(batch, key, { limits });
      this.#state.keysChanged();
      const [before, after] = [{ limits: found.limits }, { limits }];
      this.#state.note(batch, actor, id, { action: "key.limit", target: key, before, after });
      return ok(() => changed);
    });
  }

  revokeKey(actor: Actor, id: string, key: string): Promise<Result<ApiKey>> {
    return this.#onKey(actor, id, key, (batch, found) => {
      const isOwn = found.scope?.project !== undefined || found.scope?.member === actor.key.scope?.member;
      if (!isOwn && !actor.key.admin && this.#state.roleOf(actor.key) !== "owner") return somebodyElses();
      const revoked = this.#keys.change(batch, key, { revokedMs: this.#world.nowMs() });
      this.#state.keysChanged();
      const act = { action: "key.revoke", target: key, before: found, after: { revokedMs: revoked.revokedMs } };
      this.#state.note(batch, actor, id, act);
      return ok(() => revoked);
    });
  }

  protected ownKey(batch: Batch, { id, account }: Organisation, { id: member, name }: Member): FreshKey {
    return this.#keys.create(batch, { account, name, limits: {}, admin: false, scope: { organisation: id, member } });
  }

  /** The ids of those that were live. */
  protected revokeAll(batch: Batch, organisation: Organisation, among: (key: ApiKey) => boolean): string[] {
    const revokedMs = this.#world.nowMs();
    return this.#live(organisation)
      .filter(among)
      .map(({ id }) => this.#keys.change(batch, id, { revokedMs }).id);
  }

  #live({ account }: Organisation): readonly ApiKey[] {
    return this.#keys.list(account).filter((key) => key.revokedMs === undefined);
  }

  /** A live key that the actor may have to do with: keys of projects are for owners and builders. */
  #onKey<T>(
    actor: Actor,
    id: string,
    key: string,
    job: (batch: Batch, key: ApiKey) => Result<() => T>,
  ): Promise<Result<T>> {
    return this.#state.on(actor, id, (batch, organisation) => {
      const found = this.#live(organisation).find((one) => one.id === key);
      if (found === undefined) return noKey(key);
      const role = this.#state.roleOf(actor.key);
      if (found.scope?.project !== undefined && !actor.key.admin && role !== "owner" && role !== "builder")
        return refuse("forbidden", "the keys of projects are for owners and builders");
      return job(batch, found);
    });
  }
}

function noKey(key: string): Result<never> {
  return refuse("not_found", `there is no live key ${key}`, { field: "key" });
}

function noMember(): Result<never> {
  return refuse("forbidden", "a secret is for a member of the organisation, and this key is none's", {
    hint: "invite somebody, who makes it: openledger org invite",
  });
}

function somebodyElses(): Result<never> {
  return refuse("forbidden", "this is another member's own key", {
    hint: "an owner can revoke it, or remove the member",
  });
}
