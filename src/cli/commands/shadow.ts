import { z } from "zod";
import { formatOpen, NANO_PER_OPEN } from "../../core/money.ts";
import { ok, refuse } from "../../core/result.ts";
import { reportFormats } from "../../ingest/formats.ts";
import { counted, type Output } from "../output.ts";
import { openReportFile } from "../reportFile.ts";
import { castShadow, type Shadow } from "../shadow.ts";
import { command } from "./command.ts";
import { columns, reportFormat } from "./ingest.ts";
import { wholeNumber, wholeText } from "./inputs.ts";
import { readManifest } from "./modelImport.ts";

const ROWS_AT_ONCE = 1_000;
const SHOWN_MAX = 15;

const files = z
  .array(z.string().regex(/^[^=]+=.+$/, "must be NAME=FILE"))
  .default([])
  .transform(
    (pairs) =>
      new Map(pairs.map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)] as const)),
  );

export const shadowCommand = command({
  path: "shadow",
  summary:
    "The statements that contributors would have had from another gateway's records; moves no money, needs no node",
  arguments: [["<file>", "JSON lines, a JSON list or CSV; plain or gzipped"]],
  options: [
    ["--format <format>", `whose records they are: ${reportFormats.join(", ")}`],
    ["--models <manifest>", "terms and training records of the models, as for: openledger model import"],
    ["--datanet <name=file...>", "records of a datanet that the manifest names, as JSON lines; may be repeated"],
    [
      "--royalty <percent>",
      "royalty of models that the manifest does not name, in percent of what they cost (default 30)",
    ],
    ["--payer <name>", "who pays, where a row does not say"],
    ["--column <field=column...>", "which column of a table holds a field; may be repeated"],
    ["--rate <nano>", "nano OPEN for one USD (default 1000000000)"],
    ["--of <name>", "only the statements of those whose name contains this, line by line"],
  ],
  examples: [
    "openledger shadow spend-logs.jsonl.gz --format litellm",
    "openledger shadow spend-logs.jsonl.gz --format litellm --models adapters.json --datanet handbook=records.jsonl.gz",
    "openledger shadow spend-logs.jsonl.gz --format litellm --models adapters.json --of Ames",
  ],
  input: z.object({
    ...{ file: wholeText, format: reportFormat, models: wholeText.optional(), datanet: files, column: columns },
    ...{ payer: wholeText.optional(), of: wholeText.optional(), royalty: wholeNumber(0, 100).default(30) },
    rate: wholeNumber(1, Number.MAX_SAFE_INTEGER).default(NANO_PER_OPEN),
  }),
  run: async ({ file, format, models, datanet, royalty, payer, column, rate, of }, { output, world, endAs }) => {
    const opened = await openReportFile(file);
    if (!opened.ok) return opened;
    const manifest = models === undefined ? ok([]) : await readManifest(models);
    if (!manifest.ok) return manifest;
    const shadow = await castShadow(opened.value.chunks(ROWS_AT_ONCE), {
      report: { format, defaults: payer === undefined ? {} : { payer }, mapping: column },
      ...{ models: manifest.value, datanets: datanet, royaltyBps: royalty * 100, nanoPerUsd: rate },
      ...{ nowMs: world.nowMs(), onProgress: (text) => output.progress(text) },
    });
    if (!shadow.ok) return shadow;
    const wrong = shadow.value.models.find(({ outcome }) => outcome === "refused");
    if (wrong !== undefined)
      return refuse("invalid_request", `row ${wrong.row} of the manifest (${wrong.name}): ${wrong.reason}`, {
        ...(wrong.hint === undefined ? {} : { hint: wrong.hint }),
        field: "models",
      });
    if (of === undefined) showAll(shadow.value, rate, output);
    else showSome(shadow.value, of, rate, output);
    if (shadow.value.rows.refused > 0) endAs("invalid_request");
    return ok(viewOf(shadow.value));
  },
});

function showAll({ rows, refused, undeclared, charged, parties }: Shadow, rate: number, output: Output): void {
  output.line(
    `${counted(rows.booked, "execution")}, ${rows.known} sent twice, ${rows.refused} refused; ${formatOpen(charged)} OPEN charged`,
  );
  for (const { row, reason } of refused.slice(0, 5)) output.line(`  row ${row}: ${reason}`);
  if (undeclared.size > 0) {
    const count = [...undeclared.values()].reduce((sum, each) => sum + each, 0);
    output.line(
      `${count} of them by ${counted(undeclared.size, "model")} that no manifest names: no contributor of theirs is paid`,
    );
  }
  const [accounts, payees] = [
    parties.filter(({ type }) => type === "account"),
    parties.filter(({ type }) => type === "payee"),
  ];
  output.heading(`Charged: ${counted(accounts.length, "payer")}`);
  output.table(
    top(
      accounts.map((one) => ({ ...one, nano: -one.nano })),
      rate,
    ),
  );
  output.heading(`Owed: ${counted(payees.length, "payee")}`);
  output.table(top(payees, rate));
  const least = payees.reduce<(typeof payees)[number] | undefined>(
    (low, one) => (low === undefined || one.nano < low.nano ? one : low),
    undefined,
  );
  if (least !== undefined) output.line(`  the smallest: ${least.name}, ${formatOpen(least.nano)} OPEN`);
}

function top(parties: readonly { readonly name: string; readonly nano: bigint }[], rate: number) {
  const sorted = parties.toSorted((a, b) => (a.nano < b.nano ? 1 : a.nano > b.nano ? -1 : 0));
  return sorted.slice(0, SHOWN_MAX).map(({ name, nano }) => ({ name, OPEN: formatOpen(nano), USD: usd(nano, rate) }));
}

function showSome({ parties, modelName }: Shadow, of: string, rate: number, output: Output): void {
  const wanted = parties.filter(({ name }) => name.toLowerCase().includes(of.toLowerCase()));
  for (const { name, nano, lines } of wanted.slice(0, SHOWN_MAX)) {
    output.heading(`${name}: ${formatOpen(nano)} OPEN, ${usd(nano, rate)} USD`);
    output.table(
      lines.map(({ kind, role, of: subject, count, nano: amount }) => ({
        ...{ kind, role, of: modelName(subject) ?? subject, executions: kind === "pool" ? "–" : count },
        OPEN: formatOpen(amount),
      })),
    );
  }
  if (wanted.length > SHOWN_MAX) output.line(`  and ${wanted.length - SHOWN_MAX} more: --json lists all`);
  if (wanted.length === 0) output.line(`nobody is called ${of}`);
}

function viewOf({ rows, refused, undeclared, charged, parties, modelName }: Shadow) {
  const statements = parties.map(({ type, id, name, nano, lines }) => ({
    ...{ type, id, name, nano },
    lines: lines.map((line) => ({ ...line, model: modelName(line.of) })),
  }));
  return { ...rows, charged, undeclared: Object.fromEntries(undeclared), refusedRows: refused, statements };
}

function usd(nano: bigint, rate: number): string {
  return (Number((nano * 1_000_000n) / BigInt(rate)) / 1e6).toFixed(6);
}
