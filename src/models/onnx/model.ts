import { bytesField, floatField, intField, message, packedIntsField, textField } from "./protobuf.ts";

// ONNX as protocol buffers. Field numbers and enumerations are those of onnx.proto3 (github.com/onnx/onnx).

export type ElementType = "float" | "int64" | "bool";
/** A fixed size, or the name of one that is known when the graph runs. */
export type Dim = number | string;

export interface ValueInfo {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly Dim[];
}

export type Attribute =
  | { readonly kind: "int"; readonly value: number }
  | { readonly kind: "float"; readonly value: number }
  | { readonly kind: "ints"; readonly value: readonly number[] }
  | { readonly kind: "text"; readonly value: string };

export interface OnnxNode {
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/** A tensor that the graph brings along; int64 values are given as numbers below 2^53. */
export interface Constant {
  readonly name: string;
  readonly type: "float" | "int64";
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[];
  readonly constants: readonly Constant[];
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
}

/** Version 8 of the file format goes with operator set 18. */
const IR_VERSION = 8;
const OPERATOR_SET = 18;

/** The bytes of an ONNX file: ModelProto. */
export function encodeModel(graph: OnnxGraph): Uint8Array {
  return message(
    intField(1, IR_VERSION),
    textField(2, "openledger"),
    bytesField(7, encodeGraph(graph)),
    bytesField(8, message(textField(1, ""), intField(2, OPERATOR_SET))),
  );
}

function encodeGraph({ nodes, constants, inputs, outputs }: OnnxGraph): Uint8Array {
  return message(
    ...nodes.map((node) => bytesField(1, encodeNode(node))),
    textField(2, "graph"),
    ...constants.map((constant) => bytesField(5, encodeConstant(constant))),
    ...inputs.map((input) => bytesField(11, encodeValueInfo(input))),
    ...outputs.map((output) => bytesField(12, encodeValueInfo(output))),
  );
}

function encodeNode({ operator, inputs, outputs, attributes }: OnnxNode): Uint8Array {
  return message(
    ...inputs.map((input) => textField(1, input)),
    ...outputs.map((output) => textField(2, output)),
    textField(4, operator),
    ...Object.entries(attributes).map(([name, attribute]) => bytesField(5, encodeAttribute(name, attribute))),
  );
}

function encodeAttribute(name: string, attribute: Attribute): Uint8Array {
  const named = textField(1, name);
  switch (attribute.kind) {
    case "float":
      return message(named, floatField(2, attribute.value), intField(20, 1));
    case "int":
      return message(named, intField(3, attribute.value), intField(20, 2));
    case "text":
      return message(named, textField(4, attribute.value), intField(20, 3));
    case "ints":
      return message(named, packedIntsField(8, attribute.value), intField(20, 7));
  }
}

const elementTypes = { float: 1, int64: 7, bool: 9 } as const;

function encodeConstant({ name, type, shape, values }: Constant): Uint8Array {
  const raw = new DataView(new ArrayBuffer(values.length * (type === "float" ? 4 : 8)));
  values.forEach((value, i) => {
    if (type === "float") raw.setFloat32(i * 4, value, true);
    else raw.setBigInt64(i * 8, BigInt(value), true);
  });
  return message(
    packedIntsField(1, shape),
    intField(2, elementTypes[type]),
    textField(8, name),
    bytesField(9, new Uint8Array(raw.buffer)),
  );
}

/** ValueInfoProto { name, type: TypeProto { tensor_type: { elem_type, shape: { dim: { dim_value | dim_param } } } } }. */
function encodeValueInfo({ name, type, shape }: ValueInfo): Uint8Array {
  const dims = shape.map((dim) => bytesField(1, typeof dim === "number" ? intField(1, dim) : textField(2, dim)));
  const tensor = message(intField(1, elementTypes[type]), bytesField(2, message(...dims)));
  return message(textField(1, name), bytesField(2, bytesField(1, tensor)));
}
