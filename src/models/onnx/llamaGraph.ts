import { assert } from "../../core/result.ts";
import { llamaTensorShapes } from "../formats/huggingFace.ts";
import { loraTensorShapes } from "../formats/peft.ts";
import { type LlamaShape, moduleName, type Projection, projectionSize } from "../llama.ts";
import { type LoraShape, loraName } from "../lora.ts";
import { gradients } from "./gradient.ts";
import { Graph, type Value } from "./graph.ts";
import * as node from "./nodes.ts";
import * as op from "./ops.ts";

/** What a graph computes; nothing else is in it. */
export interface LlamaOutputs {
  /** `logits` [targets, vocabulary] at the rows that are asked for. */
  readonly logits?: boolean;
  /** `losses` [targets, 1]: −log chance of each target, in nats. */
  readonly losses?: boolean;
  /** `gradient:NAME` of Σ weight · loss by every weight of the model, or by every factor of the adapter. */
  readonly gradients?: "weights" | "adapter";
  /** `example:NAME` [batch, ...shape], for each sequence of the batch apart: by the adapter's factors, or by the whole weights of the layers that it adapts, see {@link WholeWeights}. */
  readonly perExample?: "B" | "AB" | WholeWeights;
  /** `inputs:NAME` and `outputs:NAME` of each B, or of each adapted layer's whole weight, see `ModuleCurvature`. */
  readonly curvature?: "B" | "W";
}

/**
 * Gradients by whole weights W [out, in] in other bases, by W's name: `inputBasis:W` [inward, in] and `outputBasis:W` [outward, out] are inputs whose rows are directions, and
 * `example:W` [batch, outward, inward] is outputBasis · gradient · inputBasisᵀ. Tokens are turned, not gradients: that is much less work. A layer that is not named has all its directions.
 */
export type WholeWeights = Readonly<Record<string, { readonly inward: number; readonly outward: number }>>;

export interface LlamaGraph {
  /** The ONNX file. */
  readonly bytes: Uint8Array;
  /** The inputs' names, weights and adapters among them, under their tensor names. */
  readonly inputs: readonly string[];
  /** `keep:…` inputs [tokens, in] of dropout: what each adapted layer's input keeps. */
  readonly keeps: ReadonlyMap<string, number>;
}

/**
 * One Llama-family decoder as an ONNX graph whose weights, adapters and batch are inputs:
 * `tokens`, `positions`, `segments` int64 [batch, length] (a token sees the earlier ones of its own segment),
 * `rows` int64 [targets] (where, counted over batch · length, a next token is predicted; each at most once), `targets` int64 [targets] (that token),
 * `weights` [targets, 1] of the losses in the sum that is differentiated, and `relevant` [tokens, 1] for curvature.
 */
export function llamaGraph(shape: LlamaShape, lora: LoraShape | undefined, outputs: LlamaOutputs): LlamaGraph {
  const decoder = new Decoder(shape, lora, outputs.gradients === "adapter");
  const { graph } = decoder;
  const rows = graph.input("rows", "int64", ["targets"]);
  graph.defineSize("targets", graph.node("Shape", [rows], { type: "int64", shape: [1] }));
  const hidden = op.select(graph, decoder.hidden(), rows);
  const head = decoder.weight(shape.isTied ? "model.embed_tokens.weight" : "lm_head.weight");
  if (outputs.logits === true) graph.output("logits", node.gemm(graph, hidden, head, { transB: true }));
  if (hasLoss(outputs)) addLoss(decoder, hidden, head, outputs);
  return { bytes: graph.encode(), inputs: graph.inputs.map(({ name }) => name), keeps: decoder.keeps };
}

/** Dropout is drawn byte by byte, so chances are rounded to 1/256. */
export function keepChance(dropout: number): number {
  return 1 - Math.round(dropout * 256) / 256;
}

function hasLoss({ losses, gradients, perExample, curvature }: LlamaOutputs): boolean {
  return losses === true || gradients !== undefined || perExample !== undefined || curvature !== undefined;
}

