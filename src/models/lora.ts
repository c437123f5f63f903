import { moduleName, type Projection } from "./llama.ts";

/**
 * A low-rank adapter (Hu et al. 2021): each target projection W gains `(alpha / rank) · B · A`, A [rank, in] and B [out, rank], B zero at the start.
 * Its tensors carry PEFT's names, see {@link loraName}.
 */
export interface LoraShape {
  readonly rank: number;
  readonly alpha: number;
  /** Chance in [0, 1) that an element of A's input is dropped in training. */
  readonly dropout: number;
  readonly targets: readonly Projection[];
}

/** PEFT's name for one factor of a projection's adapter. */
export function loraName(layer: number, projection: Projection, factor: "A" | "B"): string {
  return `base_model.model.${moduleName(layer, projection)}.lora_${factor}.weight`;
}
