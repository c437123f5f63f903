import { toHex } from "../core/bytes.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { Account, Accounts, ApiKey, Balance } from "../ledger/ledger.ts";
import type { AccountView } from "../protocol/workshop.ts";
import type { Floor } from "./order.ts";

/** The same with whose earnings it may spend. */
export function linkedView(account: Account, { ledger, labels }: Pick<Floor, "ledger" | "labels">): AccountView {
  const view = accountView(account, ledger.accounts);
  if (account.payee === undefined) return view;
  const earners = ledger.earnings.of(account.id).map(({ payee, lifetime, available }) => {
    const label = labels(payee);
    return {
      ...{ payee: toHex(payee), ...(label === undefined ? {} : { label }) },
      ...{ lifetime: String(lifetime), available: String(available) },
    };
  });
  return { ...view, earners };
}

/** The account of an id, or with `me` of the key, if it is the key's own; an admin's are all. */
export function ownAccount(accounts: Pick<Accounts, "get">, id: string, key: ApiKey | undefined): Result<Account> {
  const wanted = id === "me" ? (key?.account ?? "") : id;
  if (key === undefined || (!key.admin && key.account !== wanted))
    return refuse("forbidden", "this is not the key's own account");
  const account = accounts.get(wanted);
  return account === undefined ? refuse("not_found", `there is no account ${wanted}`, { field: "id" }) : ok(account);
}

/** An account and its balance as the own API shows them: totals as decimal text. */
export function accountView(account: Account, accounts: Pick<Accounts, "balance">): AccountView {
  const { id, name, payer, pseudonym, payee, createdMs } = account;
  return {
    ...{ id, name, payer: toHex(payer), pseudonym: toHex(pseudonym), createdMs },
    ...(payee === undefined ? {} : { payee: toHex(payee) }),
    balance: balanceView(accounts.balance(id) ?? nothing),
  };
}

export function balanceView({ credited, spent, held, available, earnedAvailable }: Balance): AccountView["balance"] {
  return {
    ...{ credited: String(credited), spent: String(spent), held: String(held) },
    ...{ available: String(available), earnedAvailable: String(earnedAvailable) },
  };
}

const nothing: Balance = { credited: 0n, spent: 0n, held: 0n, available: 0n, earnedAvailable: 0n };
