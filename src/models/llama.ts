/**
 * The shape of a Llama-family decoder (Touvron et al. 2023): RMSNorm before each block, rotary positions, grouped-query attention, SwiGLU.
 * Weights are {@link Tensors} under Hugging Face's names: `model.embed_tokens.weight` [vocabulary, hidden], then for each layer i
 * `model.layers.i.input_layernorm.weight`, `.self_attn.{q,k,v,o}_proj.weight` [out, in], `.post_attention_layernorm.weight`,
 * `.mlp.{gate,up,down}_proj.weight`, then `model.norm.weight` and, unless tied, `lm_head.weight`.
 */
export interface LlamaShape {
  readonly vocabulary: number;
  readonly hidden: number;
  /** Width of the SwiGLU block. */
  readonly intermediate: number;
  readonly layers: number;
  readonly heads: number;
  /** Divides `heads`. */
  readonly keyValueHeads: number;
  readonly headSize: number;
  readonly contextTokens: number;
  readonly ropeTheta: number;
  readonly normEpsilon: number;
  /** The output layer is the embedding, transposed. */
  readonly isTied: boolean;
}

/** The linear layers of a block, in the order in which they run. */
export const projections = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"] as const;
export type Projection = (typeof projections)[number];

/** The Hugging Face name of a projection's module, `.weight` left off. */
export function moduleName(layer: number, projection: Projection): string {
  const block = projection.length === 6 ? "self_attn" : "mlp";
  return `model.layers.${layer}.${block}.${projection}`;
}

/** What a projection reads and writes. */
export function projectionSize(
  shape: LlamaShape,
  projection: Projection,
): { readonly in: number; readonly out: number } {
  const { hidden, intermediate, heads, keyValueHeads, headSize } = shape;
  switch (projection) {
    case "q_proj":
      return { in: hidden, out: heads * headSize };
    case "k_proj":
    case "v_proj":
      return { in: hidden, out: keyValueHeads * headSize };
    case "o_proj":
      return { in: heads * headSize, out: hidden };
    case "gate_proj":
    case "up_proj":
      return { in: hidden, out: intermediate };
    case "down_proj":
      return { in: intermediate, out: hidden };
  }
}
