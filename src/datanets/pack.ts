import { concat, utf8 } from "../core/bytes.ts";

/** The one encoding under every content address here: each field as u32 length (big-endian) and UTF-8 bytes, so that no two lists of fields collide. */
export function packFields(fields: readonly string[]): Uint8Array {
  return concat(...fields.flatMap((field) => lengthPrefixed(utf8(field))));
}

/** JavaScript strings may hold half a surrogate pair, which UTF-8 cannot: such a half becomes U+FFFD, so that what is hashed is what is stored. */
export function wellFormed(text: string): string {
  return /[\ud800-\udfff]/.test(text) ? decoder.decode(utf8(text)) : text;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

function lengthPrefixed(bytes: Uint8Array): [Uint8Array, Uint8Array] {
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, bytes.length);
  return [length, bytes];
}
