import { assert } from "./result.ts";

/**
 * Packed records: big-endian fields at fixed offsets, so that Solidity reads them with a slice and no parser.
 * The writer grows nothing: the size is known before the first byte.
 */
export class PackedWriter {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  /** `room` is where the record is written to, where its place is given: exactly its size. */
  constructor(size: number, room: Uint8Array = new Uint8Array(size)) {
    assert(room.length === size, "a packed record has room of exactly its size");
    this.bytes = room;
    this.#view = new DataView(room.buffer, room.byteOffset, size);
  }

  u8(value: number): this {
    assert(value >= 0 && value < 256, "a u8 field");
    this.#view.setUint8(this.#at, value);
    this.#at += 1;
    return this;
  }

  u16(value: number): this {
    assert(value >= 0 && value < 65_536, "a u16 field");
    this.#view.setUint16(this.#at, value);
    this.#at += 2;
    return this;
  }

  u32(value: number): this {
    assert(Number.isInteger(value) && value >= 0 && value < 2 ** 32, "a u32 field");
    this.#view.setUint32(this.#at, value);
    this.#at += 4;
    return this;
  }

  /** A safe integer in 8 bytes. */
  u64(value: number): this {
    assert(Number.isSafeInteger(value) && value >= 0, "a u64 field below 2^53");
    const high = Math.floor(value / 2 ** 32);
    this.#view.setUint32(this.#at, high);
    this.#view.setUint32(this.#at + 4, value - high * 2 ** 32);
    this.#at += 8;
    return this;
  }

  /** A safe integer, possibly negative, in 8 bytes of two's complement. */
  i64(value: number): this {
    assert(Number.isSafeInteger(value), "an i64 field within ±2^53");
    const high = Math.floor(value / 2 ** 32);
    this.#view.setInt32(this.#at, high);
    this.#view.setUint32(this.#at + 4, value - high * 2 ** 32);
    this.#at += 8;
    return this;
  }

  u128(value: bigint): this {
    assert(value >= 0n && value < 1n << 128n, "a u128 field");
    this.#view.setBigUint64(this.#at, value >> 64n);
    this.#view.setBigUint64(this.#at + 8, value & 0xffff_ffff_ffff_ffffn);
    this.#at += 16;
    return this;
  }

  /** Exactly `size` bytes. */
  raw(bytes: Uint8Array, size: number): this {
    // The text of an assertion is made before it is known to hold: not one for each field of each entry.
    if (bytes.length !== size) assert(false, `a field of ${size} bytes, got ${bytes.length}`);
    this.bytes.set(bytes, this.#at);
    this.#at += size;
    return this;
  }

  /** Printable ASCII, padded with zero bytes to `size`. */
  ascii(text: string, size: number): this {
    if (text.length > size || !isPrintable(text)) assert(false, `at most ${size} printable ASCII characters: ${text}`);
    for (let i = 0; i < text.length; i++) this.bytes[this.#at + i] = text.charCodeAt(i);
    this.#at += size;
    return this;
  }

  finish(): Uint8Array {
    assert(this.#at === this.bytes.length, "a packed record is filled to its last byte");
    return this.bytes;
  }
}

/**
 * Reads what {@link PackedWriter} wrote, from bytes that may be anything: a read past the end, a number of 2^53 or more and
 * text that is not padded ASCII mark the reader as failed, and `isWhole` says at the end whether all was well.
 */
export class PackedReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  #failed = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** True when every field was read within bounds and no byte is left over. */
  get isWhole(): boolean {
    return !this.#failed && this.#at === this.#bytes.length;
  }

  get hasFailed(): boolean {
    return this.#failed;
  }

  fail(): void {
    this.#failed = true;
  }

  u8(): number {
    return this.#take(1) ? this.#view.getUint8(this.#at - 1) : 0;
  }

  u16(): number {
    return this.#take(2) ? this.#view.getUint16(this.#at - 2) : 0;
  }

  u32(): number {
    return this.#take(4) ? this.#view.getUint32(this.#at - 4) : 0;
  }

  u64(): number {
    if (!this.#take(8)) return 0;
    const value = this.#view.getUint32(this.#at - 8) * 2 ** 32 + this.#view.getUint32(this.#at - 4);
    return this.#safe(value);
  }

  i64(): number {
    if (!this.#take(8)) return 0;
    return this.#safe(this.#view.getInt32(this.#at - 8) * 2 ** 32 + this.#view.getUint32(this.#at - 4));
  }

  u128(): bigint {
    if (!this.#take(16)) return 0n;
    return (this.#view.getBigUint64(this.#at - 16) << 64n) | this.#view.getBigUint64(this.#at - 8);
  }

  /** A copy of the next `size` bytes. */
  raw(size: number): Uint8Array {
    return this.#take(size) ? this.#bytes.slice(this.#at - size, this.#at) : new Uint8Array(size);
  }

  ascii(size: number): string {
    const text = String.fromCharCode(...this.raw(size)).replace(/\0+$/, "");
    if (!isPrintable(text)) this.#failed = true;
    return text;
  }

  #take(size: number): boolean {
    if (this.#failed || this.#at + size > this.#bytes.length) {
      this.#failed = true;
      return false;
    }
    this.#at += size;
    return true;
  }

  #safe(value: number): number {
    if (Number.isSafeInteger(value)) return value;
    this.#failed = true;
    return 0;
  }
}

/** ASCII without spaces and controls. */
function isPrintable(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x21 || code > 0x7e) return false;
  }
  return true;
}
