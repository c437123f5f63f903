import { ok, type Refusal, type Result, refuse } from "../../core/result.ts";
import { type LlamaShape, type Projection, projectionSize, projections } from "../llama.ts";
import type { LoraShape } from "../lora.ts";
import type { Gguf, Scalar } from "./gguf.ts";
import { checkLlamaShape } from "./huggingFace.ts";
import { blockName, llamaGgufShapes, tokenTypes } from "./llamaGguf.ts";

/**
 * What a GGUF file must say before llama.cpp may see it. llama.cpp ends its process on some contradictions (a token twice, sizes that do not fit),
 * so each key that it reads must have its type and each tensor its size, and keys that we do not write ourselves are refused: they might switch on anything.
 */
export function checkLlamaGguf(gguf: Gguf): Result<LlamaShape> {
  const keys = new Keys(gguf);
  keys.is("general.architecture", "llama");
  keys.is("general.type", "model");
  const vocabulary = keys.whole("llama.vocab_size", 1, 1 << 24);
  const shape: LlamaShape = {
    vocabulary,
    hidden: keys.whole("llama.embedding_length", 1, 1 << 20),
    intermediate: keys.whole("llama.feed_forward_length", 1, 1 << 22),
    layers: keys.whole("llama.block_count", 1, 1_024),
    heads: keys.whole("llama.attention.head_count", 1, 1_024),
    keyValueHeads: keys.whole("llama.attention.head_count_kv", 1, 1_024),
    headSize: keys.whole("llama.attention.key_length", 2, 1_024),
    contextTokens: keys.whole("llama.context_length", 1, 1 << 24),
    ropeTheta: keys.positive("llama.rope.freq_base"),
    normEpsilon: keys.positive("llama.attention.layer_norm_rms_epsilon"),
    isTied: !gguf.tensors.some(({ name }) => name === "output.weight"),
  };
  keys.whole("llama.attention.value_length", shape.headSize, shape.headSize);
  keys.whole("llama.rope.dimension_count", shape.headSize, shape.headSize);
  checkTokens(keys, vocabulary);
  for (const name of ["general.name", "tokenizer.chat_template"]) keys.may(name, "string");
  for (const name of ["general.file_type", "general.quantization_version"]) keys.may(name, "u32");
  const why = keys.why ?? keys.unread();
  if (why !== undefined) return damaged(why);
  const fits = checkLlamaShape(shape);
  if (!fits.ok) return fits;
  const wrong = tensorsDiffer(gguf, llamaGgufShapes(shape));
  return wrong === undefined ? ok(shape) : damaged(wrong);
}

/** The same for an adapter of a base with the shape `base`. */
export function checkLoraGguf(gguf: Gguf, base: LlamaShape): Result<LoraShape> {
  const keys = new Keys(gguf);
  keys.is("general.architecture", "llama");
  keys.is("general.type", "adapter");
  keys.is("adapter.type", "lora");
  const alpha = keys.positive("adapter.lora.alpha");
  keys.may("general.name", "string");
  const why = keys.why ?? keys.unread();
  if (why !== undefined) return damaged(why);
  const targets = projections.filter((projection) =>
    gguf.tensors.some(({ name }) => name === `${blockName(0, projection)}.weight.lora_a`),
  );
  const rank = gguf.tensors.find(({ name }) => name.endsWith(".lora_a"))?.sizes[1] ?? 0;
  if (targets.length === 0 || rank > 4_096) return damaged("it adapts nothing");
  const wrong = tensorsDiffer(gguf, loraGgufShapes(base, rank, targets));
  return wrong === undefined ? ok({ rank, alpha, dropout: 0, targets }) : damaged(wrong);
}

function loraGgufShapes(
  base: LlamaShape,
  rank: number,
  targets: readonly Projection[],
): ReadonlyMap<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>();
  for (let layer = 0; layer < base.layers; layer++)
    for (const projection of targets) {
      const size = projectionSize(base, projection);
      shapes.set(`${blockName(layer, projection)}.weight.lora_a`, [rank, size.in]);
      shapes.set(`${blockName(layer, projection)}.weight.lora_b`, [size.out, rank]);
    }
  return shapes;
}

