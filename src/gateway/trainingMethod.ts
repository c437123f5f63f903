import { toHex, utf8 } from "../core/bytes.ts";
import { keccak256 } from "../core/hash.ts";

/** Stands in the journal before the first training's receipt. */
export const trainingMethodText = "openledger learnt records 1";

/** Names, in a receipt of a training, how its contributors' part was divided: over those who wrote what was learnt, by bytes. 32 bytes. */
export const trainingMethod = keccak256(utf8(trainingMethodText));
const named = toHex(trainingMethod);

/** Whether a receipt is of a training: nothing was asked, and nothing was said. */
export function isTraining({ hashes }: { readonly hashes: { readonly methods: string } }): boolean {
  return hashes.methods === named;
}
