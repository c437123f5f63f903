import { createHash } from "node:crypto";
import { mkdir, mkdtemp, open, rename, rm } from "node:fs/promises";
import path from "node:path";
import { ok, refuse } from "../core/result.ts";
import type { ExportSink } from "./export.ts";

/** An export on disk, ready to be imported elsewhere: written beside `folder` under another name, and renamed when whole. */
export async function folderSink(folder: string): Promise<ExportSink> {
  const parent = path.dirname(path.resolve(folder));
  await mkdir(parent, { recursive: true });
  const draft = await mkdtemp(path.join(parent, ".export-"));
  return {
    async write(name, lines) {
      const hash = createHash("sha256");
      let bytes = 0;
      const file = await open(path.join(draft, name), "wx");
      try {
        for await (const text of lines) {
          const line = Buffer.from(`${text}\n`);
          hash.update(line);
          bytes += line.length;
          await file.write(line);
        }
        await file.sync();
      } finally {
        await file.close();
      }
      return { name, bytes, sha256: hash.digest("hex") };
    },
    async commit() {
      try {
        await rename(draft, folder);
        return ok(folder);
      } catch (error) {
        if (isTaken(error))
          return refuse("already_exists", `${folder} is there already`, { hint: "name a folder that does not exist" });
        throw error;
      }
    },
    discard: () => rm(draft, { recursive: true, force: true }),
  };
}

/** A rename onto a folder that has something in it, or onto a file. */
function isTaken(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ENOTEMPTY" || code === "EEXIST" || code === "ENOTDIR";
}
