import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { ok, type Result, refuse } from "../core/result.ts";
import { readIfThere, writeAtomically } from "../host/files.ts";
import { parseJson } from "../models/formats/json.ts";

const hex = z.templateLiteral(["0x", z.string().regex(/^[0-9a-f]{64}$/)]);
const prices = z.object({ inPerMillion: z.number(), outPerMillion: z.number(), perCall: z.number() });

/** What is kept of a served neural model: enough to serve it again without the job that made it. */
const manifestSchema = z.object({
  name: z.string().min(1).max(128),
  kind: z.enum(["base", "adapter", "model"]),
  base: z.object({ name: z.string(), hash: hex }),
  /** Of an adapter or a trained model: the job, and the checkpoint where it is not the result. */
  job: z.string().optional(),
  step: z.number().int().optional(),
  /** Where its own weights lie, from the data folder, which may move; absent for a base. */
  weights: z.string().optional(),
  hash: hex,
  asset: hex,
  datanets: z.array(
    z.object({
      ...{ name: z.string(), version: z.number().int(), id: hex, licence: z.string(), records: z.number().int() },
    }),
  ),
  /** SPDX expression over base and datanets. */
  licence: z.string(),
  royalty: prices,
  parentsBps: z.number().int(),
  createdMs: z.number().int(),
  /** What its owner asked to be found out about it, beside what its job asked for; influence includes what matches are worth. */
  measured: z.enum(["influence", "matches"]).optional(),
});
export type NeuralManifest = z.infer<typeof manifestSchema>;

/** Where a served model's weights lie, as the llama.cpp engine wants it. */
export interface ModelPlace {
  readonly base: string;
  readonly adapter?: string;
}

/** The manifests of served neural models, one file each in the data folder's `models/neural`. */
export class NeuralManifests {
  readonly #folder: string;

  constructor(data: string) {
    this.#folder = join(data, "models", "neural");
  }

  /** Oldest first. Refuses `data_folder_damaged`. */
  async all(): Promise<Result<readonly NeuralManifest[]>> {
    await mkdir(this.#folder, { recursive: true });
    const manifests: NeuralManifest[] = [];
    for (const file of (await readdir(this.#folder)).filter((name) => name.endsWith(".json")).sort()) {
      const read = manifestSchema.safeParse(parseJson((await readIfThere(join(this.#folder, file))) ?? ""));
      if (!read.success) return refuse("data_folder_damaged", `${file} in ${this.#folder} cannot be read`);
      manifests.push(read.data);
    }
    return ok(manifests.sort((a, b) => a.createdMs - b.createdMs));
  }

  async save(manifest: NeuralManifest): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    const text = `${JSON.stringify(manifest, undefined, 2)}\n`;
    await writeAtomically(join(this.#folder, `${encodeURIComponent(manifest.name)}.json`), text);
  }
}
