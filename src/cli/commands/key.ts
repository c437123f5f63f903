import { z } from "zod";
import { createKeySchema, keyListSchema, keySchema, newKeySchema } from "../../protocol/accounts.ts";
import { parseInput } from "../../protocol/parse.ts";
import { type CliCommand, command } from "./command.ts";
import { flag, openAmount, wholeNumber, wholeText } from "./inputs.ts";

const whole = wholeNumber(1, 1_000_000_000).optional();

const create = command({
  path: "key create",
  summary: "Create an API key; its secret is shown this once",
  arguments: [
    ["<account>", "the account that it spends"],
    ["<name>", "what it is for"],
  ],
  options: [
    ["--admin", "may also make accounts, keys, datanets and models"],
    ["--requests-per-minute <count>", "at most"],
    ["--tokens-per-minute <count>", "at most"],
    ["--open-per-day <open>", "OPEN at most"],
    ["--in-flight <count>", "requests at once at most"],
  ],
  examples: [
    "openledger key create acct_… laptop",
    "openledger key create acct_… ci --requests-per-minute 60 --open-per-day 0.5",
  ],
  input: z.object({
    ...{ account: wholeText, name: wholeText, admin: flag, requestsPerMinute: whole, tokensPerMinute: whole },
    ...{ openPerDay: openAmount.optional(), inFlight: whole },
  }),
  run: async ({ account, name, admin, openPerDay, ...counts }, { client: open, output }) => {
    const limits = { ...counts, ...(openPerDay === undefined ? {} : { nanoPerDay: openPerDay }) };
    const body = parseInput(createKeySchema, { account, name, admin, limits });
    if (!body.ok) return body;
    const client = await open();
    if (!client.ok) return client;
    const made = await client.value.post("/api/keys", body.value, newKeySchema);
    if (made.ok) {
      output.line(made.value.secret);
      output.line(`  ${made.value.key.id}; the secret is not shown again`);
    }
    return made;
  },
});

const list = command({
  path: "key list",
  summary: "Keys of the account; with an admin key, of all accounts",
  examples: ["openledger key list"],
  input: z.object({}),
  run: async (_input, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get("/api/keys", keyListSchema);
    if (found.ok) {
      output.table(
        found.value.data.map(({ id, account, name, hint, admin, createdMs, revokedMs }) => ({
          ...{ id, account, name, hint, admin: admin ? "yes" : "no" },
          ...{ created: new Date(createdMs).toISOString(), revoked: revokedMs && new Date(revokedMs).toISOString() },
        })),
        "make one: openledger key create ACCOUNT NAME",
      );
    }
    return found;
  },
});

const revoke = command({
  path: "key revoke",
  summary: "Revoke a key, at once and for good",
  arguments: [["<id>", "key_ and 24 hex digits"]],
  examples: ["openledger key revoke key_…"],
  input: z.object({ id: z.string().regex(/^key_[0-9a-f]{24}$/, "a key id, key_ and 24 hex digits") }),
  run: async ({ id }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const revoked = await client.value.delete(`/api/keys/${id}`, keySchema);
    if (revoked.ok) output.line(`${revoked.value.id} (${revoked.value.name}) is revoked`);
    return revoked;
  },
});

export const keyCommands: readonly CliCommand[] = [create, list, revoke];
