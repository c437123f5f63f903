import fc from "fast-check";
import { expect, test } from "vitest";
import { type Result, unwrap } from "../core/result.ts";
import { type AuditRow, auditHash, firstBroken } from "./audit.ts";
import type { OpenLedger } from "./openLedger.ts";
import type { Actor, NewOrganisation, Organisation, Role } from "./organisations.ts";
import { open, type SmallWorld, smallLedger } from "./testing/smallLedger.ts";

interface Company extends NewOrganisation {
  readonly ledger: OpenLedger;
  readonly owner: Actor;
  readonly world: SmallWorld;
  reopen(): Promise<OpenLedger>;
}

async function company(): Promise<Company> {
  const { ledger, store, world } = await smallLedger();
  const account = unwrap(await ledger.accounts.open({ name: "node" }));
  const admin = unwrap(await ledger.accounts.createKey({ account: account.id, name: "admin", admin: true }));
  const made = unwrap(
    await ledger.organisations.create({ key: admin.key, request: "r" }, { name: "acme", owner: "Ann" }),
  );
  const reopen = () => open(store, world, {});
  return { ...made, ledger, world, owner: { key: made.key, request: "r1" }, reopen };
}

/** Invites somebody and accepts for them. */
async function join({ ledger, owner, organisation }: Company, name: string, role: Role): Promise<Actor> {
  const { token } = unwrap(await ledger.organisations.invite(owner, organisation.id, { name, role }));
  return { key: unwrap(await ledger.organisations.accept(token, "r2")).key, request: "r3" };
}

function code(result: Result<unknown>): string {
  return result.ok ? "ok" : result.error.code;
}

const step = fc.record({
  what: fc.constantFrom(
    "invite",
    "accept",
    "role",
    "remove",
    "transfer",
    "project",
    "archive",
    "key",
    "rotate",
    "revoke",
  ),
  who: fc.nat(5),
  other: fc.nat(5),
  role: fc.constantFrom<Role>("owner", "builder", "billing", "viewer"),
  name: fc.constantFrom("Ann", "Ben", "Cat", "Dan"),
});

test("whatever is done in whatever order: an owner is left, names are nobody else's, the log is whole, and a restart finds it all again", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const here = await company();
      const { ledger, organisation } = here;
      const tokens: string[] = [];
      const actors: Actor[] = [here.owner];
      for (const one of steps) await play(here, one, actors, tokens);
      const after = ledger.organisations.get(organisation.id)!;
      const live = after.members.filter(({ state }) => state !== "removed");
      expect(after.members.filter(({ role, state }) => role === "owner" && state === "active").length).toBeGreaterThan(
        0,
      );
      expect(new Set(live.map(({ name }) => name)).size).toBe(live.length);
      const log = await ledger.organisations.audit(organisation.id, { after: 0, limit: 1_000 });
      expect(firstBroken(log, undefined)).toBeUndefined();
      expect(JSON.stringify(log)).not.toMatch(/inv_[0-9a-f]{48}|ol_[0-9a-f]{48}/);
      const keys = ledger.accounts.keys(organisation.account);
      for (const key of keys.filter(({ revokedMs }) => revokedMs === undefined))
        expect(ledger.organisations.roleOf(key)).toBeDefined();
      const again = await here.reopen();
      expect(again.organisations.get(organisation.id)).toEqual(after);
      expect(again.accounts.keys(organisation.account)).toEqual(keys);
    }),
    { numRuns: 60 },
  );
});

async function play(
  { ledger, organisation: { id } }: Company,
  { what, who, other, role, name }: { what: string; who: number; other: number; role: Role; name: string },
  actors: Actor[],
  tokens: string[],
): Promise<void> {
  const book = ledger.organisations;
  const now: Organisation = book.get(id)!;
  const member = now.members[other % now.members.length]!.id;
  const project = now.projects[other % (now.projects.length || 1)]?.id ?? "prj_none";
  const keys = ledger.accounts.keys(now.account);
  const key = keys[other % keys.length]!.id;
  const by = actors[who % actors.length]!;
  if (what === "invite") {
    const made = await book.invite(by, id, { name, role });
    if (made.ok) tokens.push(made.value.token);
  } else if (what === "accept") {
    const joined = await book.accept(tokens[who % (tokens.length || 1)] ?? "inv_none", "r");
    if (joined.ok) actors.push({ key: joined.value.key, request: "r" });
  } else if (what === "role") await book.changeMember(by, id, member, { role });
  else if (what === "remove") await book.removeMember(by, id, member);
  else if (what === "transfer") await book.transfer(by, id, member);
  else if (what === "project") await book.createProject(by, id, { name });
  else if (what === "archive") await book.archiveProject(by, id, project);
  else if (what === "key") await book.createKey(by, id, { name, ...(other > 2 ? { project } : {}) });
  else if (what === "rotate") await book.rotateKey(by, id, key);
  else await book.revokeKey(by, id, key);
}

