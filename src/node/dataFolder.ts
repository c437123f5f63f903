import { chmod, mkdir, readdir, stat, statfs } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { ok, type Result, refuse } from "../core/result.ts";
import { diskRefusal, errorCode, readIfThere, refuseOnDisk, writeAtomically } from "../host/files.ts";
import { takeLock } from "./lock.ts";

/** Where one node keeps everything: database, chain, journal, indexes, secrets. One live process at a time. */
export interface DataFolder {
  readonly path: string;
  /** What was found and set right on the way; empty for a plain start. */
  readonly notes: readonly string[];
  /** Lets the next process in. Idempotent. */
  release(): Promise<void>;
}

export interface DataFolderOptions {
  /** The folder; `.openledger` in the working directory is the usual one. */
  readonly path: string;
  /** Refuse to begin with less space than this. */
  readonly freeBytesMin?: number;
}

export const DATA_FOLDER = ".openledger";

/** Raised when a change in the folder's layout needs a migration. */
const LAYOUT = 1;
/** initdb, its first write-ahead segments and the demonstration's indexes take about 120 MB. */
const FREE_BYTES_MIN = 192 * 1024 * 1024;
/** What an interrupted first start may have left; anything else without a layout file belongs to someone else. */
const OURS =
  /^(lock|layout\.json|postgres|anvil|journal|datanets|models|bases|factory|exports|operators|indexes|attribution\.json|combinations|vectors|keys|secrets|config|node|\.gitignore)/;

/**
 * Opens the folder, makes it if there is none, completes a half-made one, and locks it.
 * Refuses with `data_folder_in_use`, `data_folder_damaged`, `disk_full`, `forbidden` or `invalid_request`.
 */
export async function openDataFolder(options: DataFolderOptions): Promise<Result<DataFolder>> {
  const path = resolve(options.path);
  const opened = await refuseOnDisk(path, () => open(path, options.freeBytesMin ?? FREE_BYTES_MIN));
  return opened.ok ? opened.value : opened;
}

async function open(path: string, freeBytesMin: number): Promise<Result<DataFolder>> {
  const made = await makeFolder(path);
  if (!made.ok) return made;
  const foreign = await foreignNames(path);
  if (foreign.length > 0) {
    return refuse("data_folder_damaged", `${path} is no data folder: it holds ${foreign.slice(0, 3).join(", ")}`, {
      hint: "choose an empty or a new folder with --data",
      field: "data",
    });
  }
  const lock = await takeLock(join(path, "lock"));
  if (!lock.ok) return lock;
  const notes = lock.value.note === undefined ? [] : [lock.value.note];
  const ready = await prepare(path, freeBytesMin, notes).catch(async (error: unknown) => {
    await lock.value.release();
    throw error;
  });
  if (!ready.ok) {
    await lock.value.release();
    return ready;
  }
  return ok({ path, notes, release: () => lock.value.release() });
}

/** Makes the folder and those that it is in. Step by step: Node's own `recursive` never ends where a file system makes no folders (`/proc`). */
async function makeFolder(path: string): Promise<Result<void>> {
  try {
    await mkdir(path);
    // Others may pass but not look: root's database runs as another user, who must get to its own folder.
    await chmod(path, 0o711);
    return ok(undefined);
  } catch (error) {
    const code = errorCode(error);
    if (code === "EEXIST" && (await stat(path)).isDirectory()) return ok(undefined);
    const parent = dirname(path);
    if (code === "ENOENT" && !(await isFolder(parent))) {
      const within = await makeFolder(parent);
      return within.ok ? makeFolder(path) : within;
    }
    if (diskRefusal(path, code ?? "") !== undefined) throw error;
    const why = code === "EEXIST" ? "it is a file" : `it cannot be made (${code})`;
    return refuse("invalid_request", `${path} is no folder: ${why}`, {
      hint: "choose another one with --data",
      field: "data",
    });
  }
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

async function prepare(path: string, freeBytesMin: number, notes: string[]): Promise<Result<void>> {
  const disk = await statfs(path);
  const free = disk.bavail * disk.bsize;
  if (free < freeBytesMin) {
    const [has, needs] = [free, freeBytesMin].map((bytes) => Math.floor(bytes / 1_048_576));
    return refuse("disk_full", `the disk that holds ${path} has ${has} MiB left; ${needs} MiB are needed to begin`, {
      hint: "free some space, or choose a folder on another disk with --data",
    });
  }
  const layout = await readLayout(path);
  if (layout === undefined) {
    const names = (await readdir(path)).filter((name) => !name.startsWith("lock"));
    if (names.length > 0) notes.push(`${path} was left half made; it is completed`);
    await writeAtomically(join(path, ".gitignore"), "*\n");
    await writeAtomically(join(path, "layout.json"), `${JSON.stringify({ layout: LAYOUT })}\n`);
    return ok(undefined);
  }
  if (layout <= LAYOUT) return ok(undefined);
  return refuse("data_folder_damaged", `${path} has layout ${layout}; this program knows layouts up to ${LAYOUT}`, {
    hint: "it was made by a later OpenLedger: update, or choose another folder with --data",
    field: "data",
  });
}

async function foreignNames(path: string): Promise<string[]> {
  if ((await readLayout(path)) !== undefined) return [];
  return (await readdir(path)).filter((name) => !OURS.test(name));
}

/** Undefined where there is none, or where it was cut short. */
async function readLayout(path: string): Promise<number | undefined> {
  try {
    const value: unknown = JSON.parse((await readIfThere(join(path, "layout.json"))) ?? "");
    if (typeof value !== "object" || value === null || !("layout" in value)) return undefined;
    return typeof value.layout === "number" ? value.layout : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
