import { english } from "viem/accounts";
import { sha256 } from "../core/hash.ts";
import { assert } from "../core/result.ts";

/**
 * The BIP-39 words of some entropy: 16 bytes give 12 words, 32 give 24. The checksum is the first
 * bits of the entropy's SHA-256, one for every 32 bits of entropy.
 */
export function mnemonicOf(entropy: Uint8Array): string {
  assert([16, 20, 24, 28, 32].includes(entropy.length), "BIP-39 entropy is 16 to 32 bytes, a multiple of 4");
  const checksumBits = entropy.length / 4;
  const bits = bitsOf(entropy) + bitsOf(sha256(entropy)).slice(0, checksumBits);
  const words: string[] = [];
  for (let at = 0; at < bits.length; at += 11) words.push(english[Number.parseInt(bits.slice(at, at + 11), 2)]!);
  return words.join(" ");
}

function bitsOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(2).padStart(8, "0")).join("");
}
