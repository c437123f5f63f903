import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { ok, type Result, refuse } from "../core/result.ts";
import { diskRefusal, errorCode } from "../host/files.ts";
import type { NativePostgres } from "./native.ts";
import { barrierFor, giveTo, type Servant } from "./servant.ts";

/** A cluster is what initdb makes: one folder that holds a PostgreSQL server's whole state. */
export interface Cluster {
  /** Its folder, as the server is told. */
  readonly folder: string;
  /** What was found and set right on the way; empty for a plain start. */
  readonly notes: readonly string[];
}

export const SUPERUSER = "openledger";

/** The lowest object id that PostgreSQL gives to what users make (FirstNormalObjectId in access/transam.h). */
const USER_OID_MIN = 16_384;

/**
 * The cluster under `<data>/postgres`, made if there is none. It is made beside its place and renamed into
 * it, so that a folder at its place is complete; leftovers of an interrupted making are removed. What stands
 * at its place and is no cluster is set aside, never deleted.
 */
export async function openCluster(
  data: string,
  native: NativePostgres,
  servant: Servant | undefined,
  options: { readonly password: string; readonly sharedFolder: string },
): Promise<Result<Cluster>> {
  const notes: string[] = [];
  const place = await choosePlace(data, servant, options.sharedFolder, notes);
  if (!place.ok) return place;
  const folder = place.value;
  const state = await inspect(folder, native.major);
  if (!state.ok) return state;
  if (state.value === "complete") {
    await giveTo(servant, folder);
    return ok({ folder, notes });
  }
  if (state.value === "half_made") {
    const aside = await setAside(folder);
    notes.push(`${folder} held a half-made cluster; it was set aside as ${aside}`);
  }
  await removeLeftovers(folder, notes);
  const made = await makeCluster(folder, native, servant, options.password);
  return made.ok ? ok({ folder, notes }) : made;
}

/** Below a folder that the servant may not pass, such as `/root`, the cluster lives elsewhere and is linked to. */
async function choosePlace(
  data: string,
  servant: Servant | undefined,
  sharedFolder: string,
  notes: string[],
): Promise<Result<string>> {
  const wished = join(resolve(data), "postgres");
  if (servant === undefined) return ok(wished);
  const barrier = barrierFor(servant, dirname(wished));
  if (barrier === undefined) return ok(wished);
  const elsewhere = join(sharedFolder, createHash("sha256").update(wished).digest("hex").slice(0, 16), "postgres");
  const second = barrierFor(servant, dirname(elsewhere));
  if (second !== undefined || existsSync(join(wished, "PG_VERSION")) !== existsSync(join(elsewhere, "PG_VERSION"))) {
    return refuse(
      "store_unavailable",
      `the user ${servant.name}, who runs PostgreSQL for root, may not enter ${barrier}`,
      {
        hint: `choose a data folder outside of it with --data, or allow entry (chmod o+x ${barrier})`,
        field: "data",
      },
    );
  }
  await mkdir(dirname(elsewhere), { recursive: true });
  await symlink(elsewhere, wished).catch((error: unknown) => {
    if (errorCode(error) !== "EEXIST") throw error;
  });
  notes.push(`${servant.name} may not enter ${barrier}, so the database lives in ${elsewhere}`);
  return ok(elsewhere);
}

async function inspect(folder: string, major: string): Promise<Result<"absent" | "half_made" | "complete">> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  });
  if (names.length === 0) return ok("absent");
  if (existsSync(join(folder, "global", "pg_control"))) {
    const found = (await readFile(join(folder, "PG_VERSION"), "utf8").catch(() => "an unknown version")).trim();
    if (found === major) return ok("complete");
    return refuse("data_folder_damaged", `${folder} was made by PostgreSQL ${found}; this is ${major}`, {
      hint: "move the data with pg_dump, or choose another folder with --data",
    });
  }
  const databases = await readdir(join(folder, "base")).catch(() => []);
  if (databases.some((oid) => Number(oid) >= USER_OID_MIN)) {
    return refuse("data_folder_damaged", `${folder} holds databases but lacks global/pg_control`, {
      hint: "restore it from a backup, or choose another folder with --data",
    });
  }
  return ok("half_made");
}

async function setAside(folder: string): Promise<string> {
  for (let n = 1; ; n += 1) {
    const aside = `${folder}.half-made-${n}`;
    if (existsSync(aside)) continue;
    await rename(folder, aside);
    return aside;
  }
}

async function removeLeftovers(folder: string, notes: string[]): Promise<void> {
  const parent = dirname(folder);
  for (const name of await readdir(parent).catch(() => [])) {
    if (!name.startsWith("postgres.making-")) continue;
    await rm(join(parent, name), { recursive: true, force: true });
    notes.push(`removed ${name}, left by an interrupted first start`);
  }
}

/** initdb with the host's locale, encoding and authentication all pinned, so that every cluster sorts alike. */
async function makeCluster(
  folder: string,
  native: NativePostgres,
  servant: Servant | undefined,
  password: string,
): Promise<Result<void>> {
  const making = join(dirname(folder), `postgres.making-${process.pid}`);
  const flags = [
    `--pgdata=${join(making, "cluster")}`,
    `--username=${SUPERUSER}`,
    `--pwfile=${join(making, "password")}`,
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
  ];
  try {
    await mkdir(making, { recursive: true, mode: 0o700 });
    await writeFile(join(making, "password"), `${password}\n`, { mode: 0o600 });
    await giveTo(servant, making);
    const failure = await run(native.initdb, flags, servant);
    if (failure !== undefined) {
      const disk = diskRefusal(folder, failure);
      return disk === undefined ? refuse("store_unavailable", `initdb failed: ${failure}`) : { ok: false, error: disk };
    }
    await rename(join(making, "cluster"), folder);
    return ok(undefined);
  } finally {
    await rm(making, { recursive: true, force: true });
  }
}

/** Undefined when the program succeeded, else the end of what it said. */
function run(program: string, flags: readonly string[], servant: Servant | undefined): Promise<string | undefined> {
  const as = servant === undefined ? {} : { uid: servant.uid, gid: servant.gid };
  return new Promise((resolve) => {
    execFile(
      program,
      flags,
      { ...as, cwd: "/", env: { LC_ALL: "C", TZ: "UTC" }, timeout: 120_000 },
      (error, _, stderr) => {
        resolve(error === null ? undefined : (stderr.trim() || error.message).slice(-600));
      },
    );
  });
}
