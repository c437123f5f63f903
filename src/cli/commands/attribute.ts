import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { z } from "zod";
import { attributeText } from "../../attribution/attribute.ts";
import { toHex } from "../../core/bytes.ts";
import { ok, type Result, refuse } from "../../core/result.ts";
import { readExport } from "../../datanets/importExport.ts";
import type { DatanetRecord } from "../../datanets/record.ts";
import { buildIndex } from "../../models/corpusIndex.ts";
import { houseTokenizer } from "../../models/houseTokenizerFile.ts";
import { counted, percent } from "../output.ts";
import { command, type Shell } from "./command.ts";
import { downloadDatanet } from "./datanetExchange.ts";
import { wholeText } from "./inputs.ts";

/** A stretch of the text that a record's author is credited for. */
interface AttributedSpan {
  readonly kind: string;
  /** UTF-16 code units of the text, [from, until). */
  readonly output: readonly [number, number];
  readonly text: string;
  readonly record: string;
  readonly title: string;
  readonly source: string;
  /** The first author, and all of them, as identities. */
  readonly author: string | null;
  readonly authors: readonly string[];
  /** 1/256 bit. */
  readonly weight: number;
}

export const attributeCommand = command({
  path: "attribute",
  summary: "Which records of a datanet a text repeats, and whose they are; needs no server",
  options: [
    ["--datanet <name>", "a datanet of the data folder, or a folder that `datanet export` wrote"],
    ["--text <file>", "the text"],
  ],
  examples: [
    "openledger attribute --datanet npm-docs --text answer.txt",
    "openledger attribute --datanet ./exported --text answer.txt --json",
  ],
  input: z.object({
    datanet: wholeText,
    text: wholeText,
  }),
  run: async ({ datanet, text: file }, shell) => {
    const { output } = shell;
    const text = await readFile(file, "utf8").catch(() => undefined);
    if (text === undefined) return refuse("not_found", `there is no file ${file}`, { field: "text" });
    const records = await latestRecords(datanet, shell);
    if (!records.ok) return records;
    output.progress(`indexing ${counted(records.value.length, "record")}`);
    const index = buildIndex(houseTokenizer(), records.value);
    const { evidence, totalUnits, explainedUnits } = attributeText(index, text);
    const spans = evidence.map(({ kind, output: { from, until }, recordNumber, weight }): AttributedSpan => {
      const { id, title, source, authors } = records.value[recordNumber]!;
      const identities = authors.map(({ identity }) => identity);
      const where = { output: [from, until] as const, text: text.slice(from, until) };
      return { kind, ...where, record: id, title, source, author: identities[0] ?? null, authors: identities, weight };
    });
    spans.sort((a, b) => b.weight - a.weight || a.output[0] - b.output[0]);
    const unattributed = totalUnits - explainedUnits;
    output.table(
      spans.map(({ output: [from, until], weight, authors, title, text: span }) => ({
        ...{ range: `${from}–${until}`, weight: percent(weight, totalUnits) },
        ...{ who: authors, record: title, text: span },
      })),
    );
    output.line(`  ${percent(unattributed, totalUnits)} of the text is nobody's here`);
    return ok({ index: toHex(index.id), totalUnits, explainedUnits, unattributed, spans });
  },
});

/** A folder that an export wrote; else a datanet by its name, kept in the data folder or asked of the node that runs on it. */
async function latestRecords(datanet: string, shell: Shell): Promise<Result<readonly DatanetRecord[]>> {
  const isName = /^[a-z0-9][a-z0-9._-]*$/.test(datanet);
  for (const folder of [...(isName ? [join(shell.data, "datanets", datanet)] : []), resolve(datanet)])
    if (await isExport(folder)) return readLatest(folder);
  const client = isName ? await shell.client() : undefined;
  if (!client?.ok) {
    return refuse("not_found", `there is no datanet ${datanet} in ${shell.data}, and no such folder`, {
      ...{ field: "datanet", hint: "openledger datanet export NAME DIR writes one" },
    });
  }
  const temporary = await mkdtemp(join(tmpdir(), "openledger-"));
  try {
    const folder = join(temporary, "export");
    const fetched = await downloadDatanet(client.value, datanet, folder);
    return fetched.ok ? await readLatest(folder) : fetched;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** The records of the latest version, in its order. The folder is verified on the way. */
async function readLatest(folder: string): Promise<Result<readonly DatanetRecord[]>> {
  const read = await readExport(folder);
  if (!read.ok) return read;
  const latest = read.value.versions.at(-1);
  if (latest === undefined) return refuse("conflict", `${folder} has no version yet`, { hint: "publish one first" });
  const byRef = new Map<string, DatanetRecord>();
  for (const own of read.value.records.values())
    for (const record of own) byRef.set(`${record.contributionId}${record.id}`, record);
  return ok(latest.records.flatMap(({ id, contributionId }) => byRef.get(`${contributionId}${id}`) ?? []));
}

function isExport(folder: string): Promise<boolean> {
  return stat(join(folder, "metadata.json")).then(
    () => true,
    () => false,
  );
}
