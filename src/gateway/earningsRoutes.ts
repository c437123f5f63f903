import { fromHex, toHex } from "../core/bytes.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { Account, ApiKey } from "../ledger/ledger.ts";
import {
  accountParam,
  accountSchema,
  addressParam,
  linkPayeeSchema,
  ownAccountSchema,
  ownedAccountSchema,
} from "../protocol/accounts.ts";
import { empty } from "../protocol/scalars.ts";
import { linkedView, ownAccount } from "./accountView.ts";
import type { Floor } from "./order.ts";
import { json, plain, type Route, route } from "./routes.ts";

interface Caller {
  readonly key: ApiKey | undefined;
  readonly exchange: { readonly requestId: string };
}

/** Which account may spend and see what an address earns: the address says so by its signature, and whoever has the account wants it. */
export function earningsRoutes(floor: Floor): Route[] {
  const { accounts, earnings } = floor.ledger;
  const shared = { ...plain, access: "key", needs: "earnings.write", tag: "accounts" } as const;
  const ofAccount = { ...shared, path: "/api/accounts/{id}/payee", params: accountParam } as const;
  return [
    route({
      ...{ ...ofAccount, method: "PUT", body: linkPayeeSchema, response: accountSchema },
      summary: "Let an account spend and see what an address earns, by that address's signature",
      handle: async ({ params, body: { payee, ...proof }, ...caller }) => {
        const account = ownAccount(accounts, params.id, caller.key);
        if (!account.ok) return account;
        const linked = await earnings.link(account.value.id, signed(payee, proof));
        if (!linked.ok) return linked;
        const noted = await note(floor, account.value, "account.link", caller);
        return noted.ok ? json(linkedView(accounts.get(account.value.id) ?? account.value, floor)) : noted;
      },
    }),
    route({
      ...{ ...ofAccount, method: "DELETE", response: empty },
      summary: "Let an account spend nobody's earnings any more; the key of the payee's own account may end it too",
      handle: async ({ params, ...caller }) => {
        const account = linkedAccount(floor, params.id, caller.key);
        if (!account.ok) return account;
        const unlinked = await earnings.unlink(account.value.id);
        if (!unlinked.ok) return unlinked;
        // Nothing of the account is shown: whoever ends it need not be whose it is.
        const noted = await note(floor, account.value, "account.unlink", caller);
        return noted.ok ? json({}) : noted;
      },
    }),
    route({
      ...{ ...plain, method: "POST", path: "/api/payees/{payee}/account", tag: "accounts", access: "open" },
      ...{ params: addressParam, body: ownAccountSchema, response: ownedAccountSchema },
      summary: "An account of an address's own, by its signature, with a key; again, another secret for that key",
      handle: async ({ params, body }) => {
        const opened = await earnings.openOwn(signed(params.payee, body));
        if (!opened.ok) return opened;
        const { secret } = opened.value;
        const [account, key] = [accounts.get(opened.value.account), accounts.findKey(secret)];
        if (account === undefined || key === undefined) return refuse("conflict", "another secret was made meanwhile");
        return json({ account: linkedView(account, floor), key, secret });
      },
    }),
  ];
}

function signed(payee: string, { deadlineMs, signature }: { readonly deadlineMs: number; readonly signature: string }) {
  return { payee: fromHex(payee), deadlineMs, signature: fromHex(signature) };
}

/** The key's own account, or one that stands for whom the key's account is the own one of. */
function linkedAccount({ ledger }: Floor, id: string, key: ApiKey | undefined): Result<Account> {
  const { accounts, earnings } = ledger;
  const account = accounts.get(id);
  if (key !== undefined && account !== undefined && earnings.isOwner(key.account, id)) return ok(account);
  return ownAccount(accounts, id, key);
}

/** What was done to an organisation's account stands in its log. */
async function note(
  { ledger, organisations }: Floor,
  before: Account,
  action: string,
  { key, exchange }: Caller,
): Promise<Result<void>> {
  const organisation = organisations?.ofAccount(before.id);
  if (organisations === undefined || organisation === undefined || key === undefined) return ok(undefined);
  const after = ledger.accounts.get(before.id) ?? before;
  const act = { action, target: before.id, before: payeeOf(before), after: payeeOf(after) };
  return organisations.note({ key, request: exchange.requestId }, organisation.id, act);
}

function payeeOf({ payee }: Account): object {
  return { payee: payee === undefined ? null : toHex(payee) };
}
