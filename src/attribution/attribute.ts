import { encode } from "../models/bpe.ts";
import type { CorpusIndex } from "../models/corpusIndex.ts";
import { type Attribution, type Attributor, runAttributors } from "./attributor.ts";
import { methodsHash } from "./evidence.ts";
import { passageAttributor } from "./passages.ts";
import { spanAttributor } from "./spans.ts";

/** The methods that need nothing but an index, in the order in which they run. */
export const indexAttributors: readonly Attributor[] = [spanAttributor, passageAttributor];

/** What a receipt names for {@link indexAttributors}. 32 bytes. */
export const indexMethodsHash: Uint8Array = methodsHash(indexAttributors);

export interface AttributeOptions {
  /** Records that were in the context, best first. */
  readonly context?: readonly number[];
  /** Near-duplicates: record → first registered of its cluster. Records that it lacks stand alone. */
  readonly clusters?: ReadonlyMap<number, number>;
}

/** Evidence for a text against an index, by every method that needs nothing else. */
export function attributeText(index: CorpusIndex, text: string, options: AttributeOptions = {}): Attribution {
  const { clusters } = options;
  return runAttributors(indexAttributors, {
    index,
    output: encode(index.tokenizer, text),
    canonicalOf: (record) => clusters?.get(record) ?? record,
    context: options.context ?? [],
  });
}
