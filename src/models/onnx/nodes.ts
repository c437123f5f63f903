import { assert } from "../../core/result.ts";
import type { Graph, Value } from "./graph.ts";
import type { Dim } from "./model.ts";

// ONNX operators with their shapes, without derivatives. `ops.ts` composes them.

export function add(graph: Graph, a: Value, b: Value): Value {
  return graph.node("Add", [a, b], { shape: broadcast(a.shape, b.shape) });
}

export function subtract(graph: Graph, a: Value, b: Value): Value {
  return graph.node("Sub", [a, b], { shape: broadcast(a.shape, b.shape) });
}

export function multiply(graph: Graph, a: Value, b: Value): Value {
  return graph.node("Mul", [a, b], { shape: broadcast(a.shape, b.shape) });
}

export function scale(graph: Graph, a: Value, by: number): Value {
  return multiply(graph, a, number(graph, by));
}

/** Element by element: Sqrt, Reciprocal, Sigmoid, Exp, Neg, Cos, Sin. */
export function map(graph: Graph, operator: string, a: Value): Value {
  return graph.node(operator, [a], { shape: a.shape });
}

export function number(graph: Graph, value: number): Value {
  return graph.constant("float", [], [value]);
}

/** `alpha` · op(a) · op(b) + `plus`, of matrices; op transposes where asked. */
export function gemm(
  graph: Graph,
  a: Value,
  b: Value,
  options: {
    readonly transA?: boolean;
    readonly transB?: boolean;
    readonly alpha?: number;
    readonly plus?: Value;
  } = {},
): Value {
  const { transA = false, transB = false, alpha = 1, plus } = options;
  const [rows, inner] = transA ? [a.shape[1], a.shape[0]] : [a.shape[0], a.shape[1]];
  const [innerB, columns] = transB ? [b.shape[1], b.shape[0]] : [b.shape[0], b.shape[1]];
  assert(a.shape.length === 2 && b.shape.length === 2 && inner === innerB, `${a.shape} · ${b.shape} can be multiplied`);
  return graph.node(
    "Gemm",
    plus === undefined ? [a, b] : [a, b, plus],
    { shape: [rows!, columns!] },
    {
      transA: { kind: "int", value: transA ? 1 : 0 },
      transB: { kind: "int", value: transB ? 1 : 0 },
      alpha: { kind: "float", value: alpha },
    },
  );
}

/** The last two dimensions multiplied, the others in step. */
export function matMul(graph: Graph, a: Value, b: Value): Value {
  const rank = a.shape.length;
  assert(
    b.shape.length === rank && a.shape[rank - 1] === b.shape[rank - 2],
    `${a.shape} · ${b.shape} can be multiplied`,
  );
  return graph.node("MatMul", [a, b], { shape: [...a.shape.slice(0, -1), b.shape[rank - 1]!] });
}

export function transpose(graph: Graph, a: Value, order: readonly number[]): Value {
  return graph.node(
    "Transpose",
    [a],
    { shape: order.map((i) => a.shape[i]!) },
    { perm: { kind: "ints", value: order } },
  );
}

/** Swaps the last two dimensions; the runtime folds this into a multiplication that follows. */
export function flip(graph: Graph, a: Value): Value {
  const rank = a.shape.length;
  const order = a.shape.map((_dim, i) => (i < rank - 2 ? i : 2 * rank - 3 - i));
  return transpose(graph, a, order);
}

export function reshape(graph: Graph, a: Value, dims: readonly Dim[]): Value {
  return graph.node("Reshape", [a, graph.shape(dims)], { type: a.type, shape: dims });
}

/** Sums over one dimension, which stays with size 1. */
export function sumOver(graph: Graph, a: Value, axis: number): Value {
  return reduce(graph, "ReduceSum", a, axis);
}

export function meanOver(graph: Graph, a: Value, axis: number): Value {
  return reduce(graph, "ReduceMean", a, axis);
}

