import { mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { z } from "zod";
import { ok, type Result, refuse } from "../../core/result.ts";
import { readExport } from "../../datanets/importExport.ts";
import { errorCode, refuseOnDisk } from "../../host/files.ts";
import { exportFiles, restoredSchema } from "../../protocol/workshop.ts";
import type { Client } from "../client.ts";
import { counted } from "../output.ts";
import { type CliCommand, command } from "./command.ts";
import { pathOf } from "./datanet.ts";
import { wholeText } from "./inputs.ts";

const exportCommand = command({
  path: "datanet export",
  summary: "Write a datanet to a folder: JSON lines with Croissant 1.1 metadata",
  arguments: [
    ["<name>", "the datanet"],
    ["<folder>", "a folder that does not exist yet"],
  ],
  examples: ["openledger datanet export npm-docs ./npm-docs"],
  input: z.object({ name: wholeText, folder: wholeText }),
  run: async ({ name, folder }, { client: open, output }) => {
    const target = resolve(folder);
    const isThere = await stat(target).then(
      () => true,
      () => false,
    );
    if (isThere)
      return refuse("already_exists", `${folder} is there already`, { hint: "name a folder that does not exist" });
    const client = await open();
    if (!client.ok) return client;
    const written = await refuseOnDisk(dirname(target), () => downloadDatanet(client.value, name, target));
    if (!written.ok || !written.value.ok) return written.ok ? written.value : written;
    const { records, contributions, versions } = written.value.value;
    output.line(
      `${[counted(records, "record"), counted(contributions, "contribution"), counted(versions, "version")].join(", ")} in ${folder}`,
    );
    return written.value;
  },
});

const restore = command({
  path: "datanet restore",
  summary: "Take an exported datanet in, with its ids, authors and provenance",
  arguments: [["<folder>", "what `datanet export` wrote"]],
  examples: ["openledger datanet restore ./npm-docs"],
  input: z.object({ folder: wholeText }),
  run: async ({ folder }, { client: open, output }) => {
    const whole = await readExport(folder);
    if (!whole.ok) return whole;
    const client = await open();
    if (!client.ok) return client;
    const texts = await Promise.all(
      exportFiles.map(async (file) => [file, await readFile(join(folder, file), "utf8")] as const),
    );
    const restored = await client.value.post(
      "/api/datanets/restore",
      { files: Object.fromEntries(texts) },
      restoredSchema,
    );
    if (restored.ok) {
      const { name, records, contributions, versions } = restored.value;
      output.line(
        `${name}: ${[counted(records, "record"), counted(contributions, "contribution"), counted(versions, "version")].join(", ")}, as they were`,
      );
    }
    return restored;
  },
});

export const datanetExchangeCommands: readonly CliCommand[] = [exportCommand, restore];

interface Written {
  readonly name: string;
  readonly folder: string;
  readonly records: number;
  readonly contributions: number;
  readonly versions: number;
}

/** The folder appears whole or not at all: what was fetched is verified, checksums and ids, before it gets its name. */
export async function downloadDatanet(client: Client, name: string, target: string): Promise<Result<Written>> {
  await mkdir(dirname(target), { recursive: true });
  const draft = await mkdtemp(join(dirname(target), ".export-"));
  try {
    for (const file of exportFiles) {
      const bytes = await client.bytes(`${pathOf(name)}/export/${file}`);
      if (!bytes.ok) return bytes;
      await writeFile(join(draft, file), bytes.value);
    }
    const whole = await readExport(draft);
    if (!whole.ok) return whole;
    await rename(draft, target);
    const records = [...whole.value.records.values()].reduce((sum, own) => sum + own.length, 0);
    const [contributions, versions] = [whole.value.contributions.length, whole.value.versions.length];
    return ok({ name, folder: target, records, contributions, versions });
  } catch (error) {
    if (["ENOTEMPTY", "EEXIST", "ENOTDIR"].includes(errorCode(error) ?? ""))
      return refuse("already_exists", `${target} is there already`, { hint: "name a folder that does not exist" });
    throw error;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}
