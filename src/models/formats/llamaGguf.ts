import type { Tokenizer } from "../bpe.ts";
import { bytesToChars } from "../byteAlphabet.ts";
import { type LlamaShape, moduleName, type Projection, projectionSize, projections } from "../llama.ts";
import { type LoraShape, loraName } from "../lora.ts";
import type { Tensor, Tensors } from "../tensor.ts";
import { type GgufTensor, type GgufType, type GgufValue, ggufParts, QUANT_BLOCK, type ScalarType } from "./gguf.ts";

/** Models and adapters as llama.cpp wants them. A GGUF is derived from the Hugging Face folder and can be made again from it at any time. */
export interface LlamaGgufInput {
  readonly shape: LlamaShape;
  readonly tensors: Tensors;
  readonly tokenizer: Tokenizer;
  readonly name: string;
  readonly chatTemplate?: string;
}

/** Matrices are stored as `type`, or as F16 where their rows are no whole number of Q8_0 blocks; norms always as F32. */
export function llamaGgufParts(model: LlamaGgufInput, type: "F32" | "F16" | "Q8_0"): Generator<Uint8Array> {
  const { shape, tensors } = model;
  const entries: GgufTensor[] = [];
  const add = (name: string, source: string, map: (tensor: Tensor) => Float32Array = ({ data }) => data): void => {
    const tensor = tensors.get(source);
    if (tensor === undefined) return;
    entries.push({ name, type: typeFor(tensor, type), shape: tensor.shape, data: () => map(tensor) });
  };
  add("token_embd.weight", "model.embed_tokens.weight");
  for (let layer = 0; layer < shape.layers; layer++) {
    add(`blk.${layer}.attn_norm.weight`, `model.layers.${layer}.input_layernorm.weight`);
    add(`blk.${layer}.ffn_norm.weight`, `model.layers.${layer}.post_attention_layernorm.weight`);
    for (const projection of projections) {
      const heads = rotatedHeads(shape, projection);
      const source = `${moduleName(layer, projection)}.weight`;
      add(`${blockName(layer, projection)}.weight`, source, (tensor) => interleaveRows(tensor, heads));
    }
  }
  add("output_norm.weight", "model.norm.weight");
  if (!shape.isTied) add("output.weight", "lm_head.weight");
  return ggufParts(llamaMetadata(model, type), entries);
}

/** An adapter of a base with the shape `base`; both factors as `type`. */
export function loraGgufParts(
  base: LlamaShape,
  lora: LoraShape,
  tensors: Tensors,
  options: { readonly name: string; readonly type?: "F32" | "F16" },
): Generator<Uint8Array> {
  const { name, type = "F32" } = options;
  const metadata = new Map<string, GgufValue>([
    ["general.architecture", text("llama")],
    ["general.type", text("adapter")],
    ["general.name", text(name)],
    ["adapter.type", text("lora")],
    ["adapter.lora.alpha", { type: "f32", value: lora.alpha }],
  ]);
  const entries: GgufTensor[] = [];
  for (let layer = 0; layer < base.layers; layer++)
    for (const projection of projections) {
      const [a, b] = [tensors.get(loraName(layer, projection, "A")), tensors.get(loraName(layer, projection, "B"))];
      if (a === undefined || b === undefined) continue;
      const heads = rotatedHeads(base, projection);
      const stem = `${blockName(layer, projection)}.weight`;
      entries.push({ name: `${stem}.lora_a`, type, shape: a.shape, data: () => a.data });
      entries.push({ name: `${stem}.lora_b`, type, shape: b.shape, data: () => interleaveRows(b, heads) });
    }
  return ggufParts(metadata, entries);
}

/** llama.cpp's name for a projection, `.weight` left off. */
export function blockName(layer: number, projection: Projection): string {
  return `blk.${layer}.${blockNames[projection]}`;
}

const blockNames: Readonly<Record<Projection, string>> = {
  q_proj: "attn_q",
  k_proj: "attn_k",
  v_proj: "attn_v",
  o_proj: "attn_output",
  gate_proj: "ffn_gate",
  up_proj: "ffn_up",
  down_proj: "ffn_down",
};

/** Every tensor that a model's file must have, with its shape. */
export function llamaGgufShapes(shape: LlamaShape): ReadonlyMap<string, readonly number[]> {
  const { vocabulary, hidden } = shape;
  const shapes = new Map<string, readonly number[]>([["token_embd.weight", [vocabulary, hidden]]]);
  for (let layer = 0; layer < shape.layers; layer++) {
    shapes.set(`blk.${layer}.attn_norm.weight`, [hidden]);
    shapes.set(`blk.${layer}.ffn_norm.weight`, [hidden]);
    for (const projection of projections) {
      const size = projectionSize(shape, projection);
      shapes.set(`${blockName(layer, projection)}.weight`, [size.out, size.in]);
    }
  }
  shapes.set("output_norm.weight", [hidden]);
  if (!shape.isTied) shapes.set("output.weight", [vocabulary, hidden]);
  return shapes;
}

