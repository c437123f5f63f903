import { readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { z } from "zod";
import { attributeText } from "../../attribution/attribute.ts";
import { toHex } from "../../core/bytes.ts";
import { ok, type Result, refuse } from "../../core/result.ts";
import { readExport } from "../../datanets/importExport.ts";
import type { DatanetRecord } from "../../datanets/record.ts";
import { buildIndex } from "../../models/corpusIndex.ts";
import { houseTokenizer } from "../../models/houseTokenizerFile.ts";
import { command } from "./command.ts";
import { wholeText } from "./inputs.ts";
import { percent } from "./receipt.ts";

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
    datanet: z.string({ error: "name a datanet, or a folder that an export wrote" }).min(1),
    text: wholeText,
  }),
  run: async ({ datanet, text: file }, { data, output }) => {
    const text = await readFile(file, "utf8").catch(() => undefined);
    if (text === undefined) return refuse("not_found", `there is no file ${file}`, { field: "text" });
    const records = await latestRecords(datanet, data);
    if (!records.ok) return records;
    output.progress(`indexing ${records.value.length} records`);
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
        ...{ range: `${from}–${until}`, weight: percent((1_000_000 * weight) / Math.max(1, totalUnits)) },
        ...{ who: authors, record: title, text: span },
      })),
    );
    output.line(`  ${percent((1_000_000 * unattributed) / Math.max(1, totalUnits))} of the text is nobody's here`);
    return ok({ index: toHex(index.id), totalUnits, explainedUnits, unattributed, spans });
  },
});

/** The records of the latest version, in its order. The folder is verified on the way. */
async function latestRecords(datanet: string, data: string): Promise<Result<readonly DatanetRecord[]>> {
  const folders = [join(data, "datanets", datanet), resolve(datanet)];
  for (const folder of /^[a-z0-9][a-z0-9._-]*$/.test(datanet) ? folders : [resolve(datanet)]) {
    const isExport = await stat(join(folder, "metadata.json")).then(
      () => true,
      () => false,
    );
    if (!isExport) continue;
    const read = await readExport(folder);
    if (!read.ok) return read;
    const latest = read.value.versions.at(-1);
    if (latest === undefined) return refuse("conflict", `${datanet} has no version yet`, { hint: "publish one first" });
    const byRef = new Map<string, DatanetRecord>();
    for (const own of read.value.records.values())
      for (const record of own) byRef.set(`${record.contributionId}${record.id}`, record);
    return ok(latest.records.flatMap(({ id, contributionId }) => byRef.get(`${contributionId}${id}`) ?? []));
  }
  return refuse("not_found", `there is no datanet ${datanet} in ${data}, and no such folder`, {
    ...{ field: "datanet", hint: "openledger datanet export NAME DIR writes one" },
  });
}
