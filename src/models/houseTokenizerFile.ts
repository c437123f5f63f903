import { readFileSync } from "node:fs";
import { unwrap } from "../core/result.ts";
import type { Tokenizer } from "./bpe.ts";
import { parseTokenizerJson } from "./bpeFile.ts";

let loaded: Tokenizer | undefined;

/**
 * The one tokenizer of the house, shared by every ∞-gram index and by the house model. It ships with the package, so an index built
 * on one machine can be read on any other; `npm run bench -- tokenizer` says how it was trained and how well it compresses.
 */
export function houseTokenizer(): Tokenizer {
  loaded ??= unwrap(parseTokenizerJson(readFileSync(new URL("./tokenizer.json", import.meta.url), "utf8")));
  return loaded;
}
