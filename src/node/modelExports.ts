import { existsSync } from "node:fs";
import { cp, mkdir, readdir, readFile, rename, rm, rmdir, stat, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { ok, type Result, refuse } from "../core/result.ts";
import { modelBom } from "../factory/bom.ts";
import { modelCard } from "../factory/card.ts";
import { encodeAll } from "../factory/estimate.ts";
import type { Job } from "../factory/job.ts";
import type { ModelFacts } from "../factory/modelFacts.ts";
import { type JobSources, peftFiles } from "../factory/peftExport.ts";
import type { Base, Bases } from "../factory/ports.ts";
import type { LoadedSource } from "../factory/source.ts";
import { refuseOnDisk } from "../host/files.ts";
import { writeLlamaGguf, writeLoraGguf } from "../models/formats/ggufFile.ts";
import { readLlamaFolder, writeLlamaFolder } from "../models/formats/huggingFaceFile.ts";
import { readAdapterFolder, writeAdapterFolder } from "../models/formats/peftFile.ts";
import { initialLora } from "../models/training/initial.ts";
import type { ExportFormat, ExportView } from "../protocol/models.ts";
import type { ModelPlace } from "./neuralModels.ts";

export interface ExportParts {
  readonly data: string;
  readonly bases: Bases;
  readonly nowMs: () => number;
  /** A job's examples, as its training reads them. */
  readonly source: (job: Job) => Promise<Result<LoadedSource>>;
  /** Lets others in. */
  readonly pause: () => Promise<void>;
}

/** Something that can be carried away: what is written about it, and where it lies. */
export interface Exportable {
  readonly facts: ModelFacts;
  readonly place: ModelPlace;
}

/** Weights of so many bytes or less travel with a job: a GPU machine has its own copy of a larger base. */
const BASE_BYTES_MAX = 64 * 1024 * 1024;
/** An export is there to be fetched, and can be made again: afterwards it only takes up room. */
const KEPT_MS = 86_400_000;
/** What one answer carries; larger files are fetched where they lie. */
const FILE_BYTES_MAX = 1024 * 1024 * 1024;

const MAKING = ".making";

/** Models and jobs as folders for other programs, in the data folder's `exports`: made anew at each export, whole or not at all, read from there, and removed after a day. */
export class ModelExports {
  readonly #parts: ExportParts;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: ExportParts) {
    this.#parts = parts;
  }

  /** A Hugging Face or PEFT folder, or GGUF files, with card and bill of materials. */
  async model(key: string, { facts, place }: Exportable, format: "hf" | "gguf"): Promise<Result<ExportView>> {
    if (facts.kind === "index")
      return refuse("invalid_request", "an ∞-gram model has no weights: export its datanet instead", {
        field: "format",
      });
    return this.#build(key, format, async (folder) => {
      const written = await (format === "hf" ? writeHuggingFace(folder, place) : writeGguf(folder, place));
      if (!written.ok) return written;
      await writeFile(join(folder, "README.md"), modelCard(facts));
      await writeFile(join(folder, "bom.json"), `${JSON.stringify(modelBom(facts), undefined, 2)}\n`);
      return ok(undefined);
    });
  }

  /** A job for a GPU machine. */
  async peft(job: Job, sources: JobSources): Promise<Result<ExportView>> {
    const { adapter: lora, seed } = job.options;
    if (lora === undefined)
      return refuse("invalid_request", "only trainings of adapters are exported for PEFT", { field: "format" });
    const base = await this.#parts.bases.find(job.base.name);
    if (!base.ok) return base;
    const source = await this.#parts.source(job);
    if (!source.ok) return source;
    const { shape, tokenizer } = base.value;
    const train = await encodeAll(tokenizer, source.value.train, this.#parts.pause);
    return this.#build(job.id, "peft", async (folder) => {
      for (const { name, text } of peftFiles(job, sources, source.value, train))
        await writeFile(join(folder, name), text);
      await copyBase(base.value, join(folder, "base"), BASE_BYTES_MAX);
      return writeAdapterFolder(join(folder, "start"), { lora, tensors: initialLora(shape, lora, seed) }, base.value);
    });
  }

  /** Removes what was made more than a day ago, and what a killed node has left half made. */
  tidy(): Promise<void> {
    const done = this.#turn.then(() => this.#tidy());
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async #tidy(): Promise<void> {
    const root = join(this.#parts.data, "exports");
    for (const key of await readdir(root).catch(() => [])) {
      const folder = join(root, key);
      for (const format of await readdir(folder).catch(() => [])) {
        const place = join(folder, format);
        const made = await stat(place).catch(() => undefined);
        const isOld = made === undefined || this.#parts.nowMs() - made.mtimeMs > KEPT_MS;
        // What cannot be removed now is looked at again with the next export.
        if (isOld || format.endsWith(MAKING)) await rm(place, { recursive: true, force: true }).catch(() => undefined);
      }
      await rmdir(folder).catch(() => undefined);
    }
  }

  /** One file of an export that was made. */
  async file(key: string, format: ExportFormat, name: string): Promise<Result<Uint8Array>> {
    const folder = this.#folder(key, format);
    const found = (await filesOf(folder)).find((file) => file.name === name);
    if (found === undefined)
      return refuse("not_found", `the export has no file ${name.slice(0, 200)}`, { hint: "export it first" });
    if (found.bytes > FILE_BYTES_MAX)
      return refuse("payload_too_large", `${name} has ${found.bytes} bytes`, { hint: `it lies in ${folder}` });
    return ok(await readFile(join(folder, name)));
  }

  /** One after the other: two of the same would write into one folder. */
  #build(
    key: string,
    format: ExportFormat,
    write: (folder: string) => Promise<Result<void>>,
  ): Promise<Result<ExportView>> {
    const done = this.#turn.then(() => this.#tidy()).then(() => this.#make(key, format, write));
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async #make(
    key: string,
    format: ExportFormat,
    write: (folder: string) => Promise<Result<void>>,
  ): Promise<Result<ExportView>> {
    const folder = this.#folder(key, format);
    const made = await refuseOnDisk(folder, async (): Promise<Result<ExportView>> => {
      const next = `${folder}${MAKING}`;
      await rm(next, { recursive: true, force: true });
      await mkdir(next, { recursive: true });
      const written = await write(next);
      if (!written.ok) {
        await rm(next, { recursive: true, force: true });
        return written;
      }
      await rm(folder, { recursive: true, force: true });
      await rename(next, folder);
      return ok({ format, folder, files: await filesOf(folder) });
    });
    return made.ok ? made.value : made;
  }

  #folder(key: string, format: ExportFormat): string {
    return join(this.#parts.data, "exports", encodeURIComponent(key).replaceAll(".", "%2E"), format);
  }
}

