import type { Hex } from "../core/bytes.ts";

/** Like `toHex` of core, by the platform's own encoder: an answer carries kilobytes of hex, and built by the nibble they were a tenth of its CPU. */
export function hexText(bytes: Uint8Array): Hex {
  return `0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex")}`;
}
