import { assert } from "./result.ts";

/** Bytes, hex and big-endian fields. Every packed record of OpenLedger is big-endian with fixed offsets. */
export type Hex = `0x${string}`;

const digits = "0123456789abcdef";
const nibbles = new Map([..."0123456789abcdefABCDEF"].map((char) => [char, Number.parseInt(char, 16)]));

export function toHex(bytes: Uint8Array): Hex {
  let text = "";
  for (const byte of bytes) text += digits[byte >> 4]! + digits[byte & 15]!;
  return `0x${text}`;
}

/** The bytes of `0x…` (or bare) hex; undefined when the text is not whole bytes of hex. */
export function parseHex(text: string): Uint8Array | undefined {
  const body = text.startsWith("0x") ? text.slice(2) : text;
  if (body.length % 2 === 1) return undefined;
  const bytes = new Uint8Array(body.length / 2);
  for (let i = 0; i < bytes.length; i++) {
    const high = nibbles.get(body[2 * i]!);
    const low = nibbles.get(body[2 * i + 1]!);
    if (high === undefined || low === undefined) return undefined;
    bytes[i] = (high << 4) | low;
  }
  return bytes;
}

/** Like {@link parseHex}, for text that our own code made. */
export function fromHex(text: string): Uint8Array {
  const bytes = parseHex(text);
  assert(bytes !== undefined, `hex text, got ${text.slice(0, 80)}`);
  return bytes;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Throws on bytes that are not UTF-8. */
export function fromUtf8(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** Lexicographic order: negative, zero or positive. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && compareBytes(a, b) === 0;
}

/** RFC 4648 base64, padded. */
export function toBase64(bytes: Uint8Array): string {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}

/** Undefined when the text is not padded base64. */
export function parseBase64(text: string): Uint8Array | undefined {
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)) return undefined;
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  return toBase64(bytes) === text ? bytes : undefined;
}

/** A whole number below 2^64 as 8 big-endian bytes. */
export function u64(value: number | bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value));
  return bytes;
}

/** An Ethereum address (20 bytes) as a 32-byte party id. */
export function padAddress(address: Uint8Array): Uint8Array {
  assert(address.length === 20, "an address has 20 bytes");
  const id = new Uint8Array(32);
  id.set(address, 12);
  return id;
}

/** Whether a 32-byte party id is an address, as {@link padAddress} writes one. */
export function isAddressId(id: Uint8Array): boolean {
  return id.subarray(0, 12).every((byte) => byte === 0) && id.some((byte) => byte !== 0);
}
