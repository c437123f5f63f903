import { ok, type Result, refuse } from "../core/result.ts";
import type { ContextAsset } from "./context.ts";
import { contributorsOf } from "./contributors.ts";
import { croissantMetadata, type ExportedFile } from "./croissant.ts";
import type { Datanet } from "./datanet.ts";
import { contributionLine, recordLine, versionLine } from "./exchange.ts";
import type { DatanetStore } from "./store.ts";

/**
 * A datanet as a folder that anybody can read, and that {@link ./importExport.ts} takes back with every id, author and source in place:
 *
 *     metadata.json        Croissant 1.1, with the datanet's own facts
 *     records.jsonl        every approved record, in order of registration
 *     contributions.jsonl  who put them in, under which licence, who approved them and why
 *     versions.jsonl       every version, by record ids
 *
 * The folder appears whole or not at all. The datanet's secret is not in it. E-mail addresses are, where they are identities that earn.
 */
export interface Exported {
  readonly folder: string;
  readonly records: number;
  readonly contributions: number;
  readonly versions: number;
  readonly files: readonly ExportedFile[];
}

/** Where an export is written: {@link ./importFolderSink.ts} makes one over a folder. */
export interface ExportSink {
  /** Writes a file of these lines, each ended by \n, as they come. */
  write(name: string, lines: Iterable<string> | AsyncIterable<string>): Promise<Omit<ExportedFile, "description">>;
  /** Makes all that was written appear at once; the folder's path. Refuses where something is there already. */
  commit(): Promise<Result<string>>;
  /** Takes back what was written and not committed. */
  discard(): Promise<void>;
}

export async function exportDatanet(
  store: DatanetStore,
  datanetName: string,
  sink: ExportSink,
  url: string,
): Promise<Result<Exported>> {
  try {
    const datanet = await store.datanet(datanetName);
    if (datanet === undefined) return refuse("not_found", `there is no datanet ${datanetName}`);
    const latest = await store.version(datanetName);
    if (latest === undefined)
      return refuse("conflict", `datanet ${datanetName} has no version yet`, { hint: "publish one first" });
    const exported = await writeExport(store, datanet, sink, url);
    const folder = await sink.commit();
    return folder.ok ? ok({ ...exported, folder: folder.value }) : folder;
  } finally {
    await sink.discard();
  }
}

async function writeExport(
  store: DatanetStore,
  datanet: Datanet,
  sink: ExportSink,
  url: string,
): Promise<Omit<Exported, "folder">> {
  const approved = await store.contributions(datanet.name, "approved");
  const versions = await store.versions(datanet.name);
  const origins = new Set<string>();
  let records = 0;
  async function* recordLines(): AsyncGenerator<string> {
    for (const contribution of approved) {
      for (const record of await store.contributionRecords(datanet.name, contribution.id)) {
        origins.add(record.source.split(" ", 1)[0]!);
        records++;
        yield JSON.stringify(recordLine(record));
      }
    }
  }
  const contributionLines = approved.map((contribution) => JSON.stringify(contributionLine(contribution)));
  const annotations = await store.annotations(datanet.name);
  const versionLines = versions.map((version) => JSON.stringify(versionLine(version, annotations)));
  const files: ExportedFile[] = [];
  for (const [name, description, lines] of [
    ["records.jsonl", "Every approved record, in order of registration", recordLines()],
    ["contributions.jsonl", "Who put records in, and who approved them", contributionLines],
    ["versions.jsonl", "Every version, by the ids of its records", versionLines],
  ] as const) {
    files.push({ ...(await sink.write(name, lines)), description });
  }
  const contexts: ContextAsset[] = [];
  for (const id of new Set(versions.map(({ context }) => context))) {
    const context = await store.context(id);
    if (context !== undefined) contexts.push(context);
  }
  const version = versions.at(-1)!;
  const contributors = contributorsOf(await store.versionRecords(datanet.name, version.number));
  const metadata = croissantMetadata({
    datanet,
    version,
    contexts,
    contributors,
    origins: [...origins].sort(),
    files,
    url,
  });
  await sink.write("metadata.json", [JSON.stringify(metadata, null, 2)]);
  return { records, contributions: approved.length, versions: versions.length, files };
}
