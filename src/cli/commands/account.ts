import { z } from "zod";
import { formatOpen } from "../../core/money.ts";
import { refuse } from "../../core/result.ts";
import { accountSchema, balanceSchema, statementSchema } from "../../protocol/accounts.ts";
import { accountListSchema } from "../../protocol/workshop.ts";
import type { Output } from "../output.ts";
import { amounts, earningsCommands, showAccount } from "./accountEarnings.ts";
import { type CliCommand, command } from "./command.ts";
import { accountId, count, openAmount, payeeId, wholeText } from "./inputs.ts";

const create = command({
  path: "account create",
  summary: "Open an account",
  arguments: [["<name>", "whose it is"]],
  examples: ["openledger account create research"],
  input: z.object({ name: wholeText.max(120) }),
  run: async (body, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const made = await client.value.post("/api/accounts", body, accountSchema);
    if (made.ok) {
      output.line(`${made.value.id} (${made.value.name})`);
      output.line(`  give it credit: openledger account credit ${made.value.id} 1`);
    }
    return made;
  },
});

const list = command({
  path: "account list",
  summary: "All accounts",
  examples: ["openledger account list"],
  input: z.object({}),
  run: async (_input, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get("/api/accounts", accountListSchema);
    if (found.ok)
      output.table(
        found.value.data.map(({ id, name, balance }) => ({ id, name, ...amounts(balance) })),
        "open one: openledger account create NAME",
      );
    return found;
  },
});

const show = command({
  path: "account show",
  summary: "An account: its balance, whom it is linked to, and what that payee earns",
  arguments: [["[id]", "the key's own where it is left out"]],
  examples: ["openledger account show", "openledger account show acct_…"],
  input: z.object({ id: accountId.default("me") }),
  run: async ({ id }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get(`/api/accounts/${id}`, accountSchema);
    if (found.ok) showAccount(found.value, output);
    return found;
  },
});

const credit = command({
  path: "account credit",
  summary: "Grant an account credit from the node's own deposit",
  arguments: [
    ["<id>", "the account"],
    ["<open>", "an amount of OPEN, for example 1.25"],
  ],
  options: [
    ["--once <text>", "the same text again grants nothing more"],
    ["--note <text>", "why"],
  ],
  examples: [
    "openledger account credit acct_… 1.25",
    "openledger account credit acct_… 5 --once 2027-01 --note monthly",
  ],
  input: z.object({
    ...{ id: accountId, open: openAmount, once: wholeText.max(200).optional(), note: z.string().max(500).default("") },
  }),
  run: async ({ id, open: amount, once, note }, { client: open, output, world }) => {
    if (amount === 0) return refuse("amount_out_of_range", "a credit is more than nothing", { field: "open" });
    const client = await open();
    if (!client.ok) return client;
    const body = { amount, key: once ?? world.randomId(), note };
    const granted = await client.value.post(`/api/accounts/${id}/credit`, body, balanceSchema);
    if (granted.ok) output.table([amounts(granted.value)]);
    return granted;
  },
});

const statement = command({
  path: "account statement",
  summary: "Every credit and debit, each explained by its receipt",
  arguments: [["[id]", "the account; the key's own where it is left out"]],
  options: [
    ["--payee <id>", "of a payee instead: what it was credited"],
    ["--from <date>", "ISO 8601"],
    ["--until <date>", "ISO 8601"],
    ["--limit <count>", "at most this many lines (default 50)"],
  ],
  examples: ["openledger account statement", "openledger account statement --payee 0x… --from 2027-01-01"],
  input: z.object({
    ...{ id: accountId.optional(), payee: payeeId.optional(), limit: count.default(50) },
    ...{ from: z.string().optional(), until: z.string().optional() },
  }),
  run: async ({ id, payee, limit, from, until }, { client: open, output }) => {
    if (id !== undefined && payee !== undefined)
      return refuse("invalid_request", "a statement is of an account or of a payee", { field: "payee" });
    const [fromMs, untilMs] = [parseDate(from), parseDate(until)];
    if (Number.isNaN(fromMs) || Number.isNaN(untilMs))
      return refuse("invalid_request", "dates are written as ISO 8601", { hint: "for example 2027-01-31" });
    const client = await open();
    if (!client.ok) return client;
    const path = payee === undefined ? `/api/accounts/${id ?? "me"}` : `/api/payees/${payee}`;
    const found = await client.value.get(`${path}/statement`, statementSchema, { limit, fromMs, untilMs });
    if (found.ok) showStatement(found.value, output);
    return found;
  },
});

export const accountCommands: readonly CliCommand[] = [create, list, show, credit, statement, ...earningsCommands];

function showStatement({ lines, total, truncated, stages }: z.infer<typeof statementSchema>, output: Output): void {
  output.table(
    lines.map(({ seq, timeMs, kind, role, amount, receipt }) => ({
      ...{ seq, time: new Date(timeMs).toISOString(), kind, role, OPEN: formatOpen(amount), receipt },
    })),
    "nothing was credited or charged yet",
  );
  output.line(
    `  total ${formatOpen(BigInt(total))} OPEN${truncated ? `, over more lines than these ${lines.length}` : ""}`,
  );
  if (stages === undefined) return;
  const said = Object.entries(stages).map(([stage, nano]) => `${stage} ${formatOpen(BigInt(nano))}`);
  output.line(`  of all that was ever credited, in OPEN: ${said.join(", ")}`);
}

function parseDate(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Date.parse(text);
}
