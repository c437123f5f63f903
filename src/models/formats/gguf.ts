import { utf8 } from "../../core/bytes.ts";
import { assert } from "../../core/result.ts";
import { bytesOf, halfTable, roundToHalf, writeFloats } from "./floats.ts";

/**
 * GGUF version 3, the file that llama.cpp loads: metadata by key, then each tensor's name, sizes, type and place, then the aligned numbers.
 * Little-endian. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
export interface Gguf {
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: readonly GgufEntry[];
}

/** The format's number for a value's type is its place in this list. */
export const scalarTypes = [
  ...(["u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"] as const),
];
export type ScalarType = Exclude<(typeof scalarTypes)[number], "array">;
export type Scalar = number | boolean | string;

export type GgufValue =
  | { readonly type: ScalarType; readonly value: Scalar }
  | { readonly type: "array"; readonly of: ScalarType; readonly values: readonly Scalar[] };

/** Types in which tensors are stored, with ggml's number. Q8_0: blocks of 32 signed bytes under one binary16 scale. */
export const tensorTypes = { F32: 0, F16: 1, Q8_0: 8, BF16: 30 } as const;
export type GgufType = keyof typeof tensorTypes;

/** Where a tensor lies. `sizes` run from the innermost: the reverse of a shape. `from` and `until` count bytes from the file's start. */
export interface GgufEntry {
  readonly name: string;
  readonly type: GgufType;
  readonly sizes: readonly number[];
  readonly from: number;
  readonly until: number;
}

/** A tensor to be written: `data` is asked for when its turn comes. */
export interface GgufTensor {
  readonly name: string;
  readonly type: GgufType;
  readonly shape: readonly number[];
  data(): Float32Array;
}

export const GGUF_MAGIC = 0x46554747;
export const GGUF_VERSION = 3;
export const ALIGNMENT = 32;
export const QUANT_BLOCK = 32;

/** Bytes of a tensor; undefined where its innermost size is no whole number of blocks. */
export function tensorBytes(type: GgufType, innermost: number, elements: number): number | undefined {
  if (type !== "Q8_0") return bytesOf[type] * elements;
  return innermost % QUANT_BLOCK === 0 ? (elements / QUANT_BLOCK) * (QUANT_BLOCK + 2) : undefined;
}

export function aligned(bytes: number, alignment = ALIGNMENT): number {
  return Math.ceil(bytes / alignment) * alignment;
}

/** A file's bytes in parts, one tensor at a time: the same metadata and tensors make the same bytes. */
export function* ggufParts(
  metadata: ReadonlyMap<string, GgufValue>,
  tensors: readonly GgufTensor[],
): Generator<Uint8Array> {
  const header = new Writer();
  header.u32(GGUF_MAGIC);
  header.u32(GGUF_VERSION);
  header.u64(tensors.length);
  header.u64(metadata.size);
  for (const [key, value] of metadata) {
    header.string(key);
    header.value(value);
  }
  let at = 0;
  for (const { name, type, shape } of tensors) {
    const size = tensorBytes(type, shape.at(-1) ?? 1, elements(shape));
    assert(size !== undefined, `${name} has whole blocks`);
    header.string(name);
    header.u32(shape.length);
    for (const length of [...shape].reverse()) header.u64(length);
    header.u32(tensorTypes[type]);
    header.u64(at);
    at = aligned(at + size);
  }
  header.padTo(aligned(header.length));
  yield header.finish();
  for (const { name, type, shape, data } of tensors) {
    const numbers = data();
    assert(numbers.length === elements(shape), `${name} has the elements of its shape`);
    const bytes = type === "Q8_0" ? quantise(numbers) : writeFloats(numbers, type);
    yield bytes;
    yield new Uint8Array(aligned(bytes.length) - bytes.length);
  }
}

