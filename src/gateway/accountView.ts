import { toHex } from "../core/bytes.ts";
import type { Account, Accounts, Balance } from "../ledger/ledger.ts";
import type { AccountView } from "../protocol/workshop.ts";

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
