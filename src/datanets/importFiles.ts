import { constants } from "node:fs";
import { open, readdir, realpath, stat } from "node:fs/promises";
import path from "node:path";
import { ok, type Result, refuse } from "../core/result.ts";
import type { ImportLimits, LeftOut } from "./importing.ts";

/** Bounded, careful reading of folders that somebody else filled: no link is followed, nothing but regular files is opened, every size is known first. */
export interface FoundFile {
  /** Relative to the root, `/` between folders. */
  readonly path: string;
  readonly text: string;
  readonly bytes: number;
}

/** The real path of a folder that exists; refuses anything else. */
export async function openFolder(folder: string): Promise<Result<string>> {
  try {
    const real = await realpath(folder);
    if ((await stat(real)).isDirectory()) return ok(real);
    return refuse("invalid_request", `${folder} is not a folder`);
  } catch {
    return refuse("not_found", `there is no folder ${folder}`);
  }
}

/** `entry` under `root` with links resolved; undefined when it leads outside or nowhere. */
export async function resolveInside(root: string, entry: string): Promise<string | undefined> {
  try {
    const real = await realpath(path.join(root, entry));
    return real === root || real.startsWith(root + path.sep) ? real : undefined;
  } catch {
    return undefined;
  }
}

/** Paths of regular files under `folder`, sorted, links and dot folders left aside. At most `filesMax` are looked at. */
export async function listFiles(
  folder: string,
  accept: (path: string) => boolean,
  filesMax: number,
  skipFolder: (name: string) => boolean = (name) => name.startsWith(".") || name === "node_modules",
): Promise<{ readonly paths: string[]; readonly isCut: boolean }> {
  const paths: string[] = [];
  const open = [""];
  let looked = 0;
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const entries = await readdir(path.join(folder, next), { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      const relative = next === "" ? entry.name : `${next}/${entry.name}`;
      if (entry.isDirectory() && !skipFolder(entry.name) && relative.split("/").length <= 64) open.push(relative);
      if (!entry.isFile() || !accept(relative)) continue;
      if (++looked > filesMax) return { paths: paths.sort(), isCut: true };
      paths.push(relative);
    }
  }
  return { paths: paths.sort(), isCut: false };
}

/** How many bytes an import may still read. */
export class ByteBudget {
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  get left(): number {
    return this.#left;
  }

  spend(bytes: number): void {
    this.#left -= bytes;
  }
}

/** A file's text, or why it is left out. */
export async function readText(
  root: string,
  relative: string,
  limits: Pick<ImportLimits, "fileBytesMax">,
  budget: ByteBudget,
): Promise<FoundFile | LeftOut> {
  const leftOut = (reason: string): LeftOut => ({ what: relative, reason });
  let bytes: Buffer;
  try {
    const file = await open(
      path.join(root, relative),
      constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
    );
    try {
      const { size } = await file.stat().then((found) => (found.isFile() ? found : { size: -1 }));
      if (size < 0) return leftOut("not a regular file");
      if (size > limits.fileBytesMax) return leftOut(`larger than ${limits.fileBytesMax} bytes`);
      if (size > budget.left) return leftOut("the import has reached its limit of bytes");
      bytes = Buffer.alloc(size);
      const { bytesRead } = await file.read(bytes, 0, size, 0);
      bytes = bytes.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch {
    return leftOut("cannot be read");
  }
  budget.spend(bytes.length);
  const text = decodeText(bytes);
  return text === undefined ? leftOut("not UTF-8 text") : { path: relative, text, bytes: bytes.length };
}

/** Undefined for anything that is not UTF-8 text. */
export function decodeText(bytes: Uint8Array): string | undefined {
  if (bytes.includes(0)) return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

export function isLeftOut(found: FoundFile | LeftOut): found is LeftOut {
  return "reason" in found;
}
