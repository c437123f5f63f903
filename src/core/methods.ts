import { toHex } from "./bytes.ts";
import { keccak256 } from "./hash.ts";
import type { PackedReader, PackedWriter } from "./packed.ts";
import type { Receipt } from "./receipt.ts";

/**
 * How a ledger attributes: the text of a combination of methods, which stands in the journal before any receipt names it by its keccak256. What the text says is for
 * attribution to read; that it was said beforehand, to everybody and once, is what the journal shows.
 */
export const METHODS_BYTES_MAX = 4_096;

export function methodsBytes(text: Uint8Array): number {
  return 2 + text.length;
}

export function writeMethods(to: PackedWriter, text: Uint8Array): void {
  to.u16(text.length).raw(text, text.length);
}

export function readMethods(from: PackedReader): Uint8Array {
  return from.raw(from.u16());
}

/** The texts of a journal, by their hashes. */
export class PublishedMethods {
  readonly #hashes = new Set<string>();

  get hashes(): Iterable<string> {
    return this.#hashes;
  }

  /** Why a text cannot be published; else takes it in. */
  add(text: Uint8Array): string | undefined {
    if (text.length === 0 || text.length > METHODS_BYTES_MAX)
      return `a combination of methods has 1 to ${METHODS_BYTES_MAX} bytes, this one has ${text.length}`;
    const hash = toHex(keccak256(text));
    if (this.#hashes.has(hash)) return `the methods ${hash} are published twice`;
    this.#hashes.add(hash);
    return undefined;
  }

  /** Why a receipt may not name its methods: from the first text on, what an execution served here names was published before. */
  fault({ flags, methodsHash }: Pick<Receipt, "flags" | "methodsHash">): string | undefined {
    if (this.#hashes.size === 0 || flags.reported || methodsHash.every((byte) => byte === 0)) return undefined;
    const hash = toHex(methodsHash);
    return this.#hashes.has(hash) ? undefined : `it names methods ${hash}, which were not published before`;
  }

  has(text: Uint8Array): boolean {
    return this.#hashes.has(toHex(keccak256(text)));
  }

  load(hashes: Iterable<string>): void {
    for (const hash of hashes) this.#hashes.add(hash);
  }
}
