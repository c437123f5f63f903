import { equalBytes, fromHex, toHex } from "../core/bytes.ts";
import type { Nano } from "../core/money.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { BookState } from "./bookState.ts";
import type { Account, Balance } from "./ledger.ts";
import type { MovementSum } from "./ports.ts";
import type { Tally } from "./tallies.ts";

/** Where a hold's money comes from: a deposit first, then what the account's payee earned in the open epoch. */
export interface Reservation {
  readonly deposit: Nano;
  readonly earnings: Nano;
  /** Whose earnings; 0 where none are used. */
  readonly payee: number;
}

interface PayerPurse {
  deposited: bigint;
  withdrawn: bigint;
  held: bigint;
  readonly debited: Tally;
}

interface Purse {
  account: Account;
  granted: bigint;
  held: bigint;
  readonly spent: Tally;
  readonly payer: PayerPurse;
  /** Whether it spends the node's own deposit. */
  readonly isNodes: boolean;
}

/**
 * What accounts and payers have: credits and deposits, less what receipts spent, less what holds set aside.
 * API-key accounts are granted credit and spend the node's own deposit; an account of another payer spends that payer's.
 */
export class Purses {
  readonly #state: BookState;
  readonly #requireDeposit: boolean;
  readonly #accounts = new Map<string, Purse>();
  readonly #externals = new Map<string, string>();
  /** By hex id. */
  readonly #payers = new Map<string, PayerPurse>();
  readonly #reservedEarnings = new Map<number, number>();
  readonly #node: Uint8Array;
  #earningsFrozen = false;

  /** With `requireDeposit` a hold also needs its payer's deposit; without it, grants are the node's promise. */
  constructor(state: BookState, node: Uint8Array, requireDeposit: boolean) {
    this.#state = state;
    this.#node = node;
    this.#requireDeposit = requireDeposit;
  }

