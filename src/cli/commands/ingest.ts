import { z } from "zod";
import { ok, refuse } from "../../core/result.ts";
import type { CsvMapping } from "../../ingest/csv.ts";
import { reportFormats } from "../../ingest/formats.ts";
import { refusedLines } from "../../node/refusedLines.ts";
import { type ExecutionRow, executionsSchema } from "../../protocol/executions.ts";
import { openReportFile, type ReportChunk } from "../reportFile.ts";
import { command, type Shell } from "./command.ts";
import { flag, wholeNumber, wholeText } from "./inputs.ts";

const ROWS_AT_ONCE = 1_000;
/** A node takes in bodies of at most 4 MiB. */
const BYTES_AT_ONCE = 3 * 1024 * 1024;
const REFUSED_KEPT_MAX = 1_000;
const TRIES_MAX = 8;

const columnNames = ["id", "time", "payer", "model", "operator", "tokensIn", "tokensOut", "cost", "parent"] as const;

/** `--column cost=usd`, as often as there are columns to name. */
export const columns = z
  .array(z.string().regex(/^[A-Za-z]+=.+$/, "must be FIELD=COLUMN"))
  .default([])
  .transform((pairs, context): Partial<Record<keyof CsvMapping, string>> => {
    const found = pairs.map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)] as const);
    const strange = found.find(([field]) => !columnNames.some((name) => name === field));
    if (strange === undefined) return Object.fromEntries(found);
    context.addIssue({ code: "custom", message: `there is no field ${strange[0]}: ${columnNames.join(", ")}` });
    return z.NEVER;
  });
export const reportFormat = z.enum(reportFormats, { error: `must be one of ${reportFormats.join(", ")}` });

export const ingestCommand = command({
  path: "ingest",
  summary: "Book executions that another gateway served, from a file of its records",
  arguments: [["<file>", "JSON lines, a JSON list or CSV; plain or gzipped"]],
  options: [
    ["--format <format>", `whose records they are: ${reportFormats.join(", ")}`],
    ["--payer <name>", "who pays, where a row does not say"],
    ["--column <field=column...>", "which column of a table holds a field; may be repeated"],
    ["--amend", "rows that are known with other contents are corrected"],
    ["--from <row>", "go on at this row; whatever was booked before is known anyway"],
  ],
  examples: [
    "openledger ingest spend-logs.jsonl.gz --format litellm",
    "openledger ingest usage.csv --format csv --column id=ref --column cost=usd --column payer=customer",
  ],
  input: z.object({
    ...{ file: wholeText, format: reportFormat, payer: wholeText.optional(), column: columns, amend: flag },
    from: wholeNumber(1, 1_000_000_000).default(1),
  }),
  run: async ({ file, format, payer, column, amend, from }, shell) => {
    const opened = await openReportFile(file);
    if (!opened.ok) return opened;
    const client = await shell.client();
    if (!client.ok) return client;
    const query = new URLSearchParams({
      format,
      rows: "refused",
      ...(payer === undefined ? {} : { payer }),
      ...(amend ? { amend: "true" } : {}),
    });
    for (const [field, name] of Object.entries(column)) query.set(`col.${field}`, name);
    const counts = { booked: 0, known: 0, corrected: 0, refused: 0 };
    const refused: ExecutionRow[] = [];
    for await (const chunk of opened.value.chunks(ROWS_AT_ONCE)) {
      if (chunk.first + chunk.records.length <= from) continue;
      for (const body of bodiesOf(chunk, from)) {
        const sent = await sendPatiently(shell, () =>
          client.value.send(`/api/executions?${query}`, body.bytes, "application/x-ndjson", executionsSchema),
        );
        if (!sent.ok)
          return refuse(sent.error.code, `stopped at row ${body.first}: ${sent.error.message}`, {
            hint: `what came before it is booked; go on with --from ${body.first}`,
          });
        const { rows, ...sums } = sent.value;
        for (const name of ["booked", "known", "corrected", "refused"] as const) counts[name] += sums[name];
        const wrong = rows.filter(({ outcome }) => outcome === "refused");
        refused.push(
          ...wrong.slice(0, REFUSED_KEPT_MAX - refused.length).map((row) => ({ ...row, row: body.rowOf(row.row) })),
        );
      }
      counts.refused += chunk.broken.length;
      const broken = chunk.broken.map(
        ({ row, reason }) => ({ row, outcome: "refused", code: "invalid_request", reason }) as const,
      );
      refused.push(...broken.slice(0, REFUSED_KEPT_MAX - refused.length));
      shell.output.progress(
        `${progressOf(chunk)}: ${counts.booked} booked, ${counts.known} known, ${counts.refused} refused`,
      );
    }
    show(shell, counts, refused);
    if (counts.refused > 0) shell.endAs("invalid_request");
    return ok({ ...counts, rows: refused });
  },
});

interface Body {
  readonly first: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The file's number of a line of the body. */
  rowOf(line: number): number;
}

/** The records from row `from` on as JSON lines, in as many bodies as their size asks for. */
function* bodiesOf({ first, records }: ReportChunk, from: number): Generator<Body> {
  let [lines, numbers, size]: [string[], number[], number] = [[], [], 0];
  const take = (): Body => {
    const rows = numbers;
    const body = {
      first: rows[0]!,
      bytes: new TextEncoder().encode(lines.join("\n")),
      rowOf: (line: number) => rows[line - 1] ?? 0,
    };
    [lines, numbers, size] = [[], [], 0];
    return body;
  };
  for (const [i, record] of records.entries()) {
    if (record === undefined || first + i < from) continue;
    const line = JSON.stringify(record);
    if (size + line.length > BYTES_AT_ONCE && lines.length > 0) yield take();
    lines.push(line);
    numbers.push(first + i);
    size += Buffer.byteLength(line) + 1;
  }
  if (lines.length > 0) yield take();
}

/** A node that is busy says so: the same batch again, later. */
async function sendPatiently<T extends { readonly ok: boolean; readonly error?: { readonly code: string } }>(
  { world }: Shell,
  send: () => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const sent = await send();
    if (sent.ok || sent.error?.code !== "queue_full" || attempt === TRIES_MAX) return sent;
    await world.sleep(250 * attempt);
  }
}

function progressOf({ bytes, total }: ReportChunk): string {
  return `${total === 0 ? 100 : Math.min(100, Math.floor((100 * bytes) / total))} %`;
}

function show({ output }: Shell, counts: Readonly<Record<string, number>>, refused: readonly ExecutionRow[]): void {
  output.line(
    Object.entries(counts)
      .map(([name, count]) => `${count} ${name}`)
      .join(", "),
  );
  for (const line of refusedLines(refused, counts["refused"] ?? 0)) output.line(`  ${line}`);
}
