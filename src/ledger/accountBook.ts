import { toHex, utf8 } from "../core/bytes.ts";
import { hmacSha256 } from "../core/hash.ts";
import { isNano } from "../core/money.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { Batch } from "./batch.ts";
import type { KeyBook } from "./keyBook.ts";
import type { Account, Accounts, ApiKey, Balance, Statement, StatementQuery } from "./ledger.ts";
import { hasNul, isReservedName, named } from "./names.ts";
import type { PeriodBook } from "./period.ts";
import type { LedgerStore, LedgerWorld, MovementRow } from "./ports.ts";
import type { Purses } from "./purses.ts";
import type { Writer } from "./writer.ts";

export interface AccountBookOptions {
  readonly ledger: Uint8Array;
  readonly store: LedgerStore;
  readonly world: LedgerWorld;
  readonly keys: KeyBook;
  /** Keys the pseudonyms of accounts: 32 bytes that never leave the node. */
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
  readonly #moving = new Map<string, Promise<unknown>>();

  constructor(writer: Writer, purses: Purses, options: AccountBookOptions) {
    this.#writer = writer;
    this.#purses = purses;
    this.#options = options;
  }

  open(input: {
    readonly name: string;
    readonly payer?: Uint8Array;
    readonly payee?: Uint8Array;
    readonly external?: string;
  }): Promise<Result<Account>> {
    const name = named(input.name, "an account's name");
    if (!name.ok) return Promise.resolve(name);
    const { external } = input;
    if (external !== undefined && isReservedName(external))
      return refused(`no payer is called ${external.slice(0, 60)}: that stands for a payee's own account`, "payer");
    return this.#writer.run((batch) => {
      const known = external === undefined ? undefined : this.#purses.external(external);
      const account = known ?? this.openIn(batch, { ...input, name: name.value });
      return ok(() => account);
    });
  }

  /** As part of something larger, which is durable together with it. */
  openIn(batch: Batch, { name, payer, payee, external }: Parameters<Accounts["open"]>[0]): Account {
    const { world, secret, node, keys } = this.#options;
    const id = keys.newId("acct");
    const account = {
      ...{ id, name, payer: payer ?? node, createdMs: world.nowMs() },
      pseudonym: hmacSha256(secret, utf8("account"), utf8(id)).slice(0, 16),
      ...(payee === undefined ? {} : { payee }),
      ...(external === undefined ? {} : { external }),
    };
    batch.accounts.push(account);
    this.#purses.add(account);
    return account;
  }

  get(id: string): Account | undefined {
    return this.#purses.account(id);
  }

  findExternal(name: string): Account | undefined {
    return isReservedName(name) ? undefined : this.#purses.external(name);
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
    const name = named(input.name, "a key's name");
    if (!name.ok) return Promise.resolve(name);
    const { keys } = this.#options;
    return this.#writer.run((batch) => {
      const facts = {
        account: input.account,
        name: name.value,
        limits: input.limits ?? {},
        admin: input.admin ?? false,
      };
      const fresh = keys.create(batch, facts);
      return ok(() => fresh);
    });
  }

  revokeKey(id: string): Promise<Result<ApiKey>> {
    const { keys, world } = this.#options;
    return this.#writer.run((batch) => {
      const key = keys.get(id);
      if (key === undefined) return refuse("not_found", `there is no key ${id}`);
      const revoked = key.revokedMs === undefined ? keys.change(batch, id, { revokedMs: world.nowMs() }) : key;
      return ok(() => revoked);
    });
  }

  keys(account?: string): readonly ApiKey[] {
    return this.#options.keys.list(account);
  }

  findKey(secret: string): ApiKey | undefined {
    return this.#options.keys.find(secret);
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
    if (hasNul(input.reference + input.note)) return refused("a text has no character 0", "note");
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