  add(account: Account): void {
    if (account.external !== undefined) this.#externals.set(account.external, account.id);
    const present = this.#accounts.get(account.id);
    if (present !== undefined) {
      present.account = account;
      return;
    }
    const payer = this.#payer(toHex(account.payer));
    const isNodes = equalBytes(account.payer, this.#node);
    const spent = this.#state.spent.of(account.pseudonym);
    this.#accounts.set(account.id, { account, granted: 0n, held: 0n, spent, payer, isNodes });
  }

  /** The account of an external name. */
  external(name: string): Account | undefined {
    const id = this.#externals.get(name);
    return id === undefined ? undefined : this.account(id);
  }

  account(id: string): Account | undefined {
    return this.#accounts.get(id)?.account;
  }

  accounts(): readonly Account[] {
    return [...this.#accounts.values()].map(({ account }) => account);
  }

  move({ kind, party, amount }: MovementSum): void {
    if (kind === "grant") {
      const purse = this.#accounts.get(party);
      if (purse !== undefined) purse.granted += amount;
      return;
    }
    const payer = this.#payer(party);
    if (kind === "deposit") payer.deposited += amount;
    else payer.withdrawn += amount;
  }

  balance(id: string): Balance | undefined {
    const purse = this.#accounts.get(id);
    if (purse === undefined) return undefined;
    const { account, held, payer } = purse;
    const credited = purse.isNodes ? purse.granted : payer.deposited - payer.withdrawn;
    const { available: earned } = this.#earnings(account);
    const available = availableIn(purse);
    return { credited, spent: purse.spent.nano, held, available, earnedAvailable: BigInt(earned) };
  }

  reserve(id: string, amount: Nano): Result<Reservation> {
    const purse = this.#accounts.get(id);
    if (purse === undefined) return refuse("not_found", `there is no account ${id}`);
    const available = availableIn(purse);
    const funds = this.#requireDeposit ? smaller(available, depositLeft(purse.payer)) : available;
    const deposit = funds <= 0n ? 0 : Number(smaller(funds, BigInt(amount)));
    const earnings = amount - deposit;
    if (earnings === 0) {
      setAside(purse, deposit);
      return ok({ deposit, earnings: 0, payee: 0 });
    }
    const own = this.#earnings(purse.account);
    if (own.available < earnings) return this.#short(amount, available, funds, own.available);
    if (this.#earningsFrozen)
      return refuse("conflict", "earnings cannot be spent while their epoch is being closed", {
        hint: "try again in a moment, or add credit to the account",
      });
    setAside(purse, deposit);
    this.#reservedEarnings.set(own.payee, this.reservedEarnings(own.payee) + earnings);
    return ok({ deposit, earnings, payee: own.payee });
  }

  /** A part of a reservation is spent or free again; what receipts spent is in the state. */
  release(id: string, part: Reservation): void {
    setAside(this.#accounts.get(id)!, -part.deposit);
    if (part.payee === 0) return;
    const left = this.reservedEarnings(part.payee) - part.earnings;
    if (left > 0) this.#reservedEarnings.set(part.payee, left);
    else this.#reservedEarnings.delete(part.payee);
  }

  /** Sets an amount aside without earnings. In arrears the account's own credit is no limit, and only its payer's deposit on chain is one. */
  setAside(id: string, amount: Nano, inArrears: boolean): Result<void> {
    const purse = this.#accounts.get(id);
    if (purse === undefined) return refuse("not_found", `there is no account ${id}`);
    const available = availableIn(purse);
    const left = this.#requireDeposit ? depositLeft(purse.payer) : available;
    const funds = inArrears ? left : smaller(available, left);
    if ((this.#requireDeposit || !inArrears) && funds < BigInt(amount)) return this.#short(amount, available, funds, 0);
    setAside(purse, amount);
    return ok(undefined);
  }

  /** What was {@link setAside} is free again. */
  giveBack(id: string, amount: Nano): void {
    setAside(this.#accounts.get(id)!, -amount);
  }

  /** While an epoch is being cut no earnings are reserved; true once none are. */
  freezeEarnings(frozen: boolean): boolean {
    this.#earningsFrozen = frozen;
    return this.#reservedEarnings.size === 0;
  }

  /** Nano of a payee's unsettled credit that holds count on. */
  reservedEarnings(payee: number): Nano {
    return this.#reservedEarnings.get(payee) ?? 0;
  }

  /** The payees whose earnings an account may spend: the one that it is linked to, then the identities that are bound to that and count. */
  earners({ payee }: Account): readonly number[] {
    const own = payee === undefined ? undefined : this.#state.number(payee);
    return own === undefined ? [] : [own, ...this.#state.identitiesOf(own)];
  }

  /** Nano of a payee's unsettled credit that no hold counts on. */
  freeEarnings(payee: number): Nano {
    return this.#state.accruals.open(payee) - this.reservedEarnings(payee);
  }

  totals(): { readonly deposited: bigint; readonly granted: bigint } {
    let [deposited, granted] = [0n, 0n];
    for (const payer of this.#payers.values()) deposited += payer.deposited - payer.withdrawn;
    for (const purse of this.#accounts.values()) granted += purse.granted;
    return { deposited, granted };
  }

  /** The payee, of those this account stands for, with the most to spend: a receipt names one. */
  #earnings(account: Account): { readonly payee: number; readonly available: number } {
    let best = { payee: 0, available: 0 };
    for (const payee of this.earners(account)) {
      const available = this.freeEarnings(payee);
      if (available > best.available) best = { payee, available };
    }
    return best;
  }

  #short(amount: Nano, available: bigint, funds: bigint, earned: number): Result<never> {
    const node = funds < available ? "; the payer's deposit on chain is the limit" : "";
    const left = funds < 0n ? 0n : funds;
    return refuse(
      "insufficient_funds",
      `${amount} nano are needed, ${left} are available and ${earned} earned${node}`,
      {
        hint: "add credit to the account, or lower max_tokens",
      },
    );
  }

  #payer(id: string): PayerPurse {
    let payer = this.#payers.get(id);
    if (payer === undefined) {
      payer = { deposited: 0n, withdrawn: 0n, held: 0n, debited: this.#state.debited.of(fromHex(id)) };
      this.#payers.set(id, payer);
    }
    return payer;
  }
}

/** Sets an amount of the deposit aside; a negative one is free again. */
function setAside(purse: Purse, amount: Nano): void {
  const nano = BigInt(amount);
  purse.held += nano;
  purse.payer.held += nano;
}

function availableIn({ isNodes, granted, payer, spent, held }: Purse): bigint {
  return (isNodes ? granted : payer.deposited - payer.withdrawn) - spent.nano - held;
}

/** What is left of the payer's deposit after what was spent of it and what is held. */
function depositLeft({ deposited, withdrawn, debited, held }: PayerPurse): bigint {
  return deposited - withdrawn - debited.nano - held;
}

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
