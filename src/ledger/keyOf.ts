import { assert } from "../core/result.ts";

/** A map key for an id of an even number of bytes: two of them a character, several times cheaper to make and to compare than hex. */
export function keyOf(id: Uint8Array): string {
  assert(id.length % 2 === 0, "an id has an even number of bytes");
  // The usual sizes at once: a text that is put together of two is joined first by the map that looks for it.
  if (id.length === 16)
    return String.fromCharCode(
      unit(id, 0),
      unit(id, 2),
      unit(id, 4),
      unit(id, 6),
      unit(id, 8),
      unit(id, 10),
      unit(id, 12),
      unit(id, 14),
    );
  if (id.length === 32)
    return String.fromCharCode(
      unit(id, 0),
      unit(id, 2),
      unit(id, 4),
      unit(id, 6),
      unit(id, 8),
      unit(id, 10),
      unit(id, 12),
      unit(id, 14),
      unit(id, 16),
      unit(id, 18),
      unit(id, 20),
      unit(id, 22),
      unit(id, 24),
      unit(id, 26),
      unit(id, 28),
      unit(id, 30),
    );
  let key = "";
  for (let at = 0; at < id.length; at += 2) key += String.fromCharCode(unit(id, at));
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
