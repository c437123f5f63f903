import { existsSync } from "node:fs";
import { join } from "node:path";
import { utf8 } from "../../core/bytes.ts";
import { ok, type Refusal, type Result, refuse } from "../../core/result.ts";
import { endOfRecordText, type Tokenizer } from "../bpe.ts";
import { parseTokenizerJson, writeTokenizerJson } from "../bpeFile.ts";
import type { LlamaShape } from "../llama.ts";
import type { Tensor, Tensors } from "../tensor.ts";
import { writeJson, writeParts } from "./atomicFile.ts";
import { readJson, readText } from "./boundedFile.ts";
import type { FloatType } from "./floats.ts";
import { checkLlamaHeaders, checkLlamaTensors, llamaConfig, parseLlamaConfig } from "./huggingFace.ts";
import { field, isRecord } from "./json.ts";
import type { SafetensorsEntry } from "./safetensors.ts";
import { readSafetensorsFile, readSafetensorsHeader, writeSafetensorsFile } from "./safetensorsFile.ts";

/** A model as it lies in a Hugging Face folder. */
export interface LlamaFolder extends LlamaOutline {
  readonly tensors: Tensors;
}

/** All but the weights. */
export interface LlamaOutline {
  readonly shape: LlamaShape;
  readonly tokenizer: Tokenizer;
  /** Jinja, as `tokenizer_config.json` has it. */
  readonly chatTemplate?: string;
}

const TOKENIZER_BYTES_MAX = 64 << 20;
const SHARDS_MAX = 1_024;

/**
 * Reads `config.json`, `model.safetensors` (or the shards that `model.safetensors.index.json` names), `tokenizer.json` and the chat template.
 * Refuses what the parsers refuse, weights that do not fit the configuration, and a vocabulary that the embedding has no row for.
 */
export async function readLlamaFolder(folder: string): Promise<Result<LlamaFolder>> {
  const outline = await readLlamaOutline(folder);
  if (!outline.ok) return outline;
  const tensors = await readWeights(folder, outline.value.shape);
  return tensors.ok ? ok({ ...outline.value, tensors: tensors.value }) : tensors;
}

/**
 * Reads the small files of a folder, and of its weights what their headers say. Refuses as {@link readLlamaFolder} does, all but numbers that are none, which only
 * who reads all of them sees.
 */
export async function readLlamaOutline(folder: string): Promise<Result<LlamaOutline>> {
  const shape = await readLlamaShape(folder);
  if (!shape.ok) return shape;
  const tokenizer = await readTokenizer(folder, shape.value);
  if (!tokenizer.ok) return tokenizer;
  const weights = await checkWeights(folder, shape.value);
  if (!weights.ok) return weights;
  const template = await readChatTemplate(folder);
  return ok({
    ...{ shape: shape.value, tokenizer: tokenizer.value },
    ...(template === undefined ? {} : { chatTemplate: template }),
  });
}

/** Only the shape: what an adapter is checked against. */
export async function readLlamaShape(folder: string): Promise<Result<LlamaShape>> {
  const config = await readJson(join(folder, "config.json"));
  return config.ok ? parseLlamaConfig(config.value) : config;
}

/** Writes the folder's files, each whole or not at all, `config.json` last: a folder that has one is complete. */
export async function writeLlamaFolder(
  folder: string,
  model: LlamaFolder,
  options: { readonly type?: FloatType } = {},
): Promise<Result<void>> {
  const { shape, tokenizer, chatTemplate } = model;
  const tensors = checkLlamaTensors(shape, model.tensors);
  if (!tensors.ok) return tensors;
  const config = {
    ...{ bos_token: endOfRecordText, eos_token: endOfRecordText, unk_token: null },
    ...{ add_bos_token: false, clean_up_tokenization_spaces: false, model_max_length: shape.contextTokens },
    tokenizer_class: "PreTrainedTokenizerFast",
    ...(chatTemplate === undefined ? {} : { chat_template: chatTemplate }),
  };
  const steps = [
    () => writeSafetensorsFile(join(folder, "model.safetensors"), tensors.value, options),
    () => writeParts(join(folder, "tokenizer.json"), [utf8(writeTokenizerJson(tokenizer))]),
    () => writeJson(join(folder, "tokenizer_config.json"), config),
    () => writeJson(join(folder, "config.json"), llamaConfig(shape)),
  ];
  for (const step of steps) {
    const written = await step();
    if (!written.ok) return written;
  }
  return ok(undefined);
}

