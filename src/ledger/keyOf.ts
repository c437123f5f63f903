import { assert } from "../core/result.ts";

/** A map key for an id of an even number of bytes: two of them a character, several times cheaper to make and to compare than hex. */
export function keyOf(id: Uint8Array): string {
  assert(id.length % 2 === 0, "an id has an even number of bytes");
  let key = "";
  let at = 0;
  for (; at + 16 <= id.length; at += 16) {
    const text = String.fromCharCode(
      unit(id, at),
      unit(id, at + 2),
      unit(id, at + 4),
      unit(id, at + 6),
      unit(id, at + 8),
      unit(id, at + 10),
      unit(id, at + 12),
      unit(id, at + 14),
    );
    key = at === 0 ? text : key + text;
  }
  for (; at < id.length; at += 2) key += String.fromCharCode(unit(id, at));
  return key;
}

export function bytesOfKey(key: string): Uint8Array {
  const bytes = new Uint8Array(key.length * 2);
  for (let i = 0; i < key.length; i++) {
    const pair = key.charCodeAt(i);
    bytes[2 * i] = pair & 255;
    bytes[2 * i + 1] = pair >> 8;
  }
  return bytes;
}

function unit(id: Uint8Array, at: number): number {
  return id[at]! | (id[at + 1]! << 8);
}