test("a log of which a row is changed, left out or put elsewhere is broken at that row", async () => {
  const here = await company();
  const { ledger, owner, organisation } = here;
  for (const name of ["one", "two", "three"])
    unwrap(await ledger.organisations.createProject(owner, organisation.id, { name }));
  const rows = await ledger.organisations.audit(organisation.id, { after: 0, limit: 100 });
  expect(rows.map(({ action }) => action)).toEqual([
    "organisation.create",
    "project.create",
    "project.create",
    "project.create",
  ]);
  expect(firstBroken(rows, undefined)).toBeUndefined();
  expect(firstBroken(rows.slice(2), rows[1]!.hash)).toBeUndefined();
  expect(firstBroken(rows.slice(1), undefined)).toBe(2);
  expect(firstBroken([rows[0]!, ...rows.slice(2)], undefined)).toBe(3);
  const fields = ["request", "key", "member", "action", "target", "before", "after", "log", "previous"] as const;
  for (const field of fields) {
    const forged: AuditRow[] = rows.map((row) => (row.number === 2 ? { ...row, [field]: `${row[field]}x` } : row));
    expect(firstBroken(forged, undefined)).toBe(2);
  }
  const rehashed = rows.map((row) =>
    row.number === 2 ? { ...row, target: "x", hash: auditHash({ ...row, target: "x" }) } : row,
  );
  expect(firstBroken(rehashed, undefined)).toBe(3);
});

test("fields of a row cannot run into each other", () => {
  const row = { log: "a", number: 1, timeMs: 1, request: "r", key: "k", member: "", action: "1:a", target: "b" };
  const rest = { before: "", after: "", previous: "" };
  expect(auditHash({ ...row, ...rest })).not.toBe(auditHash({ ...row, ...rest, action: "1", target: ":ab" }));
});

test("the last owner can neither go, nor be removed, nor be made less; once there are two, either can", async () => {
  const here = await company();
  const { ledger, owner, organisation } = here;
  const [book, id, ann] = [ledger.organisations, organisation.id, organisation.members[0]!.id];
  expect(code(await book.removeMember(owner, id, ann))).toBe("conflict");
  expect(code(await book.changeMember(owner, id, ann, { role: "viewer" }))).toBe("conflict");
  expect(code(await book.transfer(owner, id, ann))).toBe("conflict");
  const invited = unwrap(await book.invite(owner, id, { name: "Ben", role: "owner" }));
  expect(code(await book.transfer(owner, id, invited.member.id))).toBe("conflict");
  expect(code(await book.removeMember(owner, id, ann))).toBe("conflict");
  const ben = unwrap(await book.accept(invited.token, "r"));
  unwrap(await book.removeMember({ key: ben.key, request: "r" }, id, ann));
  expect(book.roleOf(owner.key)).toBeUndefined();
  expect(ledger.accounts.findKey(here.secret)?.revokedMs).toBeDefined();
});

test("who is removed or loses a key while their request waits its turn gets nothing by it", async () => {
  const here = await company();
  const [book, id] = [here.ledger.organisations, here.organisation.id];
  const gone = async (
    removed: Actor,
    act: () => Promise<Result<unknown>>,
    by: (removed: Actor) => Promise<unknown>,
  ) => {
    const [taken, late] = await Promise.all([by(removed), act()]);
    expect([taken, code(late)]).toEqual([expect.objectContaining({ ok: true }), "key_revoked"]);
  };
  const remove = ({ key }: Actor) => book.removeMember(here.owner, id, key.scope!.member);
  const revoke = ({ key }: Actor) => book.revokeKey(here.owner, id, key.id);
  for (const by of [remove, revoke]) {
    const [ben, cat] = [await join(here, `Ben${by.name}`, "owner"), await join(here, `Cat${by.name}`, "owner")];
    await gone(ben, () => book.createKey(ben, id, { name: "one more" }), by);
    await gone(cat, () => book.invite(cat, id, { name: "Dan", role: "owner" }), by);
  }
  const { members, account } = book.get(id)!;
  expect(members.map(({ name }) => name)).not.toContain("Dan");
  expect(here.ledger.accounts.keys(account).map(({ name }) => name)).not.toContain("one more");
});

