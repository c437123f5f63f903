import { readFileSync, statSync } from "node:fs";
import { chown, lstat, readdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { ok, type Result, refuse } from "../core/result.ts";

/**
 * The user that runs PostgreSQL. Its binaries refuse to run as root, and initdb asks for a user that the
 * system knows by name, so root lends the work to an existing user and creates none.
 */
export interface Servant {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** In this order: made for the purpose, then the one user that every system has. */
const PREFERRED = ["postgres", "nobody"] as const;

/** Who runs PostgreSQL; undefined where we are not root and may run it ourselves. `users` is the text of passwd(5). */
export function chooseServant(ourUid: number, users: () => string = systemUsers): Result<Servant | undefined> {
  if (ourUid !== 0) return ok(undefined);
  const servants = parseUsers(users()).filter((user) => user.uid !== 0);
  for (const name of PREFERRED) {
    const servant = servants.find((user) => user.name === name);
    if (servant !== undefined) return ok(servant);
  }
  const last = servants.at(-1);
  if (last !== undefined) return ok(last);
  return refuse("store_unavailable", "PostgreSQL does not run as root, and this system has no other user", {
    hint: "add a user (useradd postgres), start as another user, or set DATABASE_URL",
  });
}

/** The first folder on the way to `path` that the servant may not pass; undefined if it can get there. */
export function barrierFor(servant: Servant, path: string): string | undefined {
  const folders: string[] = [];
  for (let folder = resolve(path); ; folder = dirname(folder)) {
    folders.unshift(folder);
    if (folder === dirname(folder)) break;
  }
  return folders.find((folder) => !mayPass(servant, folder));
}

/**
 * Makes the servant owner of the folder and all in it; links themselves, never what they point to.
 * The folder comes last, so that one which is the servant's already holds nothing that is not.
 */
export async function giveTo(servant: Servant | undefined, path: string): Promise<void> {
  if (servant === undefined) return;
  const found = await lstat(path);
  if (found.isSymbolicLink() || (found.uid === servant.uid && found.gid === servant.gid)) return;
  if (found.isDirectory()) for (const name of await readdir(path)) await giveTo(servant, join(path, name));
  await chown(path, servant.uid, servant.gid);
}

function mayPass(servant: Servant, folder: string): boolean {
  const found = statSync(folder, { throwIfNoEntry: false });
  if (found === undefined) return true; // Not made yet: it will be made ours.
  if (found.uid === servant.uid) return (found.mode & 0o100) !== 0;
  if (found.gid === servant.gid) return (found.mode & 0o010) !== 0;
  return (found.mode & 0o001) !== 0;
}

function parseUsers(text: string): Servant[] {
  return text.split("\n").flatMap((line) => {
    const [name, , uid, gid] = line.split(":");
    if (name === undefined || !/^\d+$/.test(uid ?? "") || !/^\d+$/.test(gid ?? "")) return [];
    return [{ name, uid: Number(uid), gid: Number(gid) }];
  });
}

function systemUsers(): string {
  try {
    return readFileSync("/etc/passwd", "utf8");
  } catch {
    return "";
  }
}