async function readTokenizer(folder: string, shape: LlamaShape): Promise<Result<Tokenizer>> {
  const text = await readText(join(folder, "tokenizer.json"), TOKENIZER_BYTES_MAX);
  if (!text.ok) return text;
  const tokenizer = parseTokenizerJson(text.value);
  if (tokenizer.ok && tokenizer.value.bytes.length > shape.vocabulary)
    return refuse(
      "invalid_request",
      `The tokenizer has ${tokenizer.value.bytes.length} tokens and the model ${shape.vocabulary}.`,
    );
  return tokenizer;
}

async function readWeights(folder: string, shape: LlamaShape): Promise<Result<Tensors>> {
  const files = await weightFiles(folder);
  if (!files.ok) return files;
  const tensors = new Map<string, Tensor>();
  for (const [file, names] of files.value) {
    const read = await readSafetensorsFile(join(folder, file), (name) => names?.has(name) ?? true);
    if (!read.ok) return read;
    for (const [name, tensor] of read.value.tensors) tensors.set(name, tensor);
  }
  return checkLlamaTensors(shape, tensors);
}

async function checkWeights(folder: string, shape: LlamaShape): Promise<Result<void>> {
  const files = await weightFiles(folder);
  if (!files.ok) return files;
  const found = new Map<string, SafetensorsEntry>();
  for (const [file, names] of files.value) {
    const header = await readSafetensorsHeader(join(folder, file));
    if (!header.ok) return header;
    for (const entry of header.value.entries) if (names?.has(entry.name) ?? true) found.set(entry.name, entry);
  }
  return checkLlamaHeaders(shape, found);
}

/** Which file holds which tensors; undefined is all of them. */
async function weightFiles(folder: string): Promise<Result<ReadonlyMap<string, ReadonlySet<string> | undefined>>> {
  const index = join(folder, "model.safetensors.index.json");
  if (existsSync(join(folder, "model.safetensors")) || !existsSync(index))
    return ok(new Map([["model.safetensors", undefined]]));
  const json = await readJson(index, TOKENIZER_BYTES_MAX);
  if (!json.ok) return json;
  const map = field(json.value, "weight_map");
  if (!isRecord(map)) return damagedIndex("it has no weight_map");
  const files = new Map<string, Set<string>>();
  for (const [name, file] of Object.entries(map)) {
    // A plain name: an index must not lead out of its folder.
    if (typeof file !== "string" || !/^[\w-][\w.-]*\.safetensors$/.test(file))
      return damagedIndex(`${JSON.stringify(file).slice(0, 120)} is no file beside it`);
    files.set(file, (files.get(file) ?? new Set()).add(name));
    if (files.size > SHARDS_MAX) return damagedIndex(`it names more than ${SHARDS_MAX} files`);
  }
  return ok(files);
}

async function readChatTemplate(folder: string): Promise<string | undefined> {
  const separate = await readText(join(folder, "chat_template.jinja"), 1 << 20);
  if (separate.ok) return separate.value;
  const config = await readJson(join(folder, "tokenizer_config.json"), TOKENIZER_BYTES_MAX);
  const template = config.ok ? field(config.value, "chat_template") : undefined;
  return typeof template === "string" ? template : undefined;
}

function damagedIndex(why: string): { readonly ok: false; readonly error: Refusal } {
  return refuse("invalid_request", `model.safetensors.index.json cannot be used: ${why}.`);
}
