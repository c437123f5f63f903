import type { Result } from "../../core/result.ts";
import type { LlamaShape } from "../llama.ts";
import type { LoraShape } from "../lora.ts";
import { writeParts } from "./atomicFile.ts";
import { readRange, withFile } from "./boundedFile.ts";
import { checkLlamaGguf, checkLoraGguf } from "./checkGguf.ts";
import type { Gguf } from "./gguf.ts";
import { parseGguf } from "./ggufParse.ts";
import { type LlamaGgufInput, llamaGgufParts, loraGgufParts } from "./llamaGguf.ts";
import type { AdapterFolder } from "./peftFile.ts";

/** All that stands before the numbers: a vocabulary, its merges and a name for each tensor. */
const HEAD_BYTES_MAX = 64 << 20;

/** Writes a base, whole or not at all. */
export function writeLlamaGguf(
  path: string,
  model: LlamaGgufInput,
  type: "F32" | "F16" | "Q8_0",
): Promise<Result<void>> {
  return writeParts(path, llamaGgufParts(model, type));
}

/** Writes an adapter, whole or not at all. llama.cpp keeps adapters by path: another adapter needs another path. */
export function writeLoraGguf(
  path: string,
  base: LlamaShape,
  adapter: AdapterFolder,
  options: { readonly name: string; readonly type?: "F32" | "F16" },
): Promise<Result<void>> {
  return writeParts(path, loraGgufParts(base, adapter.lora, adapter.tensors, options));
}

/** Reads and checks a base's file; the numbers themselves stay on disk. */
export async function readLlamaGguf(path: string): Promise<Result<LlamaShape>> {
  const gguf = await readHead(path);
  return gguf.ok ? checkLlamaGguf(gguf.value) : gguf;
}

/** Reads and checks an adapter's file. */
export async function readLoraGguf(path: string, base: LlamaShape): Promise<Result<LoraShape>> {
  const gguf = await readHead(path);
  return gguf.ok ? checkLoraGguf(gguf.value, base) : gguf;
}

function readHead(path: string): Promise<Result<Gguf>> {
  return withFile(path, async (file, size) => {
    const head = await readRange(file, 0, Math.min(size, HEAD_BYTES_MAX));
    return head.ok ? parseGguf(head.value, size) : head;
  });
}