/** Heads whose rows are rotated in pairs; 0 where the rows stay as they are. */
function rotatedHeads(shape: LlamaShape, projection: Projection): number {
  if (projection === "q_proj") return shape.heads;
  return projection === "k_proj" ? shape.keyValueHeads : 0;
}

/**
 * Hugging Face rotates row i of a head with row i + size/2, llama.cpp row 2i with row 2i + 1: within each head the two halves are interleaved.
 * The rows of an adapter's B are those of its projection.
 */
function interleaveRows({ shape, data }: Tensor, heads: number): Float32Array {
  if (heads === 0) return data;
  const [rows = 0, columns = 0] = shape;
  const half = rows / heads / 2;
  const out = new Float32Array(data.length);
  for (let row = 0; row < rows; row++) {
    const head = Math.floor(row / (2 * half));
    const within = row % (2 * half);
    const source = head * 2 * half + (within % 2) * half + (within >> 1);
    out.set(data.subarray(source * columns, (source + 1) * columns), row * columns);
  }
  return out;
}

function typeFor({ shape }: Tensor, type: "F32" | "F16" | "Q8_0"): GgufType {
  if (shape.length === 1) return "F32";
  return type === "Q8_0" && (shape.at(-1) ?? 0) % QUANT_BLOCK !== 0 ? "F16" : type;
}

/** llama.cpp's numbers for what a file mostly holds, and for what a token is. */
const fileTypes = { F32: 0, F16: 1, Q8_0: 7 } as const;
export const tokenTypes = { normal: 1, control: 3, unused: 5 } as const;

function llamaMetadata(model: LlamaGgufInput, type: "F32" | "F16" | "Q8_0"): ReadonlyMap<string, GgufValue> {
  const { shape, tokenizer, name, chatTemplate } = model;
  const tokens = tokenTexts(tokenizer, shape.vocabulary);
  const kinds = tokens.map((_text, id) => {
    if (id >= tokenizer.bytes.length) return tokenTypes.unused;
    return tokenizer.bytes[id]?.length === 0 ? tokenTypes.control : tokenTypes.normal;
  });
  const merges = tokenizer.merges.map(([left, right]) => `${tokens[left]} ${tokens[right]}`);
  return new Map<string, GgufValue>([
    ["general.architecture", text("llama")],
    ["general.type", text("model")],
    ["general.name", text(name)],
    ["general.file_type", whole(fileTypes[type])],
    ["general.quantization_version", whole(2)],
    ["llama.vocab_size", whole(shape.vocabulary)],
    ["llama.context_length", whole(shape.contextTokens)],
    ["llama.embedding_length", whole(shape.hidden)],
    ["llama.block_count", whole(shape.layers)],
    ["llama.feed_forward_length", whole(shape.intermediate)],
    ["llama.attention.head_count", whole(shape.heads)],
    ["llama.attention.head_count_kv", whole(shape.keyValueHeads)],
    ["llama.attention.key_length", whole(shape.headSize)],
    ["llama.attention.value_length", whole(shape.headSize)],
    ["llama.attention.layer_norm_rms_epsilon", { type: "f32", value: shape.normEpsilon }],
    ["llama.rope.dimension_count", whole(shape.headSize)],
    ["llama.rope.freq_base", { type: "f32", value: shape.ropeTheta }],
    ["tokenizer.ggml.model", text("gpt2")],
    ["tokenizer.ggml.pre", text(tokenizer.splitsDigits ? "smollm" : "gpt-2")],
    ["tokenizer.ggml.tokens", array("string", tokens)],
    ["tokenizer.ggml.token_type", array("i32", kinds)],
    ["tokenizer.ggml.merges", array("string", merges)],
    ["tokenizer.ggml.bos_token_id", whole(0)],
    ["tokenizer.ggml.eos_token_id", whole(0)],
    ["tokenizer.ggml.add_bos_token", { type: "bool", value: false }],
    ...(chatTemplate === undefined ? [] : ([["tokenizer.chat_template", text(chatTemplate)]] as const)),
  ]);
}

/** Each token in the byte alphabet; rows of the embedding beyond the tokenizer get a name of their own. */
function tokenTexts(tokenizer: Tokenizer, vocabulary: number): string[] {
  return Array.from({ length: vocabulary }, (_unused, id) => {
    const bytes = tokenizer.bytes[id];
    if (bytes === undefined) return `[unused ${id}]`;
    return tokenizer.specials.get(id) ?? bytesToChars(bytes);
  });
}

function text(value: string): GgufValue {
  return { type: "string", value };
}

function whole(value: number): GgufValue {
  return { type: "u32", value };
}

function array(of: ScalarType, values: readonly (string | number)[]): GgufValue {
  return { type: "array", of, values };
}
