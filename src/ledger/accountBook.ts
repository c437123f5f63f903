import { timingSafeEqual } from "node:crypto";
import { toHex, utf8 } from "../core/bytes.ts";
import { hmacSha256 } from "../core/hash.ts";
import { isNano } from "../core/money.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { keyOf } from "./keyOf.ts";
import type { Account, Accounts, ApiKey, Balance, Statement, StatementQuery } from "./ledger.ts";
import type { PeriodBook } from "./period.ts";
import type { LedgerStore, LedgerWorld, MovementRow, StoredKey } from "./ports.ts";
import type { Purses } from "./purses.ts";
import type { Writer } from "./writer.ts";

export interface AccountBookOptions {
  readonly ledger: Uint8Array;
  readonly store: LedgerStore;
  readonly world: LedgerWorld;
  /** Keys the hashes of API keys and the pseudonyms of accounts: 32 bytes that never leave the node. */
  readonly secret: Uint8Array;
  /** 32 bytes: who pays for API-key accounts. */
  readonly node: Uint8Array;
  readonly statement: (query: StatementQuery) => Promise<Statement>;
  readonly period: (fromMs: number, untilMs: number) => Promise<PeriodBook>;
}

/** Accounts, their API keys, and what is moved in and out. */
export class AccountBook implements Accounts {
  readonly #writer: Writer;
  readonly #purses: Purses;
  readonly #options: AccountBookOptions;
  readonly #keys = new Map<string, StoredKey>();
  readonly #byHash = new Map<string, string>();
  readonly #moving = new Map<string, Promise<unknown>>();

  constructor(writer: Writer, purses: Purses, keys: readonly StoredKey[], options: AccountBookOptions) {
    this.#writer = writer;
    this.#purses = purses;
    this.#options = options;
    for (const key of keys) this.#keep(key);
  }

