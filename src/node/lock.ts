import { link, rename, rm, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { assert, ok, type Result, refuse } from "../core/result.ts";
import { errorCode, readIfThere } from "../host/files.ts";
import { isSameProcess, nameProcess, type ProcessName } from "../host/processes.ts";

const SETTLE_MS = 200;

export interface Lock {
  /** Whose stale lock was taken over, if there was one. */
  readonly note: string | undefined;
  /** Idempotent; a lock that is no longer ours is left alone. */
  release(): Promise<void>;
}

/**
 * A lock file that names its holder by pid and start time, so that neither a reused pid nor a crash keeps the
 * next process out. It comes into being by `link`, whole and only once; Node has no flock(2).
 */
export async function takeLock(path: string): Promise<Result<Lock>> {
  const us = nameProcess(process.pid);
  assert(us !== undefined, "this process has a name");
  const text = JSON.stringify(us);
  const draft = `${path}.draft-${process.pid}`;
  let note: string | undefined;
  try {
    await writeFile(draft, text, { mode: 0o644 });
    for (let tries = 0; tries < 10; tries += 1) {
      if (await linked(draft, path)) {
        if (note === undefined || (await isKept(path, text))) return ok({ note, release: () => release(path, text) });
        continue;
      }
      const held = await readIfThere(path);
      if (held === undefined) continue;
      const holder = parseHolder(held);
      if (holder !== undefined && isSameProcess(holder)) return inUse(path, holder.pid);
      note = `took over from process ${holder?.pid ?? "unknown"}, which ended without letting go`;
      await setAsideStale(path, held);
    }
  } finally {
    await rm(draft, { force: true });
  }
  return inUse(path, undefined);
}

function inUse(path: string, pid: number | undefined): Result<never> {
  const who = pid === undefined ? "other processes" : `process ${pid}`;
  return refuse("data_folder_in_use", `${path.replace(/[\\/]lock$/, "")} is in use by ${who}`, {
    hint: pid === undefined ? "try again" : `stop it first (kill ${pid}), or choose another folder with --data`,
    field: "data",
  });
}

/** Whoever took over waits until all who saw the same stale lock have acted on it: a live lock that was moved in the meantime may have been lost to another. */
async function isKept(path: string, text: string): Promise<boolean> {
  await sleep(SETTLE_MS);
  return (await readIfThere(path)) === text;
}

/** Two may find the same stale lock: whoever renamed a live one by mistake puts it back. */
async function setAsideStale(path: string, stale: string): Promise<void> {
  if ((await readIfThere(path)) !== stale) return;
  const aside = `${path}.stale-${process.pid}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return;
    throw error;
  }
  if ((await readIfThere(aside)) !== stale) await linked(aside, path);
  await rm(aside, { force: true });
}

async function release(path: string, ours: string): Promise<void> {
  if ((await readIfThere(path)) === ours) await rm(path, { force: true });
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    throw error;
  }
}

function parseHolder(text: string): ProcessName | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || !("pid" in value) || !("start" in value)) return undefined;
    return { pid: Number(value.pid), start: String(value.start) };
  } catch {
    return undefined;
  }
}
