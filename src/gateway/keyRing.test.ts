import { Socket } from "node:net";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { ApiKey } from "../ledger/ledger.ts";
import { KeyRing } from "./keyRing.ts";

/** Keys by their secrets, as a ledger has them. */
function newAccounts() {
  const bySecret = new Map<string, ApiKey>();
  const looks = { count: 0 };
  const put = (secret: string, change: Partial<ApiKey> = {}) =>
    bySecret.set(secret, {
      ...{ id: `key ${secret}`, account: `of ${secret}`, name: "", hint: "", limits: {}, admin: false, createdMs: 0 },
      ...change,
    });
  const findKey = (secret: string) => {
    looks.count += 1;
    return bySecret.get(secret);
  };
  const isCurrent = (key: ApiKey) => [...bySecret.values()].includes(key);
  return { bySecret, put, looks, findKey, isCurrent };
}

const step = fc.oneof(
  fc.record({
    do: fc.constant("ask" as const),
    socket: fc.nat({ max: 1 }),
    header: fc.constantFrom(undefined, "Bearer a", "bearer  a", "Bearer b", "Bearer c", "Basic a", ""),
    access: fc.constantFrom("open" as const, "optional" as const, "key" as const, "admin" as const),
  }),
  fc.record({
    do: fc.constantFrom("change" as const, "revoke" as const, "forget" as const),
    secret: fc.constantFrom("a", "b"),
  }),
);

test("a ring that remembers says what one says that looks every time, whoever shares a connection and whatever becomes of a key", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const accounts = newAccounts();
      accounts.put("a");
      accounts.put("b", { admin: true });
      const ring = new KeyRing(accounts);
      const sockets = [new Socket(), new Socket()];
      for (const one of steps) {
        if (one.do === "ask") {
          const headers = one.header === undefined ? {} : { authorization: one.header };
          const fresh = new KeyRing(accounts).authenticate({ headers, socket: new Socket() }, one.access);
          expect(ring.authenticate({ headers, socket: sockets[one.socket]! }, one.access)).toEqual(fresh);
        } else if (one.do === "change") accounts.put(one.secret, { limits: { inFlight: 1 } });
        else if (one.do === "revoke") accounts.put(one.secret, { revokedMs: 1 });
        else accounts.bySecret.delete(one.secret);
      }
    }),
  );
});

test("the same key on the same connection is looked up once", () => {
  const accounts = newAccounts();
  accounts.put("a");
  accounts.put("b");
  const [ring, socket] = [new KeyRing(accounts), new Socket()];
  const ask = (secret: string) => ring.authenticate({ headers: { authorization: `Bearer ${secret}` }, socket }, "key");
  for (let i = 0; i < 3; i++) expect(ask("a")).toMatchObject({ ok: true, value: { account: "of a" } });
  expect(accounts.looks.count).toBe(1);
  expect(ask("b")).toMatchObject({ ok: true, value: { account: "of b" } });
  expect(accounts.looks.count).toBe(2);
});
