import { assert } from "../../core/result.ts";
import {
  type Attribute,
  type Constant,
  type Dim,
  type ElementType,
  encodeModel,
  type OnnxNode,
  type ValueInfo,
} from "./model.ts";

/** A tensor in a graph: where an operator's output, an input or a constant is. */
export type Value = ValueInfo;

/** One input of a differentiable operation, and how the gradient by its output becomes the gradient by that input. */
export interface Pullback {
  readonly input: Value;
  pull(gradient: Value): Value;
}

/** Builds one ONNX graph, and remembers how to differentiate what was built: see `gradient.ts`. */
export class Graph {
  readonly #nodes: OnnxNode[] = [];
  readonly #constants = new Map<string, Constant>();
  readonly #inputs = new Map<string, ValueInfo>();
  readonly #outputs: ValueInfo[] = [];
  readonly #sizes = new Map<string, Value>();
  readonly #shapes = new Map<string, Value>();
  readonly #tape: { readonly output: Value; readonly pullbacks: readonly Pullback[] }[] = [];
  #names = 0;

  /** In the order in which the operations were built. */
  get tape(): readonly { readonly output: Value; readonly pullbacks: readonly Pullback[] }[] {
    return this.#tape;
  }

  get inputs(): readonly ValueInfo[] {
    return [...this.#inputs.values()];
  }

  input(name: string, type: ElementType, shape: readonly Dim[]): Value {
    assert(!this.#inputs.has(name), `the graph has one input ${name}`);
    const value = { name, type, shape };
    this.#inputs.set(name, value);
    return value;
  }

  /** Equal constants are kept once. */
  constant(type: "float" | "int64", shape: readonly number[], values: readonly number[]): Value {
    assert(values.length === shape.reduce((size, dim) => size * dim, 1), "a constant fills its shape");
    const key = `${type}/${shape.join(",")}/${values.join(",")}`;
    const known = this.#constants.get(key);
    if (known !== undefined) return known;
    const constant = { name: this.#name("constant"), type, shape, values };
    this.#constants.set(key, constant);
    return constant;
  }

  /** An operator with one output, whose element type and shape the caller knows. */
  node(
    operator: string,
    inputs: readonly Value[],
    output: { readonly type?: ElementType; readonly shape: readonly Dim[] },
    attributes: Readonly<Record<string, Attribute>> = {},
  ): Value {
    const value = { name: this.#name(operator), type: output.type ?? "float", shape: output.shape };
    this.#nodes.push({ operator, inputs: inputs.map(({ name }) => name), outputs: [value.name], attributes });
    return value;
  }

  /** An operator with several outputs. */
  nodes(
    operator: string,
    inputs: readonly Value[],
    shapes: readonly (readonly Dim[])[],
    attributes: Readonly<Record<string, Attribute>> = {},
  ): readonly Value[] {
    const values = shapes.map((shape) => ({ name: this.#name(operator), type: "float" as const, shape }));
    const outputs = values.map(({ name }) => name);
    this.#nodes.push({ operator, inputs: inputs.map(({ name }) => name), outputs, attributes });
    return values;
  }

  output(name: string, value: Value): void {
    this.#nodes.push({ operator: "Identity", inputs: [value.name], outputs: [name], attributes: {} });
    this.#outputs.push({ ...value, name });
  }

  /** Says that `output` was computed from the pullbacks' inputs; no other input has a gradient. */
  differentiable(output: Value, pullbacks: readonly Pullback[]): Value {
    this.#tape.push({ output, pullbacks });
    return output;
  }

  /** Makes a named size known: an int64 tensor [1]. */
  defineSize(name: string, size: Value): void {
    this.#sizes.set(name, size);
  }

  /** A shape as the int64 tensor that Reshape, Expand and ConstantOfShape take. */
  shape(dims: readonly Dim[]): Value {
    const key = dims.join(",");
    const known = this.#shapes.get(key);
    if (known !== undefined) return known;
    const fixed = dims.filter((dim) => typeof dim === "number");
    const made =
      fixed.length === dims.length
        ? this.constant("int64", [dims.length], fixed)
        : this.node(
            "Concat",
            dims.map((dim) => this.#size(dim)),
            { type: "int64", shape: [dims.length] },
            { axis: { kind: "int", value: 0 } },
          );
    this.#shapes.set(key, made);
    return made;
  }

  /** The bytes of the ONNX file. */
  encode(): Uint8Array {
    return encodeModel({
      nodes: this.#nodes,
      constants: [...this.#constants.values()],
      inputs: this.inputs,
      outputs: this.#outputs,
    });
  }

  #size(dim: Dim): Value {
    const size = typeof dim === "number" ? this.constant("int64", [1], [dim]) : this.#sizes.get(dim);
    assert(size !== undefined, `the size ${dim} was defined`);
    return size;
  }

  #name(operator: string): string {
    this.#names += 1;
    return `${operator}_${this.#names}`;
  }
}