/** The first tensor that is missing, unknown, or has another size or an impossible type; undefined where there is none. */
function tensorsDiffer({ tensors }: Gguf, shapes: ReadonlyMap<string, readonly number[]>): string | undefined {
  if (tensors.length !== shapes.size) return `it has ${tensors.length} tensors, not ${shapes.size}`;
  for (const { name, sizes, type } of tensors) {
    const shape = shapes.get(name);
    if (shape === undefined) return `nothing is known of its tensor ${JSON.stringify(name)}`;
    if (sizes.join() !== [...shape].reverse().join()) return `its tensor ${name} has the sizes [${sizes.join(", ")}]`;
    const isPlain = shape.length === 1 || name.includes(".lora_");
    if (isPlain && type !== "F32" && !(type === "F16" && shape.length > 1)) return `its tensor ${name} is ${type}`;
  }
  return undefined;
}

function checkTokens(keys: Keys, vocabulary: number): void {
  keys.is("tokenizer.ggml.model", "gpt2");
  const tokenizer = keys.text("tokenizer.ggml.pre");
  if (tokenizer !== "gpt-2" && tokenizer !== "smollm") keys.fault(`its tokenizer is ${JSON.stringify(tokenizer)}`);
  const tokens = keys.array("tokenizer.ggml.tokens", "string");
  const kinds = keys.array("tokenizer.ggml.token_type", "i32");
  const merges = keys.array("tokenizer.ggml.merges", "string");
  if (tokens.length !== vocabulary || kinds.length !== vocabulary) keys.fault("its tokens are not its vocabulary");
  const known = new Set(tokens);
  if (known.size !== tokens.length || known.has("")) keys.fault("a token stands twice or is empty");
  const allowed = new Set<Scalar>(Object.values(tokenTypes));
  if (!kinds.every((kind) => allowed.has(kind))) keys.fault("a token has an unknown type");
  for (const merge of merges) {
    const [left = "", right = "", ...rest] = String(merge).split(" ");
    if (rest.length > 0 || !known.has(left) || !known.has(right) || !known.has(left + right))
      keys.fault("a merge names no tokens of the vocabulary");
  }
  keys.whole("tokenizer.ggml.bos_token_id", 0, vocabulary - 1);
  keys.whole("tokenizer.ggml.eos_token_id", 0, vocabulary - 1);
  keys.may("tokenizer.ggml.add_bos_token", "bool");
}

/** Reads keys by name and type; the first fault stays in `why`. */
class Keys {
  why: string | undefined;
  readonly #gguf: Gguf;
  readonly #read = new Set<string>();

  constructor(gguf: Gguf) {
    this.#gguf = gguf;
  }

  is(name: string, wanted: string): void {
    const said = this.text(name);
    if (said !== wanted) this.fault(`its ${name} is ${JSON.stringify(said.slice(0, 80))}, not "${wanted}"`);
  }

  text(name: string): string {
    return String(this.#scalar(name, "string") ?? "");
  }

  whole(name: string, min: number, max: number): number {
    const value = Number(this.#scalar(name, "u32"));
    if (!(value >= min && value <= max)) this.fault(`its ${name} is not from ${min} to ${max}`);
    return value;
  }

  positive(name: string): number {
    const value = Number(this.#scalar(name, "f32"));
    if (!(value > 0 && Number.isFinite(value))) this.fault(`its ${name} is not positive`);
    return value;
  }

  /** A key that may be left out. */
  may(name: string, type: "string" | "u32" | "bool"): void {
    if (this.#gguf.metadata.has(name)) this.#scalar(name, type);
  }

  array(name: string, of: "string" | "i32"): readonly Scalar[] {
    this.#read.add(name);
    const value = this.#gguf.metadata.get(name);
    if (value?.type === "array" && value.of === of) return value.values;
    this.fault(`its ${name} is no list`);
    return [];
  }

  unread(): string | undefined {
    const name = [...this.#gguf.metadata.keys()].find((key) => !this.#read.has(key));
    return name === undefined ? undefined : `nothing is known of its key ${JSON.stringify(name.slice(0, 80))}`;
  }

  fault(why: string): void {
    this.why ??= why;
  }

  #scalar(name: string, type: "string" | "u32" | "f32" | "bool"): Scalar | undefined {
    this.#read.add(name);
    const value = this.#gguf.metadata.get(name);
    if (value?.type === type) return value.value;
    this.fault(`its ${name} is missing or of another type`);
    return undefined;
  }
}

function damaged(why: string): { readonly ok: false; readonly error: Refusal } {
  return refuse("invalid_request", `This GGUF file cannot be used: ${why}.`, {
    hint: "Make it again from the model's Hugging Face folder.",
  });
}
