import { encode } from "../models/bpe.ts";
import type { CorpusIndex } from "../models/corpusIndex.ts";
import { type Attribution, type Attributor, runAttributors } from "./attributor.ts";
import { type Corpus, memoryCorpus } from "./corpus.ts";
import { lineageMethod, passageMethod, spanMethod } from "./description.ts";
import { passageAttributor } from "./passages.ts";
import { type Combination, type CombinationPolicy, combinationHash, combinationOf, defaultPolicy } from "./policy.ts";
import { spanAttributor } from "./spans.ts";

/** The methods that need nothing but a corpus, in the order in which they run. */
export const indexAttributors: readonly Attributor[] = [spanAttributor, passageAttributor];

/** Of an ∞-gram model: it says what stands in its records, so that what matches is where the words came from. */
export function infinigramCombination(policy: CombinationPolicy): Combination {
  return combinationOf(policy, [
    [spanMethod, "exact"],
    [passageMethod, "exact"],
    [lineageMethod, "exact"],
  ]);
}

/** The same by the default policy, and what a receipt names for it: 32 bytes. */
export const indexCombination: Combination = infinigramCombination(defaultPolicy);
export const indexMethodsHash: Uint8Array = combinationHash(indexCombination);

export interface AttributeOptions {
  /** Records that were in the context, best first. */
  readonly context?: readonly number[];
  /** Near-duplicates: record → first registered of its cluster. Records that it lacks stand alone. */
  readonly clusters?: ReadonlyMap<number, number>;
  /** Only those of {@link indexAttributors} that this combination names; all where it is left out. */
  readonly combination?: Combination;
}

/** Evidence for a text against an index, by every method that needs nothing else. */
export function attributeText(index: CorpusIndex, text: string, options: AttributeOptions = {}): Attribution {
  return attributeCorpus(memoryCorpus(index), text, options);
}

/**
 * The same against any corpus. Of one in shards it is that of one index of the same records; where some are buried, that of an index of the living, whose numbers are then
 * lower.
 */
export function attributeCorpus(corpus: Corpus, text: string, options: AttributeOptions = {}): Attribution {
  const { clusters, combination, context = [] } = options;
  const attributors = indexAttributors.filter(
    ({ method }) => combination === undefined || combination.methods.some((one) => one.method.id === method.id),
  );
  return runAttributors(attributors, {
    ...{ corpus, output: encode(corpus.tokenizer, text), context },
    canonicalOf: (record) => clusters?.get(record) ?? record,
  });
}
