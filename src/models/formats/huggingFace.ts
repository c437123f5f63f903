import { ok, type Refusal, type Result, refuse } from "../../core/result.ts";
import { type LlamaShape, moduleName, projectionSize, projections } from "../llama.ts";
import type { Tensor, Tensors } from "../tensor.ts";
import { field, isRecord, isWhole } from "./json.ts";

/**
 * A Llama's `config.json` as Hugging Face's transformers write it. What we cannot compute faithfully is refused by name rather than ignored:
 * a model that answers slightly wrong is worse than one that does not load.
 */
export function parseLlamaConfig(json: unknown): Result<LlamaShape> {
  if (!isRecord(json)) return cannot("it is not a JSON object");
  const why = unsupported(json);
  if (why !== undefined) return cannot(why);
  const heads = whole(json, "num_attention_heads", 1, 1_024);
  const hidden = whole(json, "hidden_size", 1, 1 << 20);
  if (heads === undefined || hidden === undefined) return cannot("it has no hidden_size or no num_attention_heads");
  const shape = {
    vocabulary: whole(json, "vocab_size", 1, 1 << 24),
    hidden,
    intermediate: whole(json, "intermediate_size", 1, 1 << 22),
    layers: whole(json, "num_hidden_layers", 1, 1_024),
    heads,
    keyValueHeads: whole(json, "num_key_value_heads", 1, heads, heads),
    headSize: whole(json, "head_dim", 2, 1_024, hidden / heads),
    contextTokens: whole(json, "max_position_embeddings", 1, 1 << 24, 2_048),
    ropeTheta: positive(json["rope_theta"] ?? field(json["rope_parameters"], "rope_theta") ?? 10_000),
    normEpsilon: positive(json["rms_norm_eps"] ?? 1e-6),
    isTied: json["tie_word_embeddings"] === true,
  };
  return isLlamaShape(shape)
    ? checkLlamaShape(shape)
    : cannot(
        `${Object.entries(shape)
          .filter(([, value]) => value === undefined)
          .map(([name]) => name)
          .join(", ")} is missing or out of range`,
      );
}

/** What must hold between the sizes of a shape. */
export function checkLlamaShape(shape: LlamaShape): Result<LlamaShape> {
  const { heads, keyValueHeads, headSize } = shape;
  if (heads % keyValueHeads !== 0) return cannot(`${keyValueHeads} key-value heads do not divide ${heads} heads`);
  if (!Number.isInteger(headSize) || headSize % 2 !== 0)
    return cannot(`a head of size ${headSize} cannot be rotated in pairs`);
  return ok(shape);
}

/** `config.json` for a shape; `endToken` ends a text. */
export function llamaConfig(shape: LlamaShape, endToken = 0): Readonly<Record<string, unknown>> {
  return {
    architectures: ["LlamaForCausalLM"],
    attention_bias: false,
    attention_dropout: 0,
    bos_token_id: endToken,
    eos_token_id: endToken,
    head_dim: shape.headSize,
    hidden_act: "silu",
    hidden_size: shape.hidden,
    initializer_range: 0.02,
    intermediate_size: shape.intermediate,
    max_position_embeddings: shape.contextTokens,
    mlp_bias: false,
    model_type: "llama",
    num_attention_heads: shape.heads,
    num_hidden_layers: shape.layers,
    num_key_value_heads: shape.keyValueHeads,
    rms_norm_eps: shape.normEpsilon,
    rope_scaling: null,
    rope_theta: shape.ropeTheta,
    tie_word_embeddings: shape.isTied,
    torch_dtype: "float32",
    use_cache: true,
    vocab_size: shape.vocabulary,
  };
}

/** Every tensor of a shape, by name, with its own shape. */
export function llamaTensorShapes(shape: LlamaShape): ReadonlyMap<string, readonly number[]> {
  const { vocabulary, hidden, layers } = shape;
  const shapes = new Map<string, readonly number[]>([["model.embed_tokens.weight", [vocabulary, hidden]]]);
  for (let layer = 0; layer < layers; layer++) {
    shapes.set(`model.layers.${layer}.input_layernorm.weight`, [hidden]);
    shapes.set(`model.layers.${layer}.post_attention_layernorm.weight`, [hidden]);
    for (const projection of projections) {
      const size = projectionSize(shape, projection);
      shapes.set(`${moduleName(layer, projection)}.weight`, [size.out, size.in]);
    }
  }
  shapes.set("model.norm.weight", [hidden]);
  if (!shape.isTied) shapes.set("lm_head.weight", [vocabulary, hidden]);
  return shapes;
}