async function writeHuggingFace(folder: string, { base, adapter }: ModelPlace): Promise<Result<void>> {
  if (adapter !== undefined) {
    if (!existsSync(join(adapter, "adapter_config.json")))
      return refuse("not_found", "its weights are not kept any more");
    for (const name of ["adapter_model.safetensors", "adapter_config.json"])
      await cp(join(adapter, name), join(folder, name));
    return ok(undefined);
  }
  const model = await readLlamaFolder(base);
  return model.ok ? writeLlamaFolder(folder, model.value) : model;
}

/** Full precision: whoever wants less quantises for the machine that it runs on. */
async function writeGguf(folder: string, { base, adapter }: ModelPlace): Promise<Result<void>> {
  const model = await readLlamaFolder(base);
  if (!model.ok) return model;
  const written = await writeLlamaGguf(join(folder, "base.gguf"), { ...model.value, name: "base" }, "F32");
  if (!written.ok || adapter === undefined) return written;
  const read = await readAdapterFolder(adapter, model.value.shape);
  if (!read.ok) return read;
  return writeLoraGguf(join(folder, "adapter.gguf"), model.value.shape, read.value, { name: "adapter" });
}

async function copyBase({ folder }: Base, to: string, bytesMax: number): Promise<void> {
  const files = await filesOf(folder);
  if (files.reduce((sum, { bytes }) => sum + bytes, 0) > bytesMax) return;
  const wanted = /^(config|tokenizer|tokenizer_config)\.json$|^chat_template\.jinja$|\.safetensors(\.index\.json)?$/;
  await mkdir(to, { recursive: true });
  for (const { name } of files.filter(({ name }) => wanted.test(name))) await cp(join(folder, name), join(to, name));
}

async function filesOf(folder: string): Promise<{ readonly name: string; readonly bytes: number }[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile());
  const names = files.map((entry) => relative(folder, join(entry.parentPath, entry.name)).replaceAll("\\", "/"));
  const sized = names.sort().map(async (name) => ({ name, bytes: (await stat(join(folder, name))).size }));
  return Promise.all(sized);
}
