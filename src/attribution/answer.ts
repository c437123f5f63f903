import { attributeCorpus } from "./attribute.ts";
import type { Attribution } from "./attributor.ts";
import { combine, type WholeMethod } from "./combine.ts";
import type { Corpus } from "./corpus.ts";
import { type Derivation, passUpstream } from "./lineage.ts";
import type { Combination } from "./policy.ts";

/** What attributes the answers of one model. */
export interface AnswerMethods {
  readonly corpus: Corpus;
  readonly combination: Combination;
  /** Near-duplicates: record → first registered of its cluster. */
  readonly clusters: ReadonlyMap<number, number>;
  /** Which records repeat earlier answers; records that it lacks repeat none. */
  readonly derivations: ReadonlyMap<number, readonly Derivation[]>;
}

/**
 * All evidence for one answer, as its receipt has it: words that match first, shrunk by what the methods are worth on this model, then the methods that speak of the whole
 * answer, then what repeats earlier answers passes its part on.
 */
export async function attributeAnswer(
  { corpus, combination, clusters, derivations }: AnswerMethods,
  answer: string,
  context: readonly number[],
  whole: readonly WholeMethod[] = [],
): Promise<Attribution> {
  const found = attributeCorpus(corpus, answer, { context, clusters, combination });
  const combined = await combine(found, whole, combination, {
    canonicalOf: (record) => clusters.get(record) ?? record,
    recordId: (record) => corpus.recordId(record),
  });
  if (derivations.size === 0) return combined;
  return passUpstream(combined, (record) => derivations.get(record) ?? [], combination.lineage);
}
