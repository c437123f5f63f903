import { writeFile } from "node:fs/promises";
import { z } from "zod";
import { fromUtf8 } from "../../core/bytes.ts";
import { formatOpen } from "../../core/money.ts";
import { ok } from "../../core/result.ts";
import {
  type BankPayoutView,
  bankPayoutListSchema,
  bankPayoutSchema,
  payeeDetailsSchema,
  payoutPlanSchema,
} from "../../protocol/payouts.ts";
import { type Output, payeeText } from "../output.ts";
import { type CliCommand, command } from "./command.ts";
import { flag, payeeId, wholeNumber, wholeText } from "./inputs.ts";

const number = wholeNumber(1, 2_147_483_647);
const orderOptions = [
  ["--currency <code>", "ISO 4217, with two decimals (default USD)"],
  ["--rate <nano>", "nano OPEN for one unit of it (default: the node's rate for a dollar)"],
  ["--minimum <cents>", "smaller parts wait for a later payout (default 100)"],
] as const;
const orderInput = {
  currency: z
    .string()
    .regex(/^[A-Z]{3}$/, "must be three capital letters, as in EUR")
    .default("USD"),
  ...{ rate: wholeNumber(1, 1_000_000_000_000).optional(), minimum: wholeNumber(0, 1_000_000).default(100) },
};

const setDetails = command({
  path: "payee set",
  summary: "Keep how a payee is paid by bank, outside the journal",
  arguments: [["<payee>", "the payee's address, or its id of 64 hex digits"]],
  options: [
    ["--name <text>", "legal name"],
    ["--country <code>", "ISO 3166-1, as in DE"],
    ["--iban <iban>", "bank account"],
    ["--bic <bic>", "bank, where the account's country needs it"],
    ["--tax-id <text>", "tax number"],
    ["--withholding <bps>", "tax withheld, in hundredths of a percent (default 0)"],
  ],
  examples: ['openledger payee set 0x… --name "Ann Ames" --country DE --iban DE89370400440532013000'],
  input: z.object({
    ...{ payee: payeeId, name: wholeText, country: wholeText, iban: wholeText },
    ...{ bic: wholeText.optional(), taxId: wholeText.optional(), withholding: wholeNumber(0, 5_000).default(0) },
  }),
  run: async ({ payee, name: legalName, withholding: withholdingBps, ...rest }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const body = { legalName, withholdingBps, ...rest };
    const set = await client.value.post(`/api/payees/${payee}/details`, body, payeeDetailsSchema);
    if (set.ok) output.line(`${set.value.legalName} is paid to ${set.value.iban}`);
    return set;
  },
});

const forget = command({
  path: "payee forget",
  summary: "Erase how a payee is paid; payouts that were made keep their copy",
  arguments: [["<payee>", "the payee's address, or its id of 64 hex digits"]],
  examples: ["openledger payee forget 0x…"],
  input: z.object({ payee: payeeId }),
  run: async ({ payee }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const done = await client.value.delete(`/api/payees/${payee}/details`, z.object({}));
    if (done.ok) output.line("forgotten");
    return done;
  },
});

const create = command({
  path: "payout create",
  summary: "On credit: make a payout of all that is settled and due",
  options: [...orderOptions, ["--dry-run", "say who would be paid and who waits, and make nothing"]],
  examples: ["openledger payout create --dry-run", "openledger payout create --currency EUR --rate 1080000000"],
  input: z.object({ ...orderInput, dryRun: flag }),
  run: async ({ currency, rate, minimum, dryRun }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const body = { currency, minimum, ...(rate === undefined ? {} : { nanoPerUnit: rate }) };
    if (!dryRun) {
      const made = await client.value.post("/api/payouts", body, bankPayoutSchema);
      if (made.ok) {
        showPayout(made.value, output);
        output.line(
          `  its bank file: openledger payout file ${made.value.number} payout.xml --format pain.001 --debtor-name … --debtor-iban …`,
        );
      }
      return made;
    }
    const plan = await client.value.post("/api/payouts/plan", body, payoutPlanSchema);
    if (plan.ok) {
      showLines(plan.value.lines, currency, output);
      output.heading(`${plan.value.waiting.length} ${plan.value.waiting.length === 1 ? "waits" : "wait"}`);
      output.table(
        plan.value.waiting.map(({ payee, label, nano, why }) => ({
          ...{ payee: payeeText(payee), name: label ?? "", OPEN: formatOpen(BigInt(nano)) },
          why: why === "minimum" ? "less than the minimum" : "no bank account is kept for it",
        })),
      );
      if (plan.value.waiting.some(({ why }) => why === "details"))
        output.line("  say where to pay: openledger payee set PAYEE --name … --country … --iban …");
    }
    return plan;
  },
});

