/**
 * GPT-2's byte alphabet: each byte as one printable character, so that a vocabulary can stand in JSON. Printable Latin-1 bytes
 * stand for themselves, the other 68 are moved to U+0100 and above in ascending order (Radford et al. 2019, `encoder.py`).
 */
const charOfByte: readonly string[] = makeAlphabet();
const byteOfChar: ReadonlyMap<string, number> = new Map(charOfByte.map((char, byte) => [char, byte]));

export function bytesToChars(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += charOfByte[byte]!;
  return text;
}

/** Undefined when a character stands for no byte. */
export function charsToBytes(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const byte = byteOfChar.get(text[i]!);
    if (byte === undefined) return undefined;
    bytes[i] = byte;
  }
  return bytes;
}

function makeAlphabet(): string[] {
  let moved = 0x100;
  return Array.from({ length: 256 }, (_unused, byte) => {
    const isPrintable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    return String.fromCharCode(isPrintable ? byte : moved++);
  });
}