/** Blocks of 32 numbers as a binary16 scale, the largest magnitude through 127, and rounded multiples of it. 34 bytes a block. */
export function quantise(numbers: Float32Array): Uint8Array {
  const blocks = numbers.length / QUANT_BLOCK;
  assert(Number.isInteger(blocks), "whole blocks are quantised");
  const out = new Uint8Array(blocks * (QUANT_BLOCK + 2));
  const scaleBits = new Uint32Array(1);
  const scale = new Float32Array(scaleBits.buffer);
  for (let block = 0, at = 0; block < blocks; block++, at += QUANT_BLOCK + 2) {
    let largest = 0;
    for (let i = 0; i < QUANT_BLOCK; i++) largest = Math.max(largest, Math.abs(numbers[block * QUANT_BLOCK + i]!));
    scale[0] = largest / 127;
    const inverse = scale[0] > 0 ? 1 / scale[0] : 0;
    const half = roundToHalf(scaleBits[0]!);
    out[at] = half & 0xff;
    out[at + 1] = half >> 8;
    for (let i = 0; i < QUANT_BLOCK; i++) {
      const multiple = numbers[block * QUANT_BLOCK + i]! * inverse;
      out[at + 2 + i] = Math.sign(multiple) * Math.floor(Math.abs(multiple) + 0.5);
    }
  }
  return out;
}

/** What {@link quantise} stored. */
export function dequantise(bytes: Uint8Array): Float32Array {
  const blocks = bytes.length / (QUANT_BLOCK + 2);
  assert(Number.isInteger(blocks), "whole blocks are read");
  const numbers = new Float32Array(blocks * QUANT_BLOCK);
  const signed = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  const scaleBits = new Uint32Array(1);
  const scale = new Float32Array(scaleBits.buffer);
  for (let block = 0, at = 0; block < blocks; block++, at += QUANT_BLOCK + 2) {
    scaleBits[0] = halfTable()[bytes[at]! | (bytes[at + 1]! << 8)]!;
    for (let i = 0; i < QUANT_BLOCK; i++) numbers[block * QUANT_BLOCK + i] = scale[0]! * signed[at + 2 + i]!;
  }
  return numbers;
}

export function elements(sizes: readonly number[]): number {
  return sizes.reduce((product, size) => product * size, 1);
}

class Writer {
  #bytes = new Uint8Array(1 << 16);
  #view = new DataView(this.#bytes.buffer);
  length = 0;

  u32(value: number): void {
    const at = this.#grow(4);
    this.#view.setUint32(at, value, true);
  }

  u64(value: number): void {
    const at = this.#grow(8);
    this.#view.setBigUint64(at, BigInt(value), true);
  }

  string(text: string): void {
    const bytes = utf8(text);
    this.u64(bytes.length);
    const at = this.#grow(bytes.length);
    this.#bytes.set(bytes, at);
  }

  value(value: GgufValue): void {
    this.u32(scalarTypes.indexOf(value.type));
    if (value.type !== "array") return this.scalar(value.type, value.value);
    this.u32(scalarTypes.indexOf(value.of));
    this.u64(value.values.length);
    for (const one of value.values) this.scalar(value.of, one);
  }

  scalar(type: ScalarType, value: Scalar): void {
    if (type === "string") return this.string(String(value));
    assert(
      type === "bool" || type === "u32" || type === "i32" || type === "f32",
      `metadata of type ${type} is written`,
    );
    const at = this.#grow(type === "bool" ? 1 : 4);
    if (type === "bool") this.#view.setUint8(at, value === true ? 1 : 0);
    else if (type === "u32") this.#view.setUint32(at, Number(value), true);
    else if (type === "i32") this.#view.setInt32(at, Number(value), true);
    else this.#view.setFloat32(at, Number(value), true);
  }

  padTo(length: number): void {
    this.#grow(length - this.length);
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.length);
  }

  #grow(count: number): number {
    const at = this.length;
    this.length += count;
    if (this.length > this.#bytes.length) {
      const larger = new Uint8Array(2 * this.length);
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}
