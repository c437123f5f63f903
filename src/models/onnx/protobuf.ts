import { concat, utf8 } from "../../core/bytes.ts";

/** A protocol-buffers writer (developers.google.com/protocol-buffers/docs/encoding), as much of it as ONNX needs. A message is its fields, joined. */
export function message(...fields: readonly Uint8Array[]): Uint8Array {
  return concat(...fields);
}

/** An `int32`, `int64` or `enum` field, |value| < 2^53. */
export function intField(field: number, value: number): Uint8Array {
  return concat(varint(BigInt(field * 8)), varint(BigInt.asUintN(64, BigInt(value))));
}

/** A `float` field: wire type 5, little-endian. */
export function floatField(field: number, value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return concat(varint(BigInt(field * 8 + 5)), bytes);
}

export function textField(field: number, value: string): Uint8Array {
  return bytesField(field, utf8(value));
}

/** `bytes`, and embedded messages: wire type 2. */
export function bytesField(field: number, value: Uint8Array): Uint8Array {
  return concat(varint(BigInt(field * 8 + 2)), varint(BigInt(value.length)), value);
}

/** A packed repeated `int64`. */
export function packedIntsField(field: number, values: readonly number[]): Uint8Array {
  return bytesField(field, concat(...values.map((value) => varint(BigInt.asUintN(64, BigInt(value))))));
}

function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128n) {
    bytes.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}
