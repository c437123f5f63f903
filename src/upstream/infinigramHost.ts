import { assert } from "../core/result.ts";
import type { CorpusIndex } from "../models/corpusIndex.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import { EmbeddedEngine } from "./embedded.ts";

/** An index as it travels to a worker: its arrays are shared memory, and the worker has the tokenizer already. */
export type SharedIndex = Omit<CorpusIndex, "tokenizer">;

/** The embedded ∞-gram engine: one worker thread that answers for all the given models. Models are fixed: to change them, replace the engine. */
export function embeddedInfinigram(models: ReadonlyMap<string, CorpusIndex>): EmbeddedEngine {
  const data = [...models].map(([name, { tokenizer, ...index }]) => {
    assert(tokenizer === houseTokenizer(), "an embedded model is encoded with the house tokenizer");
    return [name, index] as const;
  });
  const worker = new URL(
    import.meta.url.endsWith(".ts") ? "./infinigramWorker.ts" : "./infinigramWorker.js",
    import.meta.url,
  );
  return new EmbeddedEngine({ worker, data });
}