function addLoss(decoder: Decoder, hidden: Value, head: Value, outputs: LlamaOutputs): void {
  const { graph, adapted } = decoder;
  const losses = op.crossEntropy(graph, hidden, head, graph.input("targets", "int64", ["targets"]));
  if (outputs.losses === true) graph.output("losses", losses);
  const factors = [...decoder.factors.values()];
  const by = [
    ...(outputs.gradients === "weights" ? decoder.weights.values() : []),
    ...(outputs.gradients === "adapter" ? factors : []),
    ...(outputs.perExample === undefined && outputs.curvature === undefined ? [] : adapted.map(({ y }) => y)),
    ...(outputs.perExample === "AB" ? adapted.map(({ h }) => h) : []),
  ];
  if (by.length === 0) return;
  const found = gradients(graph, losses, graph.input("weights", "float", ["targets", 1]), by);
  const gradient = (value: Value): Value => {
    const one = found.get(value.name);
    assert(one !== undefined, "a gradient that was asked for is there");
    return one;
  };
  if (outputs.gradients === "weights")
    for (const [name, value] of decoder.weights) graph.output(`gradient:${name}`, gradient(value));
  if (outputs.gradients === "adapter")
    for (const [name, value] of decoder.factors) graph.output(`gradient:${name}`, gradient(value));
  for (const one of adapted) {
    const { weight, b, a, x, h, y } = one;
    const batched = (value: Value): Value => node.reshape(graph, value, ["batch", "length", value.shape[1]!]);
    const product = (left: Value, right: Value): Value =>
      node.matMul(graph, node.flip(graph, batched(left)), batched(right));
    const turned = (name: string, value: Value, directions: number): Value => {
      const basis = graph.input(`${name}:${weight}`, "float", [directions, value.shape[1]!]);
      return node.gemm(graph, value, basis, { transB: true });
    };
    if (typeof outputs.perExample === "object") {
      const { inward, outward } = outputs.perExample[weight] ?? { inward: sizeOf(x), outward: sizeOf(y) };
      const dy = turned("outputBasis", gradient(y), outward);
      graph.output(`example:${weight}`, product(dy, turned("inputBasis", x, inward)));
    } else if (outputs.perExample !== undefined)
      graph.output(`example:${b}`, node.scale(graph, product(gradient(y), h), decoder.scale));
    if (outputs.perExample === "AB") graph.output(`example:${a}`, product(gradient(h), x));
  }
  if (outputs.curvature !== undefined) addCurvature(decoder, outputs.curvature, gradient);
}

function sizeOf({ shape }: Value): number {
  const [, width] = shape;
  assert(typeof width === "number", "a layer's width is known");
  return width;
}

function addCurvature({ graph, adapted, scale }: Decoder, by: "B" | "W", gradient: (value: Value) => Value): void {
  const relevant = graph.input("relevant", "float", ["tokens", 1]);
  for (const { weight, b, x, h, y } of adapted) {
    const [name, taken, factor] = by === "B" ? [b, h, scale] : [weight, x, 1];
    const dy = gradient(y);
    const seen = node.multiply(graph, taken, relevant);
    graph.output(`inputs:${name}`, node.gemm(graph, seen, taken, { transA: true }));
    graph.output(`outputs:${name}`, node.gemm(graph, dy, dy, { transA: true, alpha: factor * factor }));
  }
}

/** A projection with an adapter: x [n, in] → h = A x [n, rank], y = W x + scale · B h [n, out]. */
interface Adapted {
  readonly weight: string;
  readonly a: string;
  readonly b: string;
  readonly x: Value;
  readonly h: Value;
  readonly y: Value;
}

class Decoder {
  readonly graph = new Graph();
  readonly weights: ReadonlyMap<string, Value>;
  readonly factors: ReadonlyMap<string, Value>;
  readonly adapted: Adapted[] = [];
  readonly keeps = new Map<string, number>();
  readonly scale: number;
  readonly #shape: LlamaShape;
  readonly #lora: LoraShape | undefined;
  readonly #isTraining: boolean;
  readonly #dropped = new Map<string, Value>();

  constructor(shape: LlamaShape, lora: LoraShape | undefined, isTraining: boolean) {
    this.#shape = shape;
    this.#lora = lora;
    this.#isTraining = isTraining;
    this.scale = lora === undefined ? 1 : lora.alpha / lora.rank;
    const { graph } = this;
    const input = ([name, dims]: readonly [string, readonly number[]]) =>
      [name, graph.input(name, "float", dims)] as const;
    this.weights = new Map([...llamaTensorShapes(shape)].map(input));
    this.factors = new Map([...(lora === undefined ? [] : loraTensorShapes(shape, lora))].map(input));
  }

  weight(name: string): Value {
    const value = this.weights.get(name);
    assert(value !== undefined, `the model has ${name}`);
    return value;
  }

