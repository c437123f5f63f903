import { mkdir, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { utf8 } from "../../core/bytes.ts";
import { ok, type Result, refuse } from "../../core/result.ts";

/** Bytes that one call hands to the kernel: it takes no more than 2 GiB at once. */
const WRITE_BYTES_MAX = 2 ** 28;

/**
 * Writes a file from its parts, whole or not at all: a neighbour, fsync, rename, fsync of the folder. Makes the folder. Parts are taken one by one, so a
 * model of any size needs the memory of its largest tensor. Refuses `disk_full` where the disk or a quota is full, `forbidden` where it takes the file for another reason not.
 */
export async function writeParts(path: string, parts: Iterable<Uint8Array>): Promise<Result<void>> {
  const temporary = join(dirname(path), `.${basename(path)}.writing-${process.pid}`);
  try {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(temporary, "w");
    try {
      for (const part of parts) {
        for (let at = 0; at < part.length; ) {
          const { bytesWritten } = await file.write(part, at, Math.min(part.length - at, WRITE_BYTES_MAX));
          at += bytesWritten;
        }
      }
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    const folder = await open(dirname(path), "r");
    await folder.sync().finally(() => folder.close());
    return ok(undefined);
  } catch (error) {
    await rm(temporary, { force: true });
    // What is thrown without a system's error code is a bug in the parts.
    if (!(error instanceof Error && "code" in error && "syscall" in error)) throw error;
    if (error.code === "ENOSPC" || error.code === "EDQUOT")
      return refuse("disk_full", `The disk that holds ${path} is full.`, { hint: "Free some space." });
    return refuse("forbidden", `${path} cannot be written: ${error.message}`, {
      hint: "Check the rights of its folder.",
    });
  }
}

/** {@link writeParts} for JSON on indented lines. */
export function writeJson(path: string, value: unknown): Promise<Result<void>> {
  return writeParts(path, [utf8(`${JSON.stringify(value, null, 2)}\n`)]);
}
