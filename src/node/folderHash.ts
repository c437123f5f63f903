import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Hex } from "../core/bytes.ts";
import { ok, type Result, refuse } from "../core/result.ts";

/** What a model computes follows from these files and from no other. */
const DECISIVE = /^(config\.json|tokenizer\.json|model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json)$/;

/** Hashes of model folders, remembered as long as the files look the same: weights of gigabytes are read once. */
export class FolderHashes {
  readonly #known = new Map<string, { readonly looks: string; readonly hash: Promise<Hex> }>();

  /** sha256 over name, size and sha256 of each decisive file, in the order of their names. Refuses `not_found`. */
  async of(folder: string): Promise<Result<Hex>> {
    try {
      const names = (await readdir(folder)).filter((name) => DECISIVE.test(name)).sort();
      const files = await Promise.all(names.map(async (name) => ({ name, ...(await looksOf(join(folder, name))) })));
      const looks = JSON.stringify(files);
      const known = this.#known.get(folder);
      if (known?.looks === looks) return ok(await known.hash);
      const hash = hashFiles(folder, files);
      this.#known.set(folder, { looks, hash });
      return ok(await hash);
    } catch {
      this.#known.delete(folder);
      return refuse("not_found", `the model in ${folder} cannot be read`);
    }
  }
}

async function looksOf(path: string): Promise<{ readonly size: number; readonly inode: number; readonly ms: number }> {
  const found = await stat(path);
  // A named pipe would hold its reader for ever, and a device might never end.
  if (!found.isFile()) throw new Error(`${path} is no file`);
  const { size, ino: inode, mtimeMs: ms } = found;
  return { size, inode, ms };
}

async function hashFiles(
  folder: string,
  files: readonly { readonly name: string; readonly size: number }[],
): Promise<Hex> {
  const whole = createHash("sha256").update("openledger.base.1\n");
  for (const { name, size } of files) {
    const one = createHash("sha256");
    for await (const part of createReadStream(join(folder, name))) one.update(part);
    whole.update(`${name}\n${size}\n${one.digest("hex")}\n`);
  }
  return `0x${whole.digest("hex")}`;
}