export function sumSquareOver(graph: Graph, a: Value, axis: number): Value {
  return reduce(graph, "ReduceSumSquare", a, axis);
}

/** Over the last dimension. */
export function softmax(graph: Graph, a: Value): Value {
  return graph.node("Softmax", [a], { shape: a.shape }, { axis: { kind: "int", value: -1 } });
}

export function logSoftmax(graph: Graph, a: Value): Value {
  return graph.node("LogSoftmax", [a], { shape: a.shape }, { axis: { kind: "int", value: -1 } });
}

/** The halves of the last dimension. */
export function halves(graph: Graph, a: Value): readonly [Value, Value] {
  const last = a.shape[a.shape.length - 1];
  assert(typeof last === "number" && last % 2 === 0, "the last dimension is even");
  const half = [...a.shape.slice(0, -1), last / 2];
  const [first, second] = graph.nodes("Split", [a], [half, half], {
    axis: { kind: "int", value: -1 },
    num_outputs: { kind: "int", value: 2 },
  });
  return [first!, second!];
}

/** Joined along the last dimension. */
export function join(graph: Graph, a: Value, b: Value): Value {
  const last = [a, b].map(({ shape }) => shape[shape.length - 1]);
  const [left, right] = last;
  assert(typeof left === "number" && typeof right === "number", "the last dimension is fixed");
  return graph.node(
    "Concat",
    [a, b],
    { shape: [...a.shape.slice(0, -1), left + right] },
    { axis: { kind: "int", value: -1 } },
  );
}

/** Rows of a matrix by number: [rows, d], [n] → [n, d]. */
export function takeRows(graph: Graph, a: Value, rows: Value): Value {
  return graph.node("Gather", [a, rows], { shape: [rows.shape[0]!, a.shape[1]!] }, { axis: { kind: "int", value: 0 } });
}

/** Zeros [dims] in which `updates` [n, d] were written at `rows` [n]; no row may be named twice. */
export function putRows(graph: Graph, dims: readonly Dim[], rows: Value, updates: Value): Value {
  const indices = reshape(graph, rows, [rows.shape[0]!, 1]);
  return graph.node("ScatterND", [zeros(graph, dims), indices, updates], { shape: dims });
}

/** Zeros [dims] to which `updates` [n, d] were added at `rows` [n], in order. */
export function addRows(graph: Graph, dims: readonly Dim[], rows: Value, updates: Value): Value {
  const column = reshape(graph, rows, [rows.shape[0]!, 1]);
  const indices = graph.node("Expand", [column, graph.shape(updates.shape)], { type: "int64", shape: updates.shape });
  return graph.node(
    "ScatterElements",
    [zeros(graph, dims), indices, updates],
    { shape: dims },
    { axis: { kind: "int", value: 0 }, reduction: { kind: "text", value: "add" } },
  );
}

export function zeros(graph: Graph, dims: readonly Dim[]): Value {
  // ConstantOfShape fills with a float zero unless told otherwise.
  return graph.node("ConstantOfShape", [graph.shape(dims)], { shape: dims });
}

/** `a` where the mask is true, else 0. */
export function keepWhere(graph: Graph, mask: Value, a: Value): Value {
  return graph.node("Where", [mask, a, number(graph, 0)], { shape: broadcast(mask.shape, a.shape) });
}

function reduce(graph: Graph, operator: string, a: Value, axis: number): Value {
  const at = axis < 0 ? a.shape.length + axis : axis;
  const axes = graph.constant("int64", [1], [at]);
  return graph.node(operator, [a, axes], { shape: a.shape.map((dim, i) => (i === at ? 1 : dim)) });
}

function broadcast(a: readonly Dim[], b: readonly Dim[]): readonly Dim[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_unused, i) => {
    const left = a[a.length - rank + i] ?? 1;
    const right = b[b.length - rank + i] ?? 1;
    assert(left === right || left === 1 || right === 1, `[${a}] and [${b}] go together`);
    return left === 1 ? right : left;
  });
}
