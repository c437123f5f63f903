import { assert } from "../../core/result.ts";

/** Number types in which weights are stored: IEEE 754 binary32 and binary16, and bfloat16, the upper half of a binary32. Little-endian. */
export type FloatType = "F32" | "F16" | "BF16";

export const bytesOf: Readonly<Record<FloatType, number>> = { F32: 4, F16: 2, BF16: 2 };

/** Stored numbers as float32; exact. `bytes.length` is a whole number of elements. */
export function readFloats(bytes: Uint8Array, type: FloatType): Float32Array {
  const count = bytes.length / bytesOf[type];
  assert(Number.isInteger(count), "whole elements are read");
  const out = new Float32Array(count);
  if (type === "F32") {
    new Uint8Array(out.buffer).set(bytes);
    return out;
  }
  const halves = new Uint16Array(count);
  new Uint8Array(halves.buffer).set(bytes);
  const bits = new Uint32Array(out.buffer);
  if (type === "BF16") for (let i = 0; i < count; i++) bits[i] = halves[i]! << 16;
  else {
    const table = halfTable();
    for (let i = 0; i < count; i++) bits[i] = table[halves[i]!]!;
  }
  return out;
}

/** float32 as stored numbers, rounded to nearest, ties to even; beyond the largest becomes infinite. Writes `bytesOf[type] * data.length` bytes. */
export function writeFloats(data: Float32Array, type: FloatType): Uint8Array {
  if (type === "F32") return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
  const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
  const out = new Uint16Array(data.length);
  const round = type === "BF16" ? roundToBrain : roundToHalf;
  for (let i = 0; i < out.length; i++) out[i] = round(bits[i]!);
  return new Uint8Array(out.buffer);
}

/** The bits of a binary32 rounded to those of a bfloat16. */
function roundToBrain(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** The bits of a binary32 rounded to those of a binary16. */
export function roundToHalf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) {
    const rebiased = magnitude - 0x38000000;
    return sign | ((rebiased + 0xfff + ((rebiased >>> 13) & 1)) >>> 13);
  }
  // Subnormal in binary16: units of 2^-24. The smallest binary32 that rounds up to one of them is just above 2^-25.
  const exponent = magnitude >>> 23;
  if (exponent < 102) return sign;
  const significand = (magnitude & 0x7fffff) | 0x800000;
  const shift = 126 - exponent;
  const kept = significand >>> shift;
  const rest = significand & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return sign | (rest > half || (rest === half && (kept & 1) === 1) ? kept + 1 : kept);
}

let halves: Uint32Array | undefined;

/** The binary32 bits of each binary16. Shape [65,536]. */
export function halfTable(): Uint32Array {
  halves ??= Uint32Array.from({ length: 65_536 }, (_unused, half) => widenHalf(half));
  return halves;
}

function widenHalf(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 31) return (sign | 0x7f800000 | (fraction << 13)) >>> 0;
  if (exponent > 0) return (sign | ((exponent + 112) << 23) | (fraction << 13)) >>> 0;
  if (fraction === 0) return sign >>> 0;
  const shift = Math.clz32(fraction) - 21;
  return (sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13)) >>> 0;
}
