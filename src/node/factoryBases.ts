import { existsSync } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import { z } from "zod";
import type { Hex } from "../core/bytes.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { Base, Bases } from "../factory/ports.ts";
import { readIfThere, writeAtomically } from "../host/files.ts";
import { type LlamaOutline, readLlamaOutline } from "../models/formats/huggingFaceFile.ts";
import { parseJson } from "../models/formats/json.ts";
import { FolderHashes } from "./folderHash.ts";

/** What a base was made from: the file `openledger.json` beside its weights. */
const notesSchema = z.object({
  /** SPDX. */
  licence: z.string().min(1).max(200),
  /** Where it comes from, for people. */
  source: z.string().max(2_000).optional(),
  madeFrom: z
    .array(
      z.object({
        name: z.string().min(1).max(128),
        licence: z.string().min(1).max(200),
        source: z.string().max(2_000),
        records: z.number().int().min(0),
        contributors: z.number().int().min(0),
        /** sha256 over the ids of the records. */
        hash: z.string().regex(/^0x[0-9a-f]{64}$/),
      }),
    )
    .max(16)
    .default([]),
  /** Measured, by name, in the unit that the name says. */
  figures: z.record(z.string(), z.number()).default({}),
});
export type BaseNotes = z.infer<typeof notesSchema>;

/** A base that lies elsewhere on this machine: `bases/<name>.json`. */
const pointerSchema = z.object({ folder: z.string(), licence: z.string().min(1).max(200).optional() });

export interface NewBase {
  readonly name: string;
  /** A Hugging Face folder on the node's machine. */
  readonly folder: string;
  /** Said by the owner, where the folder does not say it. */
  readonly licence?: string;
}

const NAME = /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/;
export const HOUSE = "house";
/** Tokens are kept in 16 bits. */
const VOCABULARY_MAX = 65_536;

/** The bases of a node: the house model, folders in the data folder's `bases`, and folders elsewhere that the owner registered. */
export class BaseShelf implements Bases {
  readonly #folder: string;
  readonly #house: string;
  readonly #hashes = new FolderHashes();
  readonly #outlines = new Map<string, { readonly hash: Hex; readonly outline: LlamaOutline }>();

  constructor(data: string, house: string) {
    this.#folder = join(data, "bases");
    this.#house = house;
  }

  async list(): Promise<readonly string[]> {
    const entries = await readdir(this.#folder, { withFileTypes: true }).catch(() => []);
    const names = entries.map((entry) => (entry.isFile() ? entry.name.replace(/\.json$/, "") : entry.name));
    const present: string[] = [];
    for (const name of new Set([HOUSE, ...names.sort()]))
      if ((await this.#place(name)) !== undefined) present.push(name);
    return present;
  }

  async find(name: string): Promise<Result<Base>> {
    const place = await this.#place(name);
    if (place === undefined) {
      const known = (await this.list()).slice(0, 5).join(", ");
      return refuse("model_not_found", `there is no base ${name.slice(0, 128)}`, {
        hint: known === "" ? "put a Llama's folder into the data folder's bases" : `there are ${known}`,
        field: "model",
      });
    }
    return this.#read(name, place.folder, place.licence);
  }

  /** Licence, sources and figures of a base, as far as they are written down beside it. */
  async notes({ folder, licence }: Pick<Base, "folder" | "licence">): Promise<BaseNotes> {
    return (await readNotes(folder)) ?? { licence, madeFrom: [], figures: {} };
  }

  /** Remembers a folder elsewhere under a name. Refuses `already_exists` for another folder, and what cannot be trained. */
  async register({ name, folder, licence }: NewBase): Promise<Result<Base>> {
    if (!NAME.test(name) || name === HOUSE)
      return refuse("invalid_request", `"${name.slice(0, 80)}" cannot be a base's name`, {
        hint: "1 to 64 of a-z, 0-9 and . _ - inside",
        field: "name",
      });
    if (!isAbsolute(folder))
      return refuse("invalid_request", "the folder is named by its whole path", { field: "folder" });
    const place = await this.#place(name);
    if (place !== undefined && (place.folder !== folder || (licence !== undefined && place.licence !== licence)))
      return refuse("already_exists", `there is a base ${name} already`, { field: "name" });
    const read = await this.#read(name, folder, licence);
    if (!read.ok || place !== undefined) return read;
    await mkdir(this.#folder, { recursive: true });
    const pointer = { folder, ...(licence === undefined ? {} : { licence }) };
    await writeAtomically(join(this.#folder, `${name}.json`), `${JSON.stringify(pointer, undefined, 2)}\n`);
    return read;
  }

  async #read(name: string, folder: string, said: string | undefined): Promise<Result<Base>> {
    const hash = await this.#hashes.of(folder);
    if (!hash.ok) return hash;
    const outline = await this.#outline(folder, hash.value);
    if (!outline.ok) return outline;
    const { shape, tokenizer } = outline.value;
    if (shape.vocabulary > VOCABULARY_MAX)
      return refuse("invalid_request", `the base has ${shape.vocabulary} tokens; ${VOCABULARY_MAX} can be trained`);
    const licence = said ?? (await readNotes(folder))?.licence ?? (await readmeLicence(folder)) ?? "NOASSERTION";
    return ok({ name, folder, shape, tokenizer, hash: hash.value, licence });
  }

  /** Read once as long as the files stay the same: a node with hundreds of adapters asks for their base at each start. */
  async #outline(folder: string, hash: Hex): Promise<Result<LlamaOutline>> {
    const known = this.#outlines.get(folder);
    if (known?.hash === hash) return ok(known.outline);
    const outline = await readLlamaOutline(folder);
    if (outline.ok) this.#outlines.set(folder, { hash, outline: outline.value });
    return outline;
  }

  async #place(name: string): Promise<{ readonly folder: string; readonly licence?: string } | undefined> {
    if (name === HOUSE) return existsSync(join(this.#house, "model.safetensors")) ? { folder: this.#house } : undefined;
    if (!NAME.test(name)) return undefined;
    const folder = join(this.#folder, name);
    if (existsSync(join(folder, "config.json"))) return { folder };
    const pointer = pointerSchema.safeParse(parseJson((await readIfThere(`${folder}.json`)) ?? ""));
    if (!pointer.success) return undefined;
    const { folder: elsewhere, licence } = pointer.data;
    return { folder: elsewhere, ...(licence === undefined ? {} : { licence }) };
  }
}

async function readNotes(folder: string): Promise<BaseNotes | undefined> {
  const notes = notesSchema.safeParse(parseJson((await readIfThere(join(folder, "openledger.json"))) ?? ""));
  return notes.success ? notes.data : undefined;
}

/** `license:` in the front matter of a Hugging Face model card. */
async function readmeLicence(folder: string): Promise<string | undefined> {
  const readme = (await readIfThere(join(folder, "README.md"))) ?? "";
  const front = /^---\r?\n([\s\S]*?)\r?\n---/.exec(readme)?.[1];
  const found = /^license:\s*["']?([A-Za-z0-9][\w.+-]*)/m.exec(front ?? "")?.[1];
  return found === undefined ? undefined : (spdxOf.get(found.toLowerCase()) ?? found);
}

/** Hugging Face writes SPDX ids in lower case. */
const spdxOf = new Map(
  ["Apache-2.0", "MIT", "CC-BY-4.0", "CC0-1.0", "BSD-3-Clause", "BSD-2-Clause", "ISC", "Unlicense"].map((id) => [
    id.toLowerCase(),
    id,
  ]),
);
