import { timingSafeEqual } from "node:crypto";
import { toHex } from "../core/bytes.ts";
import type { Batch } from "./batch.ts";
import { KeyedHash } from "./keyedHash.ts";
import { keyOf } from "./keyOf.ts";
import type { ApiKey, KeyScope } from "./ledger.ts";
import type { LedgerWorld, StoredKey } from "./ports.ts";

export interface FreshKey {
  readonly key: ApiKey;
  /** Nobody knows it before the batch that it is part of is durable and answered. */
  readonly secret: string;
}

/** API keys by id and by the keyed hash of their secret. Changes are part of a batch, together with whatever they belong to. */
export class KeyBook {
  readonly #byId = new Map<string, StoredKey>();
  /** As callers see them, without their hashes. */
  readonly #shown = new Map<string, ApiKey>();
  readonly #byHash = new Map<string, string>();
  readonly #keyed: KeyedHash;
  readonly #world: LedgerWorld;
  readonly #prefix: string;

  /** `secret` keys the hashes: an attacker who reads the database learns no key, and one who can write hashes cannot make one. */
  constructor(keys: readonly StoredKey[], secret: Uint8Array, world: LedgerWorld, prefix = "ol_") {
    this.#prefix = prefix;
    this.#keyed = new KeyedHash(secret);
    this.#world = world;
    for (const key of keys) this.#keep(key);
  }

  create(
    batch: Batch,
    facts: Pick<ApiKey, "account" | "name" | "limits" | "admin"> & { readonly scope?: KeyScope },
  ): FreshKey {
    return this.#issue(batch, { ...facts, id: this.newId("key"), createdMs: this.#world.nowMs() });
  }

  /** Another secret for the same key; the old one opens nothing from then on. */
  rotate(batch: Batch, key: ApiKey, scope: KeyScope): FreshKey {
    return this.#issue(batch, { ...key, scope });
  }

  /** Another secret for the same key, which is live again if it was revoked. */
  renew(batch: Batch, id: string): FreshKey {
    const { revokedMs: _revoked, ...key } = this.#byId.get(id)!;
    return this.#issue(batch, key);
  }

  /** At once: a key that is revoked stops before that is durable, for the other order would let it spend in between. */
  change(batch: Batch, id: string, change: Partial<Pick<ApiKey, "limits" | "revokedMs">>): ApiKey {
    const key = { ...this.#byId.get(id)!, ...change };
    batch.keys.push(key);
    this.#keep(key);
    return shown(key);
  }

  get(id: string): ApiKey | undefined {
    return this.#shown.get(id);
  }

  list(account?: string): readonly ApiKey[] {
    return [...this.#shown.values()].filter((key) => account === undefined || key.account === account);
  }

  find(secret: string): ApiKey | undefined {
    const hash = this.#hash("api key", secret);
    const key = this.#byId.get(this.#byHash.get(keyOf(hash)) ?? "");
    return key !== undefined && timingSafeEqual(key.hash, hash) ? this.#shown.get(key.id) : undefined;
  }

  newId(kind: "acct" | "key" | "org" | "mem" | "prj"): string {
    return `${kind}_${toHex(this.#world.randomBytes(12)).slice(2)}`;
  }

  /** An invitation's token, and the hash by which it is known again. */
  newToken(): { readonly token: string; readonly hash: string } {
    const token = `inv_${toHex(this.#world.randomBytes(24)).slice(2)}`;
    return { token, hash: this.tokenHash(token) };
  }

  tokenHash(token: string): string {
    return toHex(this.#hash("invitation", token));
  }

  #issue(batch: Batch, facts: Omit<ApiKey, "hint">): FreshKey {
    const secret = `${this.#prefix}${toHex(this.#world.randomBytes(24)).slice(2)}`;
    const key = { ...facts, hint: `${secret.slice(0, this.#prefix.length + 4)}…`, hash: this.#hash("api key", secret) };
    batch.keys.push(key);
    this.#keep(key);
    return { key: shown(key), secret };
  }

  #hash(kind: "api key" | "invitation", secret: string): Uint8Array {
    return this.#keyed.of(kind + secret);
  }

  #keep(key: StoredKey): void {
    const before = this.#byId.get(key.id);
    if (before !== undefined) this.#byHash.delete(keyOf(before.hash));
    this.#byId.set(key.id, key);
    this.#shown.set(key.id, shown(key));
    this.#byHash.set(keyOf(key.hash), key.id);
  }
}

function shown({ hash: _hash, ...key }: StoredKey): ApiKey {
  return key;
}
