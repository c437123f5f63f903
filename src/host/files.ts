import { closeSync, openSync, renameSync, statSync } from "node:fs";
import { link, mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { ok, type Refusal, type Result, refuse } from "../core/result.ts";

const LOG_BYTES_MAX = 8 * 1024 * 1024;

/**
 * Writes the file whole or not at all: temporary neighbour, fsync, rename, fsync of the folder.
 * With `previous`, what stood there before is kept under that name.
 */
export async function writeAtomically(
  path: string,
  content: string | Uint8Array,
  options: { readonly mode?: number; readonly previous?: string } = {},
): Promise<void> {
  const temporary = `${path}.writing-${process.pid}`;
  try {
    await writeDurably(temporary, content, options.mode ?? 0o644);
    if (options.previous !== undefined) await keepAs(path, options.previous);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

/** A secret kept readable by its owner only: read if it is there, made once if it is not. */
export async function keepSecret(path: string, make: () => string): Promise<string> {
  const kept = await readIfThere(path);
  if (kept !== undefined && kept.trim() !== "") return kept.trim();
  const secret = make();
  await mkdir(dirname(path), { recursive: true });
  await writeAtomically(path, `${secret}\n`, { mode: 0o600 });
  return secret;
}

/** The file's text, or undefined where there is none. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Opens a log for appending; one that has grown beyond 8 MiB is set aside as `.1` first. */
export function openLog(path: string): number {
  try {
    if (statSync(path).size > LOG_BYTES_MAX) renameSync(path, `${path}.1`);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
  return openSync(path, "a", 0o600);
}

/** A log's size now: what is written after it is told apart from what stood there before. */
export function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** The last lines written after `fromByte`, for a refusal's message; empty if there are none. */
export async function tailOf(path: string, linesMax: number, fromByte = 0): Promise<string> {
  const bytes = await readFile(path).catch(() => Buffer.alloc(0));
  return bytes.subarray(fromByte).toString("utf8").trimEnd().split("\n").slice(-linesMax).join("\n");
}

/** Runs work on files; a full disk or a folder that may not be written becomes a refusal, all else is thrown. */
export async function refuseOnDisk<T>(folder: string, work: () => Promise<T>): Promise<Result<T>> {
  try {
    return ok(await work());
  } catch (error) {
    const refusal = diskRefusal(folder, errorCode(error) ?? "");
    if (refusal === undefined) throw error;
    return { ok: false, error: refusal };
  }
}

/** The refusal that an error code or a program's own words stand for, if they speak of the disk. */
export function diskRefusal(folder: string, text: string): Refusal | undefined {
  if (/ENOSPC|EDQUOT|No space left on device|Disk quota exceeded/.test(text)) {
    return refuse("disk_full", `the disk that holds ${folder} is full`, { hint: "free some space and start again" })
      .error;
  }
  if (/EACCES|EPERM|EROFS|ENOTDIR/.test(text)) {
    return refuse("forbidden", `${folder} cannot be written`, {
      hint: "choose another folder with --data, or change its owner",
      field: "data",
    }).error;
  }
  return undefined;
}

export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

export function closeLog(descriptor: number): void {
  closeSync(descriptor);
}

async function writeDurably(path: string, content: string | Uint8Array, mode: number): Promise<void> {
  const file = await open(path, "w", mode);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** By link, so that the present file never goes missing, not even between two instructions. */
async function keepAs(path: string, previous: string): Promise<void> {
  await rm(previous, { force: true });
  try {
    await link(path, previous);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
}

async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
