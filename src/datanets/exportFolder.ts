import { createHash } from "node:crypto";
import { mkdir, mkdtemp, open, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
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

export async function exportDatanet(
  store: DatanetStore,
  datanetName: string,
  folder: string,
  url: string,
): Promise<Result<Exported>> {
  const datanet = await store.datanet(datanetName);
  if (datanet === undefined) return refuse("not_found", `there is no datanet ${datanetName}`);
  const latest = await store.version(datanetName);
  if (latest === undefined)
    return refuse("conflict", `datanet ${datanetName} has no version yet`, { hint: "publish one first" });
  const parent = path.dirname(path.resolve(folder));
  await mkdir(parent, { recursive: true });
  const draft = await mkdtemp(path.join(parent, ".export-"));
  try {
    const exported = await writeExport(store, datanet, draft, url);
    await rename(draft, folder);
    return ok({ ...exported, folder });
  } catch (error) {
    if (isTaken(error))
      return refuse("already_exists", `${folder} is there already`, { hint: "name a folder that does not exist" });
    throw error;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

async function writeExport(
  store: DatanetStore,
  datanet: Datanet,
  folder: string,
  url: string,
): Promise<Omit<Exported, "folder">> {
  const approved = await store.contributions(datanet.name, "approved");
  const versions = await store.versions(datanet.name);
  const origins = new Set<string>();
  let records = 0;
  async function* recordLines(): AsyncGenerator<unknown> {
    for (const contribution of approved) {
      for (const record of await store.contributionRecords(datanet.name, contribution.id)) {
        origins.add(record.source.split(" ", 1)[0]!);
        records++;
        yield recordLine(record);
      }
    }
  }
  const files = [
    await writeLines(folder, "records.jsonl", "Every approved record, in order of registration", recordLines()),
    await writeLines(
      folder,
      "contributions.jsonl",
      "Who put records in, and who approved them",
      approved.map(contributionLine),
    ),
    await writeLines(folder, "versions.jsonl", "Every version, by the ids of its records", versions.map(versionLine)),
  ];
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
  await writeFile(path.join(folder, "metadata.json"), `${JSON.stringify(metadata, null, 2)}\n`);
  return { records, contributions: approved.length, versions: versions.length, files };
}

async function writeLines(
  folder: string,
  name: string,
  description: string,
  values: Iterable<unknown> | AsyncIterable<unknown>,
): Promise<ExportedFile> {
  const hash = createHash("sha256");
  let bytes = 0;
  const file = await open(path.join(folder, name), "wx");
  try {
    for await (const value of values) {
      const line = Buffer.from(`${JSON.stringify(value)}\n`);
      hash.update(line);
      bytes += line.length;
      await file.write(line);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return { name, bytes, sha256: hash.digest("hex"), description };
}

/** A rename onto a folder that has something in it, or onto a file. */
function isTaken(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ENOTEMPTY" || code === "EEXIST" || code === "ENOTDIR";
}
