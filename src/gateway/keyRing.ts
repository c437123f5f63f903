import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { ok, type Result, refuse } from "../core/result.ts";
import type { Accounts, ApiKey } from "../ledger/ledger.ts";
import { TEST_KEY_PREFIX } from "./door.ts";
import type { Access } from "./routes.ts";

/**
 * Looks keys up, and remembers of each connection which key it showed last: whoever keeps one open mostly shows the same again, and a look costs two
 * hashes. What is shown is compared in constant time, since a proxy in front may put several callers on one connection; a key that was changed since is looked up.
 */
export class KeyRing {
  readonly #accounts: Pick<Accounts, "findKey" | "isCurrent">;
  readonly #shown = new WeakMap<Socket, { readonly header: string; readonly key: ApiKey }>();

  constructor(accounts: Pick<Accounts, "findKey" | "isCurrent">) {
    this.#accounts = accounts;
  }

  /** The key of the `Authorization: Bearer` header, as far as the route asks for one. */
  authenticate(request: Pick<IncomingMessage, "headers" | "socket">, access: Access): Result<ApiKey | undefined> {
    const header = request.headers.authorization;
    if (access === "open" || (header === undefined && access === "optional")) return ok(undefined);
    if (header === undefined) return noKey;
    const last = this.#shown.get(request.socket);
    if (last !== undefined && isSame(header, last.header) && this.#accounts.isCurrent(last.key))
      return allow(last.key, access);
    const key = find(header, this.#accounts);
    if (!key.ok) return key;
    this.#shown.set(request.socket, { header, key: key.value });
    return allow(key.value, access);
  }
}

/** In a time that depends on the lengths alone. */
function isSame(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i);
  return difference === 0;
}

function find(header: string, accounts: Pick<Accounts, "findKey">): Result<ApiKey> {
  const secret = /^Bearer +(\S{1,200})$/i.exec(header)?.[1];
  if (secret === undefined) return noKey;
  const key = accounts.findKey(secret);
  if (key === undefined) {
    const hint = secret.startsWith(TEST_KEY_PREFIX)
      ? { hint: "test keys work where the node runs with: openledger up --test" }
      : {};
    return refuse("unauthenticated", "the API key is not known here", hint);
  }
  return ok(key);
}

function allow(key: ApiKey, access: Access): Result<ApiKey> {
  if (key.revokedMs !== undefined) return refuse("key_revoked", `the API key ${key.hint} was revoked`);
  if (access === "admin" && !key.admin) return refuse("forbidden", "this needs an admin key");
  return ok(key);
}

const noKey = refuse("unauthenticated", "no API key was given", { hint: "send it as: Authorization: Bearer ol_…" });
