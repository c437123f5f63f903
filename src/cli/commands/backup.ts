import { resolve } from "node:path";
import { z } from "zod";
import { ok, type Result } from "../../core/result.ts";
import type { BackupDone, RestoreDone } from "../../node/backup.ts";
import type { BackupOptions } from "../../node/backupPlace.ts";
import { Children } from "../../node/children.ts";
import { counted } from "../output.ts";
import { type CliCommand, command, type Shell } from "./command.ts";
import { wholeText } from "./inputs.ts";

const backupCommand = command({
  path: "backup",
  summary: "Write the whole node to one file, while it runs or not",
  arguments: [["<file>", "where to; it holds the node's keys, so keep it as you keep them"]],
  examples: ["openledger backup ./books.backup", "openledger backup ./books.backup --data ./books"],
  input: z.object({ file: wholeText }),
  run: async ({ file }, shell) => {
    const done = await inPlace<BackupDone>(shell, file, shell.world.backUp);
    if (!done.ok) return done;
    const { ledger, rows, files, bytes } = done.value;
    shell.output.line(
      `backed up ledger ${ledger}: ${counted(rows, "row")} and ${counted(files, "file")} in ${sizeText(bytes)}`,
    );
    shell.output.line("  it holds the node's keys: whoever has the file can sign as this ledger");
    return ok(done.value);
  },
});

const restoreCommand = command({
  path: "restore",
  summary: "Make a node's data folder from a backup, and verify it",
  arguments: [["<file>", "a file that openledger backup has written"]],
  examples: ["openledger restore ./books.backup --data ./restored"],
  input: z.object({ file: wholeText }),
  run: async ({ file }, shell) => {
    const done = await inPlace<RestoreDone>(shell, file, shell.world.restore);
    if (!done.ok) return done;
    const { ledger, takenMs, rows, files, verdict } = done.value;
    const taken = new Date(takenMs).toISOString();
    shell.output.line(
      `restored ledger ${ledger} as it was at ${taken}: ${counted(rows, "row")} and ${counted(files, "file")}`,
    );
    shell.output.line(`  the verifier read ${verdict.size} entries and agrees with every number`);
    shell.output.line("  never run it beside the node that it was taken from: two writers would sign two histories");
    shell.output.line(`  start it with: openledger up --data ${shell.data}`);
    return ok({ ledger, taken, rows, files, entries: verdict.size, credits: verdict.credits, debits: verdict.debits });
  },
});

export const backupCommands: readonly CliCommand[] = [backupCommand, restoreCommand];

/** Whatever is started for it ends with it. */
async function inPlace<T>(
  { world, output, data }: Shell,
  file: string,
  work: (options: BackupOptions, children: Children) => Promise<Result<T>>,
): Promise<Result<T>> {
  const children = new Children(world.hooks, output.progress);
  const { databaseUrl } = world.environment;
  const options = { data, file: resolve(file), nowMs: world.nowMs, say: output.progress };
  try {
    return await work({ ...options, ...(databaseUrl === undefined ? {} : { databaseUrl }) }, children);
  } finally {
    await children.stopAll();
  }
}

function sizeText(bytes: number): string {
  return bytes < 2 ** 20 ? `${Math.ceil(bytes / 1_024)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
