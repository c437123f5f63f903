import { writeFile } from "node:fs/promises";
import { z } from "zod";
import { formatOpen } from "../../core/money.ts";
import { ok, refuse } from "../../core/result.ts";
import {
  type IssuedStatementView,
  issuedSchema,
  issuedStatementListSchema,
  issuedStatementSchema,
  issuerSchema,
} from "../../protocol/statements.ts";
import { counted } from "../output.ts";
import { type CliCommand, command } from "./command.ts";
import { payeeId, wholeNumber, wholeText } from "./inputs.ts";

const month = z.string().regex(/^20\d{2}-(0[1-9]|1[0-2])$/, "must be a month, as in 2027-01");
const number = wholeNumber(1, 2_147_483_647);

const issue = command({
  path: "statement issue",
  summary: "Issue a month's statements for everybody who was credited or charged in it",
  arguments: [["<month>", "a month that is over, as 2027-01, in UTC"]],
  examples: ["openledger statement issue 2027-01"],
  input: z.object({ month }),
  run: async ({ month: period }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const done = await client.value.post("/api/statements", { period }, issuedSchema);
    if (done.ok) {
      output.line(`${done.value.issued} issued for ${period}; ${done.value.known} were there already`);
      if (done.value.issued + done.value.known > 0)
        output.line(`  see them: openledger statement list --month ${period}`);
    }
    return done;
  },
});

const list = command({
  path: "statement list",
  summary: "Issued statements and credit notes, by number",
  options: [
    ["--month <month>", "of this month only"],
    ["--payee <id>", "of this payee only"],
  ],
  examples: ["openledger statement list --month 2027-01"],
  input: z.object({ month: month.optional(), payee: payeeId.optional() }),
  run: async ({ month: period, payee: party }, { client: open, output, world }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get("/api/statements", issuedStatementListSchema, { period, party });
    if (found.ok)
      output.table(
        found.value.data.map(({ number: no, kind, period: of, party: whose, nano, microUsd }) => ({
          ...{ number: no, kind: kind.replace("_", " "), month: of, party: whose.type, name: whose.name || whose.id },
          ...{ OPEN: formatOpen(BigInt(nano)), USD: (Number(microUsd) / 1e6).toFixed(6) },
        })),
        `issue a month that is over: openledger statement issue ${lastMonth(world.nowMs())}`,
      );
    return found;
  },
});

const show = command({
  path: "statement show",
  summary: "One statement, or its file",
  arguments: [["<number>", "its number"]],
  options: [
    ["--pdf <path>", "write it as PDF"],
    ["--csv <path>", "write its lines as CSV"],
  ],
  examples: ["openledger statement show 1", "openledger statement show 1 --pdf statement.pdf"],
  input: z.object({ number, pdf: wholeText.optional(), csv: wholeText.optional() }),
  run: async ({ number: no, pdf, csv }, { client: open, output }) => {
    const client = await open();
    if (!client.ok) return client;
    const found = await client.value.get(`/api/statements/${no}`, issuedStatementSchema);
    if (!found.ok) return found;
    const files = [
      ["pdf", pdf],
      ["csv", csv],
    ] as const;
    for (const [format, path] of files) {
      if (path === undefined) continue;
      const file = await client.value.bytes(`/api/statements/${no}?format=${format}`);
      if (!file.ok) return file;
      await writeFile(path, file.value, { mode: 0o600 });
      output.line(`${path} is written, readable by you alone`);
    }
    const { kind, period, party, entries, lines, claims, nano, hash, issuer, due } = found.value;
    output.line(`${kind.replace("_", " ")} ${no} of ${period}: ${party.name || party.id}`);
    if (issuer !== undefined) output.line(`  issued by ${issuerText(issuer)}`);
    if (due !== undefined) output.line(`  due ${due}`);
    output.table(
      lines.map(({ kind: what, role, of, name, count, nano: amount, microUsd }) => ({
        ...{ what, role, by: name ?? of.slice(0, 14), count, OPEN: formatOpen(BigInt(amount)) },
        USD: (Number(microUsd) / 1e6).toFixed(6),
      })),
    );
    if (claims.length > 0) {
      output.heading("Claimed");
      output.table(claims.map(claimRow));
    }
    output.line(
      `  ${formatOpen(BigInt(nano))} OPEN over journal entries ${entries.from} to ${entries.until}; sha256 ${hash}`,
    );
    return ok(found.value);
  },
});

function claimRow(claim: IssuedStatementView["claims"][number]): Record<string, string> {
  const { reference, timeMs, nano, feeNano, nanoPerUsd, source, microUsd, accrualMicroUsd } = claim;
  return {
    ...{ day: new Date(timeMs).toISOString().slice(0, 10), by: reference.slice(0, 14), OPEN: formatOpen(BigInt(nano)) },
    ...{ fee: formatOpen(BigInt(feeNano)), "USD then": nanoPerUsd === 0 ? "no rate" : dollars(microUsd) },
    ...{ "rate by": source, "USD at accrual": accrualMicroUsd === undefined ? "not issued" : dollars(accrualMicroUsd) },
  };
}

function dollars(micro: string): string {
  return (Number(micro) / 1e6).toFixed(6);
}

const issuer = command({
  path: "statement issuer",
  summary: "Who issues this node's statements; options say it for those that are issued from now on",
  options: [
    ["--name <text>", "legal name"],
    ["--address <text>", "in one line"],
    ["--tax-id <text>", "tax number or VAT id"],
    ["--due-days <days>", "days from its issue to when a statement that charges an account is due"],
  ],
  examples: [
    "openledger statement issuer",
    'openledger statement issuer --name "Node Ltd" --address "1 Mill Lane, Leeds" --tax-id GB123456789 --due-days 14',
  ],
  input: z.object({
    ...{ name: wholeText.optional(), address: wholeText.optional(), taxId: wholeText.optional() },
    dueDays: wholeNumber(0, 365).optional(),
  }),
  run: async (said, { client: open, output }) => {
    const says = Object.values(said).some((value) => value !== undefined);
    if (says && said.name === undefined)
      return refuse("invalid_request", "--name is missing: who issues is said as a whole", { field: "name" });
    const client = await open();
    if (!client.ok) return client;
    const found = says
      ? await client.value.post("/api/issuer", said, issuerSchema)
      : await client.value.get("/api/issuer", issuerSchema);
    if (!found.ok) return found;
    const known = found.value.issuer;
    if (known === null) output.line("nobody has said yet who issues: openledger statement issuer --name …");
    else
      output.line(
        `issued by ${issuerText(known)}${known.dueDays === undefined ? "" : `; due in ${counted(known.dueDays, "day")}`}`,
      );
    return found;
  },
});

function issuerText({ name, address, taxId }: NonNullable<IssuedStatementView["issuer"]>): string {
  return [name, address, taxId === "" ? "" : `tax number ${taxId}`].filter(Boolean).join(", ");
}

export const statementCommands: readonly CliCommand[] = [issue, list, show, issuer];

/** The newest month that is over, in UTC. */
function lastMonth(nowMs: number): string {
  const now = new Date(nowMs);
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 1)).toISOString().slice(0, 7);
}
