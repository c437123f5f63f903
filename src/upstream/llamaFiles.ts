import { mkdir, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { toHex, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { readLlamaGguf, readLoraGguf, writeLlamaGguf, writeLoraGguf } from "../models/formats/ggufFile.ts";
import { llamaTensorShapes } from "../models/formats/huggingFace.ts";
import { type LlamaOutline, readLlamaFolder, readLlamaOutline } from "../models/formats/huggingFaceFile.ts";
import { readAdapterFolder } from "../models/formats/peftFile.ts";
import { elementsOf } from "../models/formats/safetensors.ts";
import type { LlamaShape } from "../models/llama.ts";
import type { Tensors } from "../models/tensor.ts";
import type { LlamaSetup } from "./llamaProtocol.ts";

/** A base that llama.cpp may load: its file has been checked. */
export interface BaseFile extends LlamaOutline {
  readonly path: string;
}

export interface AdapterFile {
  readonly path: string;
  readonly bytes: number;
}

/** Above so many weights, `auto` holds them in 8 bits: below, precision costs next to nothing. */
const PRECISE_WEIGHTS_MAX = 32_000_000;
/** Written into each cached name: raise it when the files change. */
const FORMAT = 1;

/** The GGUF of a Hugging Face folder, derived unless it is cached already, and checked in either case. */
export async function prepareBase(
  folder: string,
  { cacheFolder, weights }: Pick<LlamaSetup, "cacheFolder" | "weights">,
): Promise<Result<BaseFile>> {
  const outline = await readLlamaOutline(folder);
  if (!outline.ok) return outline;
  const type = weights === "auto" ? fittingType(outline.value.shape) : weights;
  const path = await cachedPath(folder, cacheFolder, `base-${type}`);
  if (!path.ok) return path;
  if (!(await readLlamaGguf(path.value)).ok) {
    const model = await readLlamaFolder(folder);
    if (!model.ok) return model;
    if (!areFinite(model.value.tensors)) return refuse("invalid_request", "The base has weights that are no numbers.");
    const written = await writeLlamaGguf(path.value, { ...model.value, name: "base" }, type);
    if (!written.ok) return written;
  }
  const checked = await readLlamaGguf(path.value);
  return checked.ok ? ok({ ...outline.value, path: path.value }) : checked;
}

/** The same for a PEFT folder. llama.cpp keeps adapters by path, so the name follows what lies in the folder. */
export async function prepareAdapter(
  folder: string,
  base: LlamaShape,
  cacheFolder: string,
): Promise<Result<AdapterFile>> {
  const path = await cachedPath(folder, cacheFolder, "adapter");
  if (!path.ok) return path;
  if (!(await readLoraGguf(path.value, base)).ok) {
    const adapter = await readAdapterFolder(folder, base);
    if (!adapter.ok) return adapter;
    if (!areFinite(adapter.value.tensors))
      return refuse("invalid_request", "The adapter has weights that are no numbers.");
    const written = await writeLoraGguf(path.value, base, adapter.value, { name: "adapter" });
    if (!written.ok) return written;
  }
  const checked = await readLoraGguf(path.value, base);
  return checked.ok ? ok({ path: path.value, bytes: (await stat(path.value)).size }) : checked;
}

/** llama.cpp would sample from what comes out of one NaN, and some of its samplers end the process. */
function areFinite(tensors: Tensors): boolean {
  for (const { data } of tensors.values())
    for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i])) return false;
  return true;
}

/** Named after the folder's files as the disk knows them: our writers replace files and never change them in place. */
async function cachedPath(folder: string, cacheFolder: string, kind: string): Promise<Result<string>> {
  try {
    const names = (await readdir(folder)).sort();
    const stats = await Promise.all(names.map((name) => stat(join(folder, name), { bigint: true })));
    const lines = stats.map(({ ino, size, mtimeNs }, i) => `${names[i]} ${ino} ${size} ${mtimeNs}`);
    const hash = toHex(sha256(utf8([FORMAT, kind, folder, ...lines].join("\n")))).slice(2, 34);
    await mkdir(cacheFolder, { recursive: true });
    return ok(join(cacheFolder, `${kind}-${hash}.gguf`));
  } catch {
    return refuse("not_found", `There is no model folder ${folder}.`);
  }
}

function fittingType(shape: LlamaShape): "F32" | "Q8_0" {
  let weights = 0;
  for (const sizes of llamaTensorShapes(shape).values()) weights += elementsOf(sizes);
  return weights <= PRECISE_WEIGHTS_MAX ? "F32" : "Q8_0";
}
