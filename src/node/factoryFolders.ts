import { mkdir, mkdtemp, rm, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Hex } from "../core/bytes.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { Job } from "../factory/job.ts";
import type { AdapterFiles, Base, JobFolders } from "../factory/ports.ts";
import { readLlamaOutline, writeLlamaFolder } from "../models/formats/huggingFaceFile.ts";
import { type AdapterFolder, readAdapterFolder, writeAdapterFolder } from "../models/formats/peftFile.ts";
import type { LoraShape } from "../models/lora.ts";
import type { Tensors } from "../models/tensor.ts";
import { houseChatTemplate } from "../models/training/chatTemplate.ts";
import { dropCheckpoint, readCheckpointValues } from "../models/training/checkpointFile.ts";
import { hashTensors } from "../models/training/trainingRun.ts";

/** More than the adapter of a 70B model at rank 64 in float16; what is larger is no adapter. */
export const ADAPTER_BYTES_MAX = 2 ** 30;
const CONFIG_BYTES_MAX = 64 * 1024;

/**
 * Where jobs have their weights: a folder each in the data folder's `factory`, with the trainer's checkpoint, `adapter` or `model` for the result, and
 * `steps/N` for a kept checkpoint. What can be served is written once and never changed.
 */
export class FactoryFolders implements JobFolders {
  readonly #root: string;

  constructor(data: string) {
    this.#root = join(data, "factory");
  }

  training(job: string): string {
    return join(this.#root, job);
  }

  weights(job: Pick<Job, "id" | "options">, step: number | undefined): string {
    if (step !== undefined) return this.#step(job.id, step);
    return join(this.training(job.id), job.options.adapter === undefined ? "model" : "adapter");
  }

  async keepCheckpoint(job: Job, base: Base, step: number): Promise<Result<void>> {
    const lora = job.options.adapter;
    const values = await readCheckpointValues(this.training(job.id), step);
    if (!values.ok) return values;
    const [folder, tensors] = [this.#step(job.id, step), values.value];
    const written =
      lora === undefined
        ? await writeTrained(folder, base.folder, tensors)
        : await writeAdapterFolder(folder, { lora, tensors }, base);
    // What a full disk has left of it is room for the next.
    if (!written.ok) await this.dropCheckpoint(job.id, step);
    return written;
  }

  async dropCheckpoint(job: string, step: number): Promise<void> {
    await rm(this.#step(job, step), { recursive: true, force: true });
  }

  tidy(job: string): Promise<void> {
    return dropCheckpoint(this.training(job));
  }

  async freeBytes(): Promise<number> {
    // Where nothing can be asked, nothing can be written.
    const disk = await statfs(this.#root).catch(() => undefined);
    return disk === undefined ? 0 : disk.bavail * disk.bsize;
  }

  async putAdapter(job: Job, base: Base, { config, weights }: AdapterFiles): Promise<Result<Hex>> {
    const { adapter: ordered } = job.options;
    if (ordered === undefined)
      return refuse("invalid_request", "the job trains a whole model: it has no adapter to be imported");
    if (config.length > CONFIG_BYTES_MAX || weights.length > ADAPTER_BYTES_MAX)
      return refuse("payload_too_large", `an adapter has at most ${ADAPTER_BYTES_MAX} bytes`);
    const read = await this.#read(job.id, base, { config, weights });
    if (!read.ok) return read;
    const why = differs(read.value.lora, ordered) ?? unusable(read.value.tensors);
    if (why !== undefined) return refuse("invalid_request", `This is not the job's adapter: ${why}.`);
    const hash = hexOf(read.value.tensors);
    const folder = this.weights(job, undefined);
    const present = await readAdapterFolder(folder, base.shape);
    if (present.ok)
      return hexOf(present.value.tensors) === hash
        ? ok(hash)
        : refuse("conflict", "the job has another result already");
    const written = await writeAdapterFolder(folder, { lora: ordered, tensors: read.value.tensors }, base);
    return written.ok ? ok(hash) : written;
  }

  /** Through files, as whatever else reads adapters, and gone again afterwards. */
  async #read(job: string, base: Base, { config, weights }: AdapterFiles): Promise<Result<AdapterFolder>> {
    const parent = this.training(job);
    await mkdir(parent, { recursive: true });
    const folder = await mkdtemp(join(parent, "import-"));
    try {
      await writeFile(join(folder, "adapter_config.json"), config);
      await writeFile(join(folder, "adapter_model.safetensors"), weights);
      const read = await readAdapterFolder(folder, base.shape);
      return read.ok ? read : refuse(read.error.code, read.error.message.replaceAll(`${folder}/`, ""));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  #step(job: string, step: number): string {
    return join(this.training(job), "steps", String(step));
  }
}

/** A whole model with other weights than its base's, as a trainer writes its result. */
async function writeTrained(folder: string, base: string, tensors: Tensors): Promise<Result<void>> {
  const outline = await readLlamaOutline(base);
  return outline.ok
    ? writeLlamaFolder(folder, { chatTemplate: houseChatTemplate, ...outline.value, tensors })
    : outline;
}

/** The job says what was ordered, and its card repeats it: an adapter of other sizes is another job's. */
function differs(lora: LoraShape, ordered: LoraShape): string | undefined {
  if (lora.rank !== ordered.rank) return `its rank is ${lora.rank}, not ${ordered.rank}`;
  if (lora.alpha !== ordered.alpha) return `its alpha is ${lora.alpha}, not ${ordered.alpha}`;
  if (lora.targets.join() !== ordered.targets.join())
    return `it changes ${lora.targets.join(", ")}, not ${ordered.targets.join(", ")}`;
  return undefined;
}

function unusable(tensors: Tensors): string | undefined {
  for (const [name, { data }] of tensors)
    if (!data.every((value) => Number.isFinite(value))) return `${name} holds what is no number`;
  return undefined;
}

function hexOf(tensors: Tensors): Hex {
  return `0x${hashTensors(tensors)}`;
}