const list = command({
  path: "payout list",
  summary: "All payouts, newest first",
  examples: ["openledger payout list"],
  input: z.object({}),
  run: async (_input, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get("/api/payouts", bankPayoutListSchema);
    if (found.ok)
      output.table(
        found.value.data.map(({ number, status, epoch, currency, sums, lines, reference }) => ({
          ...{ number, status, epoch, payees: lines.length, [`net`]: `${money(sums.net)} ${currency}`, reference },
        })),
        "make one: openledger payout create",
      );
    return found;
  },
});

const show = command({
  path: "payout show",
  summary: "One payout and its lines",
  arguments: [["<number>", "its number"]],
  examples: ["openledger payout show 1"],
  input: z.object({ number }),
  run: async ({ number }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get(`/api/payouts/${number}`, bankPayoutSchema);
    if (found.ok) showPayout(found.value, output);
    return found;
  },
});

const file = command({
  path: "payout file",
  summary: "The bank file of a payout: pain.001 for the bank, CSV for people",
  arguments: [
    ["<number>", "its number"],
    ["<path>", "where to write it"],
  ],
  options: [
    ["--format <name>", "csv or pain.001 (default csv)"],
    ["--debtor-name <text>", "of a pain.001: who pays"],
    ["--debtor-iban <iban>", "of a pain.001: from which account"],
    ["--debtor-bic <bic>", "of a pain.001: at which bank"],
    ["--on <date>", "of a pain.001: when, as 2027-01-31 (default today)"],
  ],
  examples: [
    "openledger payout file 1 payout.csv",
    'openledger payout file 1 payout.xml --format pain.001 --debtor-name "Node Ltd" --debtor-iban DE89370400440532013000',
  ],
  input: z.object({
    ...{ number, path: wholeText, format: z.enum(["csv", "pain.001"]).default("csv") },
    ...{ debtorName: wholeText.optional(), debtorIban: wholeText.optional() },
    ...{ debtorBic: wholeText.optional(), on: wholeText.optional() },
  }),
  run: async ({ number, path, ...query }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const given = Object.entries(query).filter((one): one is [string, string] => one[1] !== undefined);
    const found = await client.value.bytes(`/api/payouts/${number}/file?${new URLSearchParams(given)}`);
    if (!found.ok) return found;
    // It names people and their accounts.
    await writeFile(path, found.value, { mode: 0o600 });
    output.line(`${path} is written, readable by you alone`);
    return ok({ path, bytes: found.value.length, lines: fromUtf8(found.value).split("\n").length });
  },
});

const paid = end("paid", "the bank has paid it", 'openledger payout paid 1 --reference "statement 2027-02-01"');
const cancel = end(
  "cancelled",
  "take it back: its balances are due again",
  'openledger payout cancel 1 --reference "wrong date"',
);

function end(status: "paid" | "cancelled", what: string, example: string): CliCommand {
  return command({
    path: status === "paid" ? "payout paid" : "payout cancel",
    summary: `Of an open payout: ${what}`,
    arguments: [["<number>", "its number"]],
    options: [["--reference <text>", "where it can be looked up, or why"]],
    examples: [example],
    input: z.object({ number, reference: wholeText }),
    run: async ({ number, reference }, { client: open, output }) => {
      const client = await open();
      if (!client.ok) return client;
      const done = await client.value.post(`/api/payouts/${number}/end`, { status, reference }, bankPayoutSchema);
      if (done.ok) output.line(`payout ${number} is ${done.value.status}`);
      return done;
    },
  });
}

export const payoutCommands: readonly CliCommand[] = [create, list, show, file, paid, cancel, setDetails, forget];

function showPayout(payout: BankPayoutView, output: Output): void {
  const { number, status, epoch, currency, reference } = payout;
  output.line(`payout ${number}, ${status}, of what is settled until epoch ${epoch} ${reference}`);
  showLines(payout.lines, currency, output);
}

function showLines(lines: BankPayoutView["lines"], currency: string, output: Output): void {
  output.table(
    lines.map(({ payee, legalName, gross, withheld, net }) => ({
      ...{
        payee: payeeText(payee),
        name: legalName,
        [`gross ${currency}`]: money(gross),
        withheld: money(withheld),
        net: money(net),
      },
    })),
    "nobody is paid",
  );
}

function money(minor: number): string {
  return `${Math.floor(minor / 100)}.${String(minor % 100).padStart(2, "0")}`;
}
