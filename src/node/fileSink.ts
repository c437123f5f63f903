import { mkdir, readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { errorCode, writeAtomically } from "../host/files.ts";
import type { JournalSink } from "../ledger/publish.ts";

/** The published journal as a folder of files, ready for any static host. */
export function fileSink(folder: string): JournalSink {
  return {
    write: async (path, bytes) => {
      const target = join(folder, path);
      await mkdir(dirname(target), { recursive: true });
      await writeAtomically(target, bytes);
    },
    read: async (path) => {
      try {
        return new Uint8Array(await readFile(join(folder, path)));
      } catch (error) {
        if (errorCode(error) === "ENOENT") return undefined;
        throw error;
      }
    },
    removeNarrower: (path) => rm(join(folder, `${path}.p`), { recursive: true, force: true }),
  };
}