test("ownership handed over: the taker owns, the giver builds", async () => {
  const here = await company();
  const ben = await join(here, "Ben", "viewer");
  const { organisations } = here.ledger;
  unwrap(await organisations.transfer(here.owner, here.organisation.id, ben.key.scope!.member));
  expect([organisations.roleOf(here.owner.key), organisations.roleOf(ben.key)]).toEqual(["builder", "owner"]);
});

test("a rotated key keeps its limits and its place, its old secret stops; a project's passes on, one's own is nobody else's", async () => {
  const here = await company();
  const { ledger, owner, organisation } = here;
  const [book, { id }] = [ledger.organisations, organisation];
  const project = unwrap(await book.createProject(owner, id, { name: "search" }));
  const made = unwrap(await book.createKey(owner, id, { name: "prod", project: project.id, limits: { inFlight: 2 } }));
  const [ben, cat] = [await join(here, "Ben", "builder"), await join(here, "Cat", "viewer")];
  expect(code(await book.rotateKey(cat, id, made.key.id))).toBe("forbidden");
  expect(code(await book.rotateKey(ben, id, owner.key.id))).toBe("forbidden");
  expect(code(await book.rotateKey(owner, id, ben.key.id))).toBe("forbidden");
  expect(code(await book.revokeKey(ben, id, owner.key.id))).toBe("forbidden");
  const rotated = unwrap(await book.rotateKey(ben, id, made.key.id));
  expect(ledger.accounts.findKey(made.secret)).toBeUndefined();
  expect(ledger.accounts.findKey(rotated.secret)).toMatchObject({ id: made.key.id, limits: { inFlight: 2 } });
  expect(rotated.key.scope).toEqual({ organisation: id, member: ben.key.scope!.member, project: project.id });
  const [rotating, revoking] = [book.rotateKey(ben, id, made.key.id), book.revokeKey(owner, id, made.key.id)];
  const last = unwrap(await rotating);
  unwrap(await revoking);
  expect(ledger.accounts.findKey(last.secret)?.revokedMs).toBeDefined();
  const again = await here.reopen();
  expect(again.accounts.findKey(last.secret)?.revokedMs).toBeDefined();
  expect(again.accounts.findKey(rotated.secret)).toBeUndefined();
});

test("an invitation is accepted once, and for a week", async () => {
  const { ledger, owner, organisation, world } = await company();
  const [book, { id }] = [ledger.organisations, organisation];
  const { token } = unwrap(await book.invite(owner, id, { name: "Ben", role: "builder" }));
  expect(code(await book.accept(`${token.slice(0, -1)}x`, "r"))).toBe("not_found");
  const both = await Promise.all([book.accept(token, "a"), book.accept(token, "b")]);
  expect(both.map(code)).toEqual(["ok", "not_found"]);
  expect(code(await book.invite(owner, id, { name: "Ben", role: "builder" }))).toBe("already_exists");
  const late = unwrap(await book.invite(owner, id, { name: "Cat", role: "builder" }));
  world.timeMs += 7 * 86_400_000 + 1;
  expect(await book.accept(late.token, "r")).toMatchObject({ error: { message: "the invitation is too old" } });
});

test("a name that no database takes is refused before it reaches one", async () => {
  const { ledger, owner, organisation } = await company();
  for (const name of ["", "  ", "a\u0000b", "\ud800", "a\nb", "x".repeat(121)]) {
    expect(code(await ledger.organisations.invite(owner, organisation.id, { name, role: "viewer" }))).toBe(
      "invalid_request",
    );
    expect(code(await ledger.accounts.open({ name }))).toBe("invalid_request");
    const grant = { account: organisation.account, amount: 1, key: name, note: name };
    if (name.includes("\u0000")) expect(code(await ledger.accounts.credit(grant))).toBe("invalid_request");
  }
});
