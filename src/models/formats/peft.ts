import { ok, type Refusal, type Result, refuse } from "../../core/result.ts";
import { type LlamaShape, type Projection, projectionSize, projections } from "../llama.ts";
import { type LoraShape, loraName } from "../lora.ts";
import type { Tensors } from "../tensor.ts";
import { checkTensors } from "./huggingFace.ts";
import { isRecord, isWhole } from "./json.ts";

/** PEFT's `adapter_config.json` for LoRA on the seven projections of a Llama. What changes the sum `W + (alpha / rank) · B · A` otherwise is refused by name. */
export function parsePeftConfig(json: unknown): Result<LoraShape> {
  if (!isRecord(json)) return cannot("it is not a JSON object");
  const why = unsupported(json);
  if (why !== undefined) return cannot(why);
  const { r: rank, lora_alpha: alpha, lora_dropout: dropout = 0 } = json;
  if (!isWhole(rank, 1, 4_096)) return cannot("r is no rank from 1 to 4,096");
  if (typeof alpha !== "number" || !(alpha > 0) || !Number.isFinite(alpha)) return cannot("lora_alpha is not positive");
  if (typeof dropout !== "number" || !(dropout >= 0 && dropout < 1)) return cannot("lora_dropout is not in [0, 1)");
  const targets = parseTargets(json["target_modules"]);
  if (targets === undefined)
    return cannot(`target_modules is not some of ${projections.join(", ")}, each in every layer`);
  // Rank-stabilised LoRA (Kalajdzievski 2023) scales by alpha / √rank: the same sum with another alpha.
  return ok({ rank, alpha: json["use_rslora"] === true ? alpha * Math.sqrt(rank) : alpha, dropout, targets });
}

/** `adapter_config.json` for an adapter of the model `baseName`. */
export function peftConfig(shape: LoraShape, baseName: string): Readonly<Record<string, unknown>> {
  return {
    base_model_name_or_path: baseName,
    bias: "none",
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    lora_alpha: shape.alpha,
    lora_dropout: shape.dropout,
    modules_to_save: null,
    peft_type: "LORA",
    r: shape.rank,
    target_modules: projections.filter((projection) => shape.targets.includes(projection)),
    task_type: "CAUSAL_LM",
    use_dora: false,
    use_rslora: false,
  };
}

/** Every tensor of an adapter on a base, by name, with its own shape. */
export function loraTensorShapes(base: LlamaShape, lora: LoraShape): ReadonlyMap<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>();
  for (let layer = 0; layer < base.layers; layer++)
    for (const projection of projections) {
      if (!lora.targets.includes(projection)) continue;
      const size = projectionSize(base, projection);
      shapes.set(loraName(layer, projection, "A"), [lora.rank, size.in]);
      shapes.set(loraName(layer, projection, "B"), [size.out, lora.rank]);
    }
  return shapes;
}

/** The tensors of an adapter, each there with its own shape, and nothing else. */
export function checkLoraTensors(base: LlamaShape, lora: LoraShape, tensors: Tensors): Result<Tensors> {
  return checkTensors(loraTensorShapes(base, lora), tensors);
}

function unsupported(json: Readonly<Record<string, unknown>>): string | undefined {
  if (json["peft_type"] !== "LORA") return `its type is ${JSON.stringify(json["peft_type"] ?? null)}, not "LORA"`;
  if ((json["bias"] ?? "none") !== "none") return "it trains biases";
  for (const name of [
    ...["use_dora", "fan_in_fan_out", "lora_bias", "modules_to_save", "layers_to_transform", "rank_pattern"],
    ...["alpha_pattern", "target_parameters", "trainable_token_indices", "layer_replication", "exclude_modules"],
    ...["alora_invocation_tokens", "use_qalora", "arrow_config"],
  ])
    if (isSet(json[name])) return `it has ${name}`;
  const start = json["init_lora_weights"] ?? true;
  // PiSSA, OLoRA and others take a part out of the base: such an adapter is one to another base.
  if (typeof start !== "boolean" && start !== "gaussian") return `its base was changed by ${JSON.stringify(start)}`;
  return undefined;
}

/** Set to something: empty lists and objects mean nothing. */
function isSet(value: unknown): boolean {
  if (value === undefined || value === null || value === false) return false;
  return typeof value !== "object" || Object.keys(value).length > 0;
}

function parseTargets(value: unknown): readonly Projection[] | undefined {
  if (value === "all-linear") return projections;
  if (!Array.isArray(value) || value.length === 0) return undefined;
  const names = new Set<unknown>(value);
  const targets = projections.filter((projection) => names.has(projection));
  return targets.length === names.size ? targets : undefined;
}

function cannot(why: string): { readonly ok: false; readonly error: Refusal } {
  return refuse("invalid_request", `This adapter cannot be used: ${why}.`, {
    hint: "LoRA on the linear layers of every block can be used, as PEFT writes it.",
  });
}
