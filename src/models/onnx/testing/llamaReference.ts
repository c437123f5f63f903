import { type LlamaShape, moduleName, type Projection } from "../../llama.ts";
import { type LoraShape, loraName } from "../../lora.ts";

/** Row-major float64. */
export type Matrix = Float64Array;

export interface Reference {
  readonly shape: LlamaShape;
  readonly lora?: LoraShape;
  /** Weights and factors by tensor name. */
  readonly tensors: ReadonlyMap<string, Matrix>;
}

/**
 * The log chances [length, vocabulary] of every next token of one text: a Llama in float64 and plain loops, written from the papers and not from the
 * graph, to hold the graph against.
 */
export function logChances(model: Reference, tokens: readonly number[]): Matrix {
  const { shape, tensors } = model;
  const { hidden, headSize, heads, keyValueHeads, vocabulary } = shape;
  const n = tokens.length;
  const get = (name: string): Matrix => tensors.get(name)!;
  const embedding = get("model.embed_tokens.weight");
  let x: Matrix = new Float64Array(n * hidden);
  tokens.forEach((token, i) => {
    x.set(embedding.subarray(token * hidden, (token + 1) * hidden), i * hidden);
  });
  for (let layer = 0; layer < shape.layers; layer++) {
    const project = (projection: Projection, input: Matrix): Matrix => projected(model, layer, projection, input, n);
    const forAttention = norm(x, get(`model.layers.${layer}.input_layernorm.weight`), shape);
    const q = rotated(project("q_proj", forAttention), heads, shape);
    const k = rotated(project("k_proj", forAttention), keyValueHeads, shape);
    const v = project("v_proj", forAttention);
    const mixed = new Float64Array(n * heads * headSize);
    for (let head = 0; head < heads; head++) {
      const group = Math.floor((head * keyValueHeads) / heads);
      for (let i = 0; i < n; i++) {
        const at = (i * heads + head) * headSize;
        const scores = new Float64Array(i + 1);
        for (let j = 0; j <= i; j++) {
          const from = (j * keyValueHeads + group) * headSize;
          for (let e = 0; e < headSize; e++) scores[j]! += (q[at + e]! * k[from + e]!) / Math.sqrt(headSize);
        }
        const chances = logSoftmax(scores).map(Math.exp);
        for (let j = 0; j <= i; j++)
          for (let e = 0; e < headSize; e++)
            mixed[at + e]! += chances[j]! * v[(j * keyValueHeads + group) * headSize + e]!;
      }
    }
    x = sum(x, project("o_proj", mixed));
    const forMlp = norm(x, get(`model.layers.${layer}.post_attention_layernorm.weight`), shape);
    const up = project("up_proj", forMlp);
    const inner = project("gate_proj", forMlp).map((gate, i) => (gate / (1 + Math.exp(-gate))) * up[i]!);
    x = sum(x, project("down_proj", inner));
  }
  const last = norm(x, get("model.norm.weight"), shape);
  const logits = times(last, shape.isTied ? embedding : get("lm_head.weight"), n, hidden, vocabulary);
  const out = new Float64Array(n * vocabulary);
  for (let i = 0; i < n; i++)
    out.set(logSoftmax(logits.subarray(i * vocabulary, (i + 1) * vocabulary)), i * vocabulary);
  return out;
}

function projected({ lora, tensors }: Reference, layer: number, projection: Projection, x: Matrix, n: number): Matrix {
  const weight = tensors.get(`${moduleName(layer, projection)}.weight`)!;
  const width = x.length / n;
  const plain = times(x, weight, n, width, weight.length / width);
  if (lora === undefined || !lora.targets.includes(projection)) return plain;
  const [a, b] = [tensors.get(loraName(layer, projection, "A"))!, tensors.get(loraName(layer, projection, "B"))!];
  const h = times(x, a, n, width, lora.rank);
  const added = times(h, b, n, lora.rank, weight.length / width);
  return plain.map((value, i) => value + (lora.alpha / lora.rank) * added[i]!);
}

/** x [n, width] · weightᵀ, weight [out, width]. */
function times(x: Matrix, weight: Matrix, n: number, width: number, out: number): Matrix {
  const y = new Float64Array(n * out);
  for (let i = 0; i < n; i++)
    for (let o = 0; o < out; o++) {
      let total = 0;
      for (let e = 0; e < width; e++) total += x[i * width + e]! * weight[o * width + e]!;
      y[i * out + o] = total;
    }
  return y;
}

function norm(x: Matrix, gain: Matrix, { hidden, normEpsilon }: LlamaShape): Matrix {
  const out = new Float64Array(x.length);
  for (let from = 0; from < x.length; from += hidden) {
    const row = x.subarray(from, from + hidden);
    const root = Math.sqrt(row.reduce((total, value) => total + value * value, 0) / hidden + normEpsilon);
    row.forEach((value, e) => {
      out[from + e] = (value / root) * gain[e]!;
    });
  }
  return out;
}

/** The two halves of each head turn as the real and imaginary part of complex numbers. */
function rotated(x: Matrix, heads: number, { headSize, ropeTheta }: LlamaShape): Matrix {
  const half = headSize / 2;
  const out = new Float64Array(x.length);
  for (let at = 0; at < x.length; at += headSize) {
    const position = Math.floor(at / (heads * headSize));
    for (let e = 0; e < half; e++) {
      const angle = position / ropeTheta ** (e / half);
      const [real, imaginary] = [x[at + e]!, x[at + half + e]!];
      out[at + e] = real * Math.cos(angle) - imaginary * Math.sin(angle);
      out[at + half + e] = imaginary * Math.cos(angle) + real * Math.sin(angle);
    }
  }
  return out;
}

function logSoftmax(values: Matrix): Matrix {
  const top = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const total = values.reduce((all, value) => all + Math.exp(value - top), 0);
  return values.map((value) => value - top - Math.log(total));
}

function sum(a: Matrix, b: Matrix): Matrix {
  return a.map((value, i) => value + b[i]!);
}
