import { encode } from "../models/bpe.ts";
import { indexAttributors } from "./attribute.ts";
import { type Attribution, runAttributors } from "./attributor.ts";
import { combine } from "./combine.ts";
import { memoryCorpus } from "./corpus.ts";
import { influenceMethod, likelihoodMethod } from "./description.ts";
import { influenceEvidence } from "./influence/influenceEvidence.ts";
import { likelihoodOf } from "./likelihood.ts";
import { combinationOf, defaultPolicy } from "./policy.ts";
import { methodSuite, type SuiteWorld } from "./testing/methodSuite.ts";

for (const attributor of indexAttributors)
  methodSuite({
    method: attributor.method,
    attribute: (world) => runAttributors([attributor], inputOf(world)),
  });

methodSuite({
  method: likelihoodMethod,
  attribute: (world) => {
    const { corpus, canonicalOf, context } = inputOf(world);
    const scores = async (sets: readonly (readonly number[])[]) => sets.map((read) => logProbability(world, read));
    const lengthOf = (record: number): number => world.texts[record]!.length;
    const draw = (below: number): number => below >> 1;
    const method = likelihoodOf({
      ...{ corpus, canonicalOf, context, scores, lengthOf, answerLength: world.answer.length, draw },
    });
    return combine(nothing(world), [method], combinationOf(defaultPolicy, [[likelihoodMethod, "exact"]]), {
      ...{ canonicalOf, recordId: corpus.recordId },
    });
  },
});

methodSuite({
  method: influenceMethod,
  attribute: (world) => {
    const { corpus, canonicalOf } = inputOf(world);
    // As a fitted adapter would, but that its copies have taken the credit of what they repeat.
    const scores = world.texts.map((text) => sharedWords(world.answer, text) - 3);
    const recordOf = (example: number) => ({ id: corpus.recordId(example), number: example });
    const output = { from: 0, until: world.answer.length };
    const mutualScores = (records: readonly (readonly number[])[]) => {
      const texts = records.map(([example]) => world.texts[example!]!);
      return Float64Array.from(texts.flatMap((one) => texts.map((other) => sharedWords(one, other))));
    };
    const measures = { sizes: scores.map(() => 0), mutualScores };
    const explain = (units: number) => influenceEvidence(scores, { recordOf, output, units, recordsMax: 50 }, measures);
    const combination = combinationOf(defaultPolicy, [[influenceMethod, { measuredPpm: 840_000 }]]);
    return combine(nothing(world), [{ kind: "influence", explain }], combination, {
      ...{ canonicalOf, recordId: corpus.recordId },
    });
  },
});

function inputOf({ index, answer, context, clusters }: SuiteWorld) {
  const canonicalOf = (record: number): number => clusters.get(record) ?? record;
  return { corpus: memoryCorpus(index), output: encode(index.tokenizer, answer), context, canonicalOf };
}

function nothing(world: SuiteWorld): Attribution {
  return runAttributors([], inputOf(world));
}

/** A model that finds a word likelier where it has just read it. */
function logProbability({ answer, texts }: SuiteWorld, records: readonly number[]): number {
  const read = new Set(records.flatMap((record) => wordsOf(texts[record]!)));
  return wordsOf(answer).reduce((sum, word) => sum - (read.has(word) ? 1 : 5), 0);
}

function sharedWords(answer: string, text: string): number {
  const words = new Set(wordsOf(text));
  return wordsOf(answer).filter((word) => words.has(word)).length;
}

function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[a-z]{3,}/g) ?? [];
}
