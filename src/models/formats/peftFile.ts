import { join } from "node:path";
import { ok, type Result } from "../../core/result.ts";
import type { LlamaShape } from "../llama.ts";
import type { LoraShape } from "../lora.ts";
import type { Tensors } from "../tensor.ts";
import { writeJson } from "./atomicFile.ts";
import { readJson } from "./boundedFile.ts";
import { checkLoraTensors, parsePeftConfig, peftConfig } from "./peft.ts";
import { readSafetensorsFile, writeSafetensorsFile } from "./safetensorsFile.ts";

/** An adapter as it lies in a PEFT folder: `adapter_config.json` and `adapter_model.safetensors`. */
export interface AdapterFolder {
  readonly lora: LoraShape;
  readonly tensors: Tensors;
}

/** Reads an adapter of a base with the shape `base`. Refuses what the parsers refuse, and tensors that do not fit. */
export async function readAdapterFolder(folder: string, base: LlamaShape): Promise<Result<AdapterFolder>> {
  const config = await readJson(join(folder, "adapter_config.json"));
  if (!config.ok) return config;
  const lora = parsePeftConfig(config.value);
  if (!lora.ok) return lora;
  const file = await readSafetensorsFile(join(folder, "adapter_model.safetensors"));
  if (!file.ok) return file;
  const tensors = checkLoraTensors(base, lora.value, file.value.tensors);
  return tensors.ok ? ok({ lora: lora.value, tensors: tensors.value }) : tensors;
}

/** Writes both files, each whole or not at all, the configuration last: a folder that has one is complete. */
export async function writeAdapterFolder(
  folder: string,
  adapter: AdapterFolder,
  base: { readonly shape: LlamaShape; readonly name: string },
): Promise<Result<void>> {
  const tensors = checkLoraTensors(base.shape, adapter.lora, adapter.tensors);
  if (!tensors.ok) return tensors;
  const written = await writeSafetensorsFile(join(folder, "adapter_model.safetensors"), tensors.value);
  if (!written.ok) return written;
  return writeJson(join(folder, "adapter_config.json"), peftConfig(adapter.lora, base.name));
}