  /** What the head reads: [batch · length, hidden]. */
  hidden(): Value {
    const { graph } = this;
    const { layers, headSize, heads, keyValueHeads, normEpsilon } = this.#shape;
    const tokens = graph.input("tokens", "int64", ["batch", "length"]);
    const places = placesOf(graph, tokens, this.#shape, heads / keyValueHeads);
    let x = op.embed(graph, this.weight("model.embed_tokens.weight"), node.reshape(graph, tokens, ["tokens"]));
    for (let layer = 0; layer < layers; layer++) {
      const norm = (name: string, input: Value): Value =>
        op.rmsNorm(graph, input, this.weight(`model.layers.${layer}.${name}.weight`), normEpsilon);
      const forAttention = norm("input_layernorm", x);
      const heard = (projection: Projection, count: number): Value =>
        op.splitHeads(graph, this.#project(layer, projection, forAttention), count, headSize);
      const mixed = op.attention(graph, {
        queries: op.rotate(graph, heard("q_proj", heads), places.cos, places.sin),
        keys: op.rotate(graph, heard("k_proj", keyValueHeads), places.cos, places.sin),
        values: heard("v_proj", keyValueHeads),
        mask: places.mask,
        scale: 1 / Math.sqrt(headSize),
      });
      x = op.add(graph, x, this.#project(layer, "o_proj", op.joinHeads(graph, mixed)));
      const forMlp = norm("post_attention_layernorm", x);
      const gate = this.#project(layer, "gate_proj", forMlp);
      const inner = op.swiGlu(graph, gate, this.#project(layer, "up_proj", forMlp));
      x = op.add(graph, x, this.#project(layer, "down_proj", inner));
    }
    return op.rmsNorm(graph, x, this.weight("model.norm.weight"), normEpsilon);
  }

  #project(layer: number, projection: Projection, x: Value): Value {
    const { graph } = this;
    const lora = this.#lora;
    const weight = `${moduleName(layer, projection)}.weight`;
    const plain = op.linear(graph, x, this.weight(weight));
    if (lora === undefined || !lora.targets.includes(projection)) return plain;
    const [a, b] = [loraName(layer, projection, "A"), loraName(layer, projection, "B")];
    const isDropping = this.#isTraining && keepChance(lora.dropout) < 1;
    const input = isDropping ? this.#drop(layer, projection, x) : x;
    const alpha = isDropping ? 1 / keepChance(lora.dropout) : 1;
    const h = op.linear(graph, input, this.factors.get(a)!, { alpha });
    const y = op.linear(graph, h, this.factors.get(b)!, { alpha: this.scale, plus: plain });
    this.adapted.push({ weight, a, b, x: input, h, y });
    return y;
  }

  /** Projections with the same input share what is dropped of it. */
  #drop(layer: number, projection: Projection, x: Value): Value {
    const known = this.#dropped.get(x.name);
    if (known !== undefined) return known;
    const name = `keep:${moduleName(layer, projection)}`;
    const width = projectionSize(this.#shape, projection).in;
    const dropped = op.keepWhere(this.graph, this.graph.input(name, "bool", ["tokens", width]), x);
    this.keeps.set(name, width);
    this.#dropped.set(x.name, dropped);
    return dropped;
  }
}

interface Places {
  /** Rotations, [batch, 1, length, headSize / 2]. */
  readonly cos: Value;
  readonly sin: Value;
  /** [batch, 1, heads a group · length, length]: 0 where a token may look, else very negative. */
  readonly mask: Value;
}

const HIDDEN = -1e9;

function placesOf(graph: Graph, tokens: Value, shape: LlamaShape, headsInGroup: number): Places {
  const length = defineSizes(graph, tokens, headsInGroup);
  const positions = graph.input("positions", "int64", ["batch", "length"]);
  const asFloat = graph.node("Cast", [positions], { shape: ["batch", "length"] }, { to: { kind: "int", value: 1 } });
  const half = shape.headSize / 2;
  const frequencies = Array.from({ length: half }, (_unused, i) => shape.ropeTheta ** (-i / half));
  const angles = node.multiply(
    graph,
    node.reshape(graph, asFloat, ["batch", 1, "length", 1]),
    graph.constant("float", [half], frequencies),
  );
  return {
    cos: node.map(graph, "Cos", angles),
    sin: node.map(graph, "Sin", angles),
    mask: maskOf(graph, length, headsInGroup),
  };
}

/** Answers with the length; all are int64 [1]. */
function defineSizes(graph: Graph, tokens: Value, headsInGroup: number): Value {
  const int = (operator: string, ...inputs: Value[]): Value =>
    graph.node(operator, inputs, { type: "int64", shape: [1] });
  const constant = (value: number): Value => graph.constant("int64", [1], [value]);
  const sizes = graph.node("Shape", [tokens], { type: "int64", shape: [2] });
  const [batch, length] = [int("Gather", sizes, constant(0)), int("Gather", sizes, constant(1))];
  graph.defineSize("batch", batch);
  graph.defineSize("length", length);
  graph.defineSize("tokens", int("Mul", batch, length));
  graph.defineSize("stacked", int("Mul", length, constant(headsInGroup)));
  return length;
}

function maskOf(graph: Graph, length: Value, headsInGroup: number): Value {
  const scalar = (value: number): Value => graph.constant("int64", [], [value]);
  const last = graph.node("Squeeze", [length], { type: "int64", shape: [] });
  const order = graph.node("Range", [scalar(0), last, scalar(1)], { type: "int64", shape: ["length"] });
  const segments = graph.input("segments", "int64", ["batch", "length"]);
  const test = (operator: string, a: Value, b: Value): Value =>
    graph.node(operator, [a, b], { type: "bool", shape: ["batch", 1, "length", "length"] });
  const isEarlier = test(
    "GreaterOrEqual",
    node.reshape(graph, order, ["length", 1]),
    node.reshape(graph, order, [1, "length"]),
  );
  const isSame = test(
    "Equal",
    node.reshape(graph, segments, ["batch", 1, "length", 1]),
    node.reshape(graph, segments, ["batch", 1, 1, "length"]),
  );
  const one = graph.node("Where", [test("And", isEarlier, isSame), node.number(graph, 0), node.number(graph, HIDDEN)], {
    shape: ["batch", 1, "length", "length"],
  });
  if (headsInGroup === 1) return one;
  return graph.node(
    "Concat",
    Array.from({ length: headsInGroup }, () => one),
    { shape: ["batch", 1, "stacked", "length"] },
    { axis: { kind: "int", value: 2 } },
  );
}
