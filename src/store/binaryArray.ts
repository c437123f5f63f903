/**
 * One-dimensional arrays in PostgreSQL's binary form (`array_send`, src/backend/utils/adt/arrayfuncs.c): i32 dimensions, i32 whether there are nulls,
 * u32 element type, i32 length, i32 lower bound; then each element as an i32 length (−1 for null) and its bytes. The driver writes arrays
 * as text, bytes in them as hex, which is twice as long and dear on both sides; what it is given as a buffer it sends as it is.
 */
export function int2Array(values: readonly number[]): Buffer {
  const array = openArray(INT2, values.length, values.length * 2);
  let at = HEAD_BYTES;
  for (const value of values) at = array.writeInt16BE(value, array.writeInt32BE(2, at));
  return array;
}

export function byteaArray(values: readonly (Uint8Array | undefined)[]): Buffer {
  let size = 0;
  for (const value of values) size += value?.length ?? 0;
  const array = openArray(BYTEA, values.length, size);
  let at = HEAD_BYTES;
  for (const value of values) {
    at = array.writeInt32BE(value?.length ?? -1, at);
    if (value === undefined) continue;
    array.set(value, at);
    at += value.length;
  }
  return array;
}

export function textArray(values: readonly (string | undefined)[]): Buffer {
  let size = 0;
  for (const value of values) size += value === undefined ? 0 : Buffer.byteLength(value);
  const array = openArray(TEXT, values.length, size);
  let at = HEAD_BYTES;
  for (const value of values) {
    const length = value === undefined ? -1 : array.write(value, at + 4);
    array.writeInt32BE(length, at);
    at += 4 + Math.max(length, 0);
  }
  return array;
}

function openArray(elementType: number, length: number, bytes: number): Buffer {
  const array = Buffer.allocUnsafe(HEAD_BYTES + 4 * length + bytes);
  array.writeInt32BE(1, 0);
  array.writeInt32BE(1, 4);
  array.writeInt32BE(elementType, 8);
  array.writeInt32BE(length, 12);
  array.writeInt32BE(1, 16);
  return array;
}

const HEAD_BYTES = 20;

/** Of pg_type.dat. */
const BYTEA = 17;
const INT2 = 21;
const TEXT = 25;