  open(input: {
    readonly name: string;
    readonly payer?: Uint8Array;
    readonly payee?: Uint8Array;
    readonly external?: string;
  }): Promise<Result<Account>> {
    const name = input.name.trim();
    if (name === "" || name.length > 120) return refused("an account's name has 1 to 120 characters", "name");
    const { external } = input;
    const { world, secret, node } = this.#options;
    const id = `acct_${toHex(world.randomBytes(12)).slice(2)}`;
    const pseudonym = hmacSha256(secret, utf8("account"), utf8(id)).slice(0, 16);
    const account = {
      id,
      name,
      payer: input.payer ?? node,
      pseudonym,
      createdMs: world.nowMs(),
      ...(input.payee === undefined ? {} : { payee: input.payee }),
      ...(external === undefined ? {} : { external }),
    };
    return this.#writer.run((batch) => {
      const known = external === undefined ? undefined : this.#purses.external(external);
      if (known !== undefined) return ok(() => known);
      batch.accounts.push(account);
      this.#purses.add(account);
      return ok(() => account);
    });
  }

  /** From now on the account may spend what this payee earns. */
  link(id: string, payee: Uint8Array): Promise<Result<Account>> {
    return this.#writer.run((batch) => {
      const account = this.#purses.account(id);
      if (account === undefined) return unknown(id);
      const linked = { ...account, payee };
      batch.accounts.push(linked);
      this.#purses.add(linked);
      return ok(() => linked);
    });
  }

  get(id: string): Account | undefined {
    return this.#purses.account(id);
  }

  findExternal(name: string): Account | undefined {
    return this.#purses.external(name);
  }

  list(): readonly Account[] {
    return this.#purses.accounts();
  }

  balance(id: string): Balance | undefined {
    return this.#purses.balance(id);
  }

  async credit(input: {
    readonly account: string;
    readonly amount: number;
    readonly key: string;
    readonly note: string;
  }): Promise<Result<Balance>> {
    if (this.#purses.account(input.account) === undefined) return unknown(input.account);
    const reference = `grant:${input.account}:${input.key}`;
    const moved = await this.#move({
      kind: "grant",
      reference,
      party: input.account,
      amount: input.amount,
      block: 0,
      note: input.note,
    });
    return moved.ok ? ok(this.#purses.balance(input.account)!) : moved;
  }

  deposit(input: Parameters<Accounts["deposit"]>[0]): Promise<Result<"booked" | "known">> {
    return this.#move({ kind: "deposit", party: toHex(input.payer), note: "", ...input });
  }

  withdraw(input: Parameters<Accounts["withdraw"]>[0]): Promise<Result<"booked" | "known">> {
    return this.#move({ kind: "withdrawal", party: toHex(input.payer), note: "", ...input });
  }

  createKey(input: Parameters<Accounts["createKey"]>[0]): Promise<Result<{ key: ApiKey; secret: string }>> {
    if (this.#purses.account(input.account) === undefined) return Promise.resolve(unknown(input.account));
    const name = input.name.trim();
    if (name === "" || name.length > 120) return refused("a key's name has 1 to 120 characters", "name");
    const { world } = this.#options;
    const id = `key_${toHex(world.randomBytes(12)).slice(2)}`;
    const secret = `ol_${toHex(world.randomBytes(24)).slice(2)}`;
    const facts = { limits: input.limits ?? {}, admin: input.admin ?? false, createdMs: world.nowMs() };
    const key = {
      id,
      account: input.account,
      name,
      hint: `${secret.slice(0, 7)}…`,
      ...facts,
      hash: this.#hash(secret),
    };
    return this.#writer.run((batch) => {
      batch.keys.push(key);
      return ok(() => {
        this.#keep(key);
        return { key: shown(key), secret };
      });
    });
  }

  revokeKey(id: string): Promise<Result<ApiKey>> {
    const key = this.#keys.get(id);
    if (key === undefined) return Promise.resolve(refuse("not_found", `there is no key ${id}`));
    if (key.revokedMs !== undefined) return Promise.resolve(ok(shown(key)));
    const revoked = { ...key, revokedMs: this.#options.world.nowMs() };
    // It stops working at once, and is durable a moment later: the other order would let it spend in between.
    this.#keep(revoked);
    return this.#writer.run((batch) => {
      batch.keys.push(revoked);
      return ok(() => shown(revoked));
    });
  }

  keys(account?: string): readonly ApiKey[] {
    return [...this.#keys.values()].filter((key) => account === undefined || key.account === account).map(shown);
  }

  findKey(secret: string): ApiKey | undefined {
    const hash = this.#hash(secret);
    const key = this.#keys.get(this.#byHash.get(keyOf(hash)) ?? "");
    return key !== undefined && timingSafeEqual(key.hash, hash) ? shown(key) : undefined;
  }

  statement(query: StatementQuery): Promise<Statement> {
    return this.#options.statement(query);
  }

  period(fromMs: number, untilMs: number): Promise<PeriodBook> {
    return this.#options.period(fromMs, untilMs);
  }

  /** One booking of a reference at a time; whoever comes second waits for the first to be durable. */
  async #move(input: Omit<MovementRow, "timeMs">): Promise<Result<"booked" | "known">> {
    if (!isNano(input.amount) || input.amount === 0)
      return refused("an amount is whole nano above 0 and below 2^53", "amount");
    const running = this.#moving.get(input.reference);
    if (running !== undefined) {
      await running;
      return this.#move(input);
    }
    const moving = this.#book(input);
    this.#moving.set(input.reference, moving);
    try {
      return await moving;
    } finally {
      this.#moving.delete(input.reference);
    }
  }

  async #book(input: Omit<MovementRow, "timeMs">): Promise<Result<"booked" | "known">> {
    const { ledger, store, world } = this.#options;
    const known = await store.movement(ledger, input.reference);
    if (known !== undefined && (known.amount !== input.amount || known.party !== input.party)) {
      return refuse("idempotency_mismatch", `${known.amount} nano were booked under this key, not ${input.amount}`, {
        field: "key",
      });
    }
    if (known !== undefined) return ok("known");
    return this.#writer.run((batch) => {
      batch.movements.push({ ...input, timeMs: world.nowMs() });
      this.#purses.move({ kind: input.kind, party: input.party, amount: BigInt(input.amount) });
      return ok(() => "booked" as const);
    });
  }

  /** An attacker who reads the database learns no key, and one who can write hashes cannot make one. */
  #hash(secret: string): Uint8Array {
    return hmacSha256(this.#options.secret, utf8("api key"), utf8(secret));
  }

  #keep(key: StoredKey): void {
    this.#keys.set(key.id, key);
    this.#byHash.set(keyOf(key.hash), key.id);
  }
}

function shown({ hash: _hash, ...key }: StoredKey): ApiKey {
  return key;
}

function unknown(id: string): Result<never> {
  return refuse("not_found", `there is no account ${id}`, {
    hint: "openledger account list shows them",
    field: "account",
  });
}

function refused(message: string, field: string): Promise<Result<never>> {
  return Promise.resolve(refuse("invalid_request", message, { field }));
}