/**
 * The tensors of a shape, each there with its own shape, and nothing else. Two extras that some files carry are left out: the rotary frequencies,
 * which follow from the shape, and an output layer beside a tied embedding.
 */
export function checkLlamaTensors(shape: LlamaShape, tensors: Tensors): Result<Tensors> {
  return checkTensors(llamaTensorShapes(shape), tensors, isSpareOf(shape));
}

/** The same of what headers say, before any number is read. */
export function checkLlamaHeaders(shape: LlamaShape, found: Shapes): Result<void> {
  return checkShapes(llamaTensorShapes(shape), found, isSpareOf(shape));
}

/** The tensors that must be there, in the order of `shapes`; anything else is refused unless `isSpare`. */
export function checkTensors(
  shapes: ReadonlyMap<string, readonly number[]>,
  tensors: Tensors,
  isSpare: (name: string) => boolean = () => false,
): Result<Tensors> {
  const fitting = checkShapes(shapes, tensors, isSpare);
  if (!fitting.ok) return fitting;
  const checked = new Map<string, Tensor>();
  for (const name of shapes.keys()) checked.set(name, tensors.get(name)!);
  for (const [name, { shape, data }] of checked)
    if (data.length !== shape.reduce((a, b) => a * b, 1)) return mismatch(`${name} has ${data.length} numbers`);
  return ok(checked);
}

type Shapes = ReadonlyMap<string, { readonly shape: readonly number[] }>;

function checkShapes(
  shapes: ReadonlyMap<string, readonly number[]>,
  found: Shapes,
  isSpare: (name: string) => boolean,
): Result<void> {
  for (const [name, shape] of shapes) {
    const one = found.get(name);
    if (one === undefined) return mismatch(`${name} is missing`);
    if (one.shape.join() !== shape.join())
      return mismatch(`${name} has the shape [${one.shape.join(", ")}] and not [${shape.join(", ")}]`);
  }
  for (const name of found.keys())
    if (!shapes.has(name) && !isSpare(name)) return mismatch(`nothing is known of ${name.slice(0, 120)}`);
  return ok(undefined);
}

function isSpareOf({ isTied }: LlamaShape): (name: string) => boolean {
  return (name) => name.endsWith(".rotary_emb.inv_freq") || (isTied && name === "lm_head.weight");
}

type Config = Readonly<Record<string, unknown>>;

/** Why a configuration cannot be computed faithfully; undefined where it can. */
function unsupported(json: Config): string | undefined {
  const architectures: unknown = json["architectures"] ?? ["LlamaForCausalLM"];
  if (json["model_type"] !== "llama") return `its family is ${JSON.stringify(json["model_type"] ?? null)}, not "llama"`;
  if (!Array.isArray(architectures) || architectures.join() !== "LlamaForCausalLM")
    return `its architecture is ${JSON.stringify(architectures)}, not LlamaForCausalLM`;
  const activation = json["hidden_act"] ?? "silu";
  if (activation !== "silu") return `its activation is ${JSON.stringify(activation)}, not "silu"`;
  for (const name of ["attention_bias", "mlp_bias", "rope_interleaved"]) if (isSet(json[name])) return `it has ${name}`;
  if (isSet(json["quantization_config"])) return "its weights are quantised";
  if (json["partial_rotary_factor"] !== undefined && json["partial_rotary_factor"] !== 1)
    return "it rotates only a part of each head";
  for (const name of ["rope_scaling", "rope_parameters"]) {
    const rope = json[name];
    const kind = field(rope, "rope_type") ?? field(rope, "type") ?? "default";
    if (isSet(rope) && kind !== "default") return `it scales its rotary positions by ${JSON.stringify(kind)}`;
  }
  return undefined;
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null && value !== false;
}

function whole(json: Config, name: string, min: number, max: number, otherwise?: number): number | undefined {
  const value = json[name] ?? otherwise;
  return isWhole(value, min, max) ? value : undefined;
}

function positive(value: unknown): number | undefined {
  return typeof value === "number" && value > 0 && Number.isFinite(value) ? value : undefined;
}

function isLlamaShape(
  shape: { readonly [name in keyof LlamaShape]: LlamaShape[name] | undefined },
): shape is LlamaShape {
  return Object.values(shape).every((value) => value !== undefined);
}

function cannot(why: string): { readonly ok: false; readonly error: Refusal } {
  return refuse("invalid_request", `This model cannot be used: ${why}.`, {
    hint: "Llama models without biases, scaled positions or quantisation can be used, as a Hugging Face folder.",
  });
}

function mismatch(why: string): { readonly ok: false; readonly error: Refusal } {
  return refuse("invalid_request", `The weights do not fit the configuration: ${why}.`);
}
