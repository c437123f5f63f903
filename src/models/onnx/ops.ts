import { assert } from "../../core/result.ts";
import type { Graph, Pullback, Value } from "./graph.ts";
import type { Dim } from "./model.ts";
import * as node from "./nodes.ts";

// What a Llama-family decoder is made of, each with its derivative. n = tokens, d = width.

/** x [n, in] · weightᵀ [in, out] · alpha, plus `plus` [n, out]. Weights stand as [out, in], as in Hugging Face's files. */
export function linear(
  graph: Graph,
  x: Value,
  weight: Value,
  options: { readonly alpha?: number; readonly plus?: Value } = {},
): Value {
  const { alpha = 1, plus } = options;
  const pullbacks: Pullback[] = [
    { input: x, pull: (dy) => node.gemm(graph, dy, weight, { alpha }) },
    { input: weight, pull: (dy) => node.gemm(graph, dy, x, { transA: true, alpha }) },
  ];
  if (plus !== undefined) pullbacks.push({ input: plus, pull: (dy) => dy });
  return graph.differentiable(node.gemm(graph, x, weight, { ...options, transB: true }), pullbacks);
}

export function add(graph: Graph, a: Value, b: Value): Value {
  return graph.differentiable(node.add(graph, a, b), [
    { input: a, pull: (dy) => dy },
    { input: b, pull: (dy) => dy },
  ]);
}

/** Rows of a table [rows, d] by number [n]. A row may be taken many times. */
export function embed(graph: Graph, table: Value, rows: Value): Value {
  return graph.differentiable(node.takeRows(graph, table, rows), [
    { input: table, pull: (dy) => node.addRows(graph, table.shape, rows, dy) },
  ]);
}

/** Rows of x [n, d] by number [m], each at most once: a cheaper derivative than {@link embed}. */
export function select(graph: Graph, x: Value, rows: Value): Value {
  return graph.differentiable(node.takeRows(graph, x, rows), [
    { input: x, pull: (dy) => node.putRows(graph, x.shape, rows, dy) },
  ]);
}

/** Dropout with a mask that was drawn outside; the caller divides by the chance to keep. */
export function keepWhere(graph: Graph, mask: Value, x: Value): Value {
  return graph.differentiable(node.keepWhere(graph, mask, x), [
    { input: x, pull: (dy) => node.keepWhere(graph, mask, dy) },
  ]);
}

/** x [n, d] over its root mean square, times gain [d] (Zhang & Sennrich 2019). */
export function rmsNorm(graph: Graph, x: Value, gain: Value, epsilon: number): Value {
  const width = x.shape[1];
  assert(typeof width === "number", "the width is fixed");
  const meanSquare = node.scale(graph, node.sumSquareOver(graph, x, -1), 1 / width);
  const root = node.map(graph, "Sqrt", node.add(graph, meanSquare, node.number(graph, epsilon)));
  const inverse = node.map(graph, "Reciprocal", root);
  const normal = node.multiply(graph, x, inverse);
  const pullX = (dy: Value): Value => {
    const dNormal = node.multiply(graph, dy, gain);
    const along = node.meanOver(graph, node.multiply(graph, dNormal, normal), -1);
    return node.multiply(graph, inverse, node.subtract(graph, dNormal, node.multiply(graph, normal, along)));
  };
  const pullGain = (dy: Value): Value =>
    node.reshape(graph, node.sumOver(graph, node.multiply(graph, dy, normal), 0), gain.shape);
  return graph.differentiable(node.multiply(graph, normal, gain), [
    { input: x, pull: pullX },
    { input: gain, pull: pullGain },
  ]);
}

/** silu(gate) ⊙ up (Shazeer 2020). */
export function swiGlu(graph: Graph, gate: Value, up: Value): Value {
  const sigmoid = node.map(graph, "Sigmoid", gate);
  const silu = node.multiply(graph, gate, sigmoid);
  // silu' = σ (1 + x (1 − σ)) = σ + silu (1 − σ) = σ + silu − silu σ
  const pullGate = (dy: Value): Value => {
    const slope = node.subtract(graph, node.add(graph, sigmoid, silu), node.multiply(graph, silu, sigmoid));
    return node.multiply(graph, node.multiply(graph, dy, up), slope);
  };
  return graph.differentiable(node.multiply(graph, silu, up), [
    { input: gate, pull: pullGate },
    { input: up, pull: (dy) => node.multiply(graph, dy, silu) },
  ]);
}

/** [batch · length, heads · size] → [batch, heads, length, size]. */
export function splitHeads(graph: Graph, x: Value, heads: number, size: number): Value {
  const split = (a: Value): Value =>
    node.transpose(graph, node.reshape(graph, a, ["batch", "length", heads, size]), [0, 2, 1, 3]);
  return graph.differentiable(split(x), [{ input: x, pull: (dy) => joined(graph, dy, x.shape) }]);
}

/** [batch, heads, length, size] → [batch · length, heads · size]. */
export function joinHeads(graph: Graph, x: Value): Value {
  const [, heads, , size] = x.shape;
  assert(typeof heads === "number" && typeof size === "number", "heads are fixed");
  const pull = (dy: Value): Value =>
    node.transpose(graph, node.reshape(graph, dy, ["batch", "length", heads, size]), [0, 2, 1, 3]);
  return graph.differentiable(joined(graph, x, ["tokens", heads * size]), [{ input: x, pull }]);
}

