import { fromHex } from "../core/bytes.ts";
import { refuse } from "../core/result.ts";
import type { Account, ApiKey, Statement } from "../ledger/ledger.ts";
import {
  accountParam,
  accountSchema,
  balanceSchema,
  createKeySchema,
  creditSchema,
  keyListSchema,
  keyParam,
  keySchema,
  newKeySchema,
  openAccountSchema,
  statementQuery,
  statementSchema,
} from "../protocol/accounts.ts";
import { payeeParam } from "../protocol/epochs.ts";
import { balanceView, linkedView, ownAccount } from "./accountView.ts";
import type { Floor } from "./order.ts";
import type { ChainView } from "./ports.ts";
import { present } from "./present.ts";
import { json, jsonOf, plain, type Route, route } from "./routes.ts";
import { stagesOf, stagesView } from "./stages.ts";

/** Accounts, keys and statements. A key sees its own account; an admin key sees and makes all. */
export function accountRoutes(floor: Floor, chain?: ChainView): Route[] {
  const { ledger, organisations } = floor;
  const { accounts } = ledger;
  const view = (account: Account) => linkedView(account, floor);
  const own = (id: string, key: ApiKey | undefined) => ownAccount(accounts, id, key);
  return [
    route({
      ...plain,
      ...{
        method: "GET",
        path: "/api/accounts/{id}",
        tag: "accounts",
        access: "key",
        needs: "money.read",
        response: accountSchema,
      },
      summary: "An account and its balance; `me` is the key's own",
      params: accountParam,
      handle: ({ params, key }) => jsonOf(own(params.id, key), view),
    }),
    route({
      ...plain,
      ...{
        method: "GET",
        path: "/api/accounts/{id}/statement",
        tag: "accounts",
        access: "key",
        needs: "money.read",
        response: statementSchema,
      },
      summary: "Every credit and debit of an account, each explained by its receipt",
      ...{ params: accountParam, query: statementQuery },
      handle: async ({ params, query, key }) => {
        const account = own(params.id, key);
        if (!account.ok) return account;
        return json(statementView(await accounts.statement({ account: account.value.id, ...present(query) })));
      },
    }),
    route({
      ...plain,
      ...{
        method: "GET",
        path: "/api/payees/{payee}/statement",
        tag: "accounts",
        access: "open",
        response: statementSchema,
      },
      summary: "What a payee was credited, each line explained by its receipt; public, as the journal is",
      ...{ params: payeeParam, query: statementQuery },
      handle: async ({ params, query }) => {
        const payee = fromHex(params.payee);
        const statement = statementView(await accounts.statement({ payee, ...present(query) }));
        const claimed = await chain?.claimed(payee);
        if (claimed?.ok !== true || ledger.books.payeeNumber(payee) === undefined) return json(statement);
        return json({ ...statement, stages: stagesView(await stagesOf(ledger, payee, claimed.value)) });
      },
    }),
    route({
      ...plain,
      ...{ method: "POST", path: "/api/accounts", tag: "accounts", access: "admin", response: accountSchema },
      summary: "Open an account",
      body: openAccountSchema,
      handle: async ({ body }) => jsonOf(await accounts.open(body), view),
    }),
    route({
      ...plain,
      ...{
        method: "POST",
        path: "/api/accounts/{id}/credit",
        tag: "accounts",
        access: "admin",
        response: balanceSchema,
      },
      summary: "Grant credit from the node's own deposit; idempotent by `key`",
      ...{ params: accountParam, body: creditSchema },
      handle: async ({ params, body, key, exchange }) => {
        const account = own(params.id, key);
        if (!account.ok) return account;
        const { id } = account.value;
        const before = accounts.balance(id);
        const credited = await accounts.credit({ account: id, ...body });
        const organisation = organisations?.ofAccount(id);
        if (!credited.ok || organisation === undefined || key === undefined || before === undefined)
          return jsonOf(credited, balanceView);
        const [from, to] = [before, credited.value].map((balance) => ({ credited: String(balance.credited) }));
        const act = { action: "account.credit", target: id, before: from!, after: { ...to!, note: body.note } };
        const noted = await organisations?.note({ key, request: exchange.requestId }, organisation.id, act);
        return noted?.ok === false ? noted : jsonOf(credited, balanceView);
      },
    }),
    route({
      ...plain,
      ...{
        method: "GET",
        path: "/api/keys",
        tag: "keys",
        access: "key",
        needs: "organisation.read",
        response: keyListSchema,
      },
      summary: "The account's keys; an admin sees all",
      handle: ({ key }) => json({ data: accounts.keys(key?.admin ? undefined : key?.account) }),
    }),
    route({
      ...plain,
      ...{ method: "POST", path: "/api/keys", tag: "keys", access: "admin", response: newKeySchema },
      summary: "Create a key; its secret is shown this once",
      body: createKeySchema,
      handle: async ({ body }) => {
        const { account, name, limits, admin } = body;
        if (organisations?.ofAccount(account) !== undefined)
          return refuse("conflict", "the account is an organisation's, whose members make its keys", {
            hint: "openledger org key --help",
          });
        const made = await accounts.createKey({
          ...{ account, name },
          ...(limits === undefined ? {} : { limits: present(limits) }),
          ...(admin === undefined ? {} : { admin }),
        });
        return jsonOf(made);
      },
    }),
    route({
      ...plain,
      ...{ method: "DELETE", path: "/api/keys/{id}", tag: "keys", access: "key", response: keySchema },
      summary: "Revoke a key of the own account",
      params: keyParam,
      handle: async ({ params, key, exchange }) => {
        const found = accounts.keys(key?.admin ? undefined : key?.account).find((one) => one.id === params.id);
        if (found === undefined) return refuse("not_found", `there is no key ${params.id}`, { field: "id" });
        const { scope } = found;
        if (scope === undefined || organisations === undefined || key === undefined)
          return jsonOf(await accounts.revokeKey(params.id));
        return jsonOf(
          await organisations.revokeKey({ key, request: exchange.requestId }, scope.organisation, params.id),
        );
      },
    }),
  ];
}

function statementView({ lines, total, truncated }: Statement): object {
  return { lines, total: String(total), truncated };
}
