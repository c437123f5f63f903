import { randomBytes } from "node:crypto";
import { ok, type Result } from "../core/result.ts";
import { readIfThere } from "../host/files.ts";
import { startEmbeddedPostgres } from "../store/embedded.ts";
import { type BackupDone, backUp, ledgerOf, type RestoreDone, restore } from "./backup.ts";
import { checkBackup } from "./backupFile.ts";
import type { Children, Stoppable } from "./children.ts";
import { openDataFolder } from "./dataFolder.ts";
import { databaseUrlPath } from "./secrets.ts";
import { openDatabase } from "./stores.ts";

export interface BackupOptions {
  readonly data: string;
  readonly file: string;
  readonly databaseUrl?: string;
  readonly nowMs: () => number;
  readonly say: (text: string) => void;
}

/** Backs up a node that runs, through its own database; for one that does not, starts the database alone. */
export async function backUpNode(options: BackupOptions, children: Children): Promise<Result<BackupDone>> {
  const ledger = await ledgerOf(options.data);
  if (!ledger.ok) return ledger;
  const folder = await openDataFolder({ path: options.data, freeBytesMin: 0 });
  if (folder.ok) {
    children.add({ name: "data folder", stop: () => folder.value.release() });
    const url = await databaseOf(options, folder.value.path, children);
    return url.ok ? backUp({ ...options, data: folder.value.path, url: url.value }) : url;
  }
  const url = (await readIfThere(databaseUrlPath(options.data)))?.trim();
  if (folder.error.code !== "data_folder_in_use" || !url) return folder;
  return backUp({ ...options, url });
}

/** Restores into a new data folder, and leaves it ready for `openledger up`. */
export async function restoreNode(options: BackupOptions, children: Children): Promise<Result<RestoreDone>> {
  const checked = await checkBackup(options.file);
  if (!checked.ok) return checked;
  const folder = await openDataFolder({ path: options.data });
  if (!folder.ok) return folder;
  children.add({ name: "data folder", stop: () => folder.value.release() });
  const url = await databaseOf(options, folder.value.path, children);
  if (!url.ok) return url;
  const stores: Stoppable[] = [];
  const add = <T extends Stoppable>(store: T): T => {
    stores.push(store);
    return store;
  };
  const opened = await openDatabase(url.value, { add });
  for (const store of stores) await store.stop();
  if (!opened.ok) return opened;
  return restore({ ...options, ...checked.value, data: folder.value.path, url: url.value });
}

async function databaseOf(
  { databaseUrl, say }: BackupOptions,
  data: string,
  children: Children,
): Promise<Result<string>> {
  if (databaseUrl !== undefined) return ok(databaseUrl);
  say("starting PostgreSQL");
  const random = (size: number) => new Uint8Array(randomBytes(size));
  const onEvent = () => undefined;
  const started = await startEmbeddedPostgres({ data, randomBytes: random, onEvent });
  return started.ok ? ok(children.add({ name: "PostgreSQL", ...started.value }).url) : started;
}
