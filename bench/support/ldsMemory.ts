import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Results of trainings on disk, by what they follow from: a run that was stopped goes on where it was, and another with the same world begins with what is known. */
export class LdsMemory {
  readonly #folder: string;

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    this.#folder = folder;
  }

  /** The file of `from`, or what `make` returns, which is written before it is answered. A file that `read` cannot use is made again. */
  async recall<T>(from: readonly string[], file: FileForm<T>, make: () => Promise<T>): Promise<T> {
    const hash = createHash("sha256");
    for (const part of from) hash.update(`${part.length} ${part}`);
    const path = join(this.#folder, `${hash.digest("hex").slice(0, 24)}.${file.extension}`);
    const known = existsSync(path) ? file.read(readFileSync(path)) : undefined;
    if (known !== undefined) return known;
    const made = await make();
    const half = `${path}.${process.pid}`;
    writeFileSync(half, file.write(made));
    renameSync(half, path);
    return made;
  }
}

export interface FileForm<T> {
  readonly extension: string;
  readonly read: (bytes: Uint8Array) => T | undefined;
  readonly write: (value: T) => Uint8Array | string;
}

export const numbersFile: FileForm<readonly number[]> = {
  extension: "json",
  read(bytes) {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString("utf8"));
    return Array.isArray(value) && value.every((one) => typeof one === "number") ? value : undefined;
  },
  write: (value) => JSON.stringify(value),
};