/**
 * Rotary positions (Su et al. 2021) on [batch, heads, length, size] in Hugging Face's layout: element i of the first half turns with element i of the
 * second. `cos` and `sin` are [batch, 1, length, size / 2].
 */
export function rotate(graph: Graph, x: Value, cos: Value, sin: Value): Value {
  const turn = (a: Value, isBack: boolean): Value => {
    const [first, second] = node.halves(graph, a);
    const [plus, minus] = isBack ? [node.subtract, node.add] : [node.add, node.subtract];
    const multiply = (left: Value, right: Value): Value => node.multiply(graph, left, right);
    return node.join(
      graph,
      minus(graph, multiply(first, cos), multiply(second, sin)),
      plus(graph, multiply(second, cos), multiply(first, sin)),
    );
  };
  // The inverse of a rotation is its transpose.
  return graph.differentiable(turn(x, false), [{ input: x, pull: (dy) => turn(dy, true) }]);
}

/**
 * softmax(q kᵀ · scale + mask) v. Queries [batch, heads, length, size]; keys and values [batch, groups, length, size], each serving heads / groups
 * neighbouring heads (Ainslie et al. 2023). The heads of a group are stacked along the length, so nothing is copied for them. The mask
 * is [batch, 1, heads / groups · length, length], 0 or very negative.
 */
export function attention(
  graph: Graph,
  { queries, keys, values, mask, scale }: { queries: Value; keys: Value; values: Value; mask: Value; scale: number },
): Value {
  const [batch, groups, , size] = keys.shape;
  const stackedLength = mask.shape[2]!;
  const stacked: readonly Dim[] = [batch!, groups!, stackedLength, size!];
  const q = node.reshape(graph, queries, stacked);
  const scores = node.scale(graph, node.matMul(graph, q, node.flip(graph, keys)), scale);
  const chances = node.softmax(graph, node.add(graph, scores, mask));
  const mixed = node.matMul(graph, chances, values);
  let last: { readonly dy: Value; readonly d: Value; readonly dScores: Value } | undefined;
  // The softmax's derivative is shared by queries and keys.
  const back = (dy: Value): { readonly d: Value; readonly dScores: Value } => {
    if (last?.dy === dy) return last;
    const d = node.reshape(graph, dy, stacked);
    // Σ_j chance_j · dChance_j = d · mixed, summed over the head's size rather than the length (Dao et al. 2022).
    const along = node.sumOver(graph, node.multiply(graph, d, mixed), -1);
    const dChances = node.matMul(graph, d, node.flip(graph, values));
    const dScores = node.multiply(graph, chances, node.subtract(graph, dChances, along));
    last = { dy, d, dScores };
    return last;
  };
  const byQueries = (dy: Value): Value =>
    node.reshape(graph, node.scale(graph, node.matMul(graph, back(dy).dScores, keys), scale), queries.shape);
  const byKeys = (dy: Value): Value =>
    node.scale(graph, node.matMul(graph, node.flip(graph, back(dy).dScores), q), scale);
  const byValues = (dy: Value): Value => node.matMul(graph, node.flip(graph, chances), back(dy).d);
  return graph.differentiable(node.reshape(graph, mixed, queries.shape), [
    { input: queries, pull: byQueries },
    { input: keys, pull: byKeys },
    { input: values, pull: byValues },
  ]);
}

/**
 * The cost of each target: −log softmax(x headᵀ)[target], in nats. x [m, d], head [vocabulary, d], targets int64 [m] → [m, 1].
 * The gradient by the logits, chances minus the target's one-hot, is multiplied through before it meets the weights, so it exists once.
 */
export function crossEntropy(graph: Graph, x: Value, head: Value, targets: Value): Value {
  const logits = node.gemm(graph, x, head, { transB: true });
  const logChances = node.logSoftmax(graph, logits);
  const [m] = x.shape;
  const column = node.reshape(graph, targets, [m!, 1]);
  const axis = { kind: "int", value: 1 } as const;
  const picked = graph.node("GatherElements", [logChances, column], { shape: [m!, 1] }, { axis });
  let difference: Value | undefined;
  const minusTarget = (): Value => {
    if (difference !== undefined) return difference;
    const ones = node.subtract(graph, node.zeros(graph, column.shape), node.number(graph, 1));
    const reduction = { kind: "text", value: "add" } as const;
    // Softmax again, from the logits: the runtime's Exp takes six times as long.
    const inputs = [node.softmax(graph, logits), column, ones];
    difference = graph.node("ScatterElements", inputs, { shape: logits.shape }, { axis, reduction });
    return difference;
  };
  return graph.differentiable(node.map(graph, "Neg", picked), [
    { input: x, pull: (dy) => node.multiply(graph, dy, node.gemm(graph, minusTarget(), head)) },
    { input: head, pull: (dy) => node.gemm(graph, minusTarget(), node.multiply(graph, dy, x), { transA: true }) },
  ]);
}

function joined(graph: Graph, a: Value, dims: readonly Dim[]): Value {
  return node.reshape(graph, node.transpose(graph, a, [0, 2, 1, 3]), dims);
}
