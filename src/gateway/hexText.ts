import type { Hex } from "../core/bytes.ts";

/** Like `toHex` of core, by the platform's own encoder: an answer carries kilobytes of hex, and built by the nibble they were a tenth of its CPU. */
export function hexText(bytes: Uint8Array): Hex {
  return `0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex")}`;
}

const SCRATCH_BYTES = 131_072;
const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);

/** The hex of several, without `0x`, by one call of the encoder: it is the calls that cost. */
export function hexTexts(all: readonly Uint8Array[]): string[] {
  let at = 0;
  for (const bytes of all) at += bytes.length;
  if (at > SCRATCH_BYTES) return all.map((bytes) => hexText(bytes).slice(2));
  at = 0;
  for (const bytes of all) {
    scratch.set(bytes, at);
    at += bytes.length;
  }
  const text = scratch.toString("hex", 0, at);
  at = 0;
  return all.map((bytes) => {
    const from = at;
    at += bytes.length * 2;
    return text.slice(from, at);
  });
}
