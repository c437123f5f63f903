import { assert } from "../core/result.ts";
import type { Corpus } from "./corpus.ts";
import type { MethodDescription } from "./description.ts";
import type { Evidence } from "./evidence.ts";

/** What attribution is computed from; two parties with the same input get the same evidence, bit for bit. */
export interface CorpusInput {
  readonly corpus: Corpus;
  /** The output, encoded as a whole with the corpus's tokenizer. */
  readonly output: Uint16Array;
  /** The first registered record of the near-duplicate cluster that a record is in; the record itself where it is alone. */
  readonly canonicalOf: (record: number) => number;
  /** Records that were retrieved into the context, best first. */
  readonly context: readonly number[];
}

/** What one method found, and which output tokens it thereby explains. */
export interface Finding {
  readonly evidence: readonly Evidence[];
  /** 1 for each output token explained by this or an earlier method. Shape [output]. */
  readonly explained: Uint8Array;
}

/** A method that says which words of an output are whose. `explained` marks tokens that an earlier method has explained: they are not paid twice. */
export interface Attributor {
  readonly method: MethodDescription;
  attribute(input: CorpusInput, explained: Uint8Array): Finding;
}

/** Evidence for an output, and how much there was to explain. The weights sum to `explainedUnits` ≤ `totalUnits`. */
export interface Attribution {
  readonly evidence: readonly Evidence[];
  /** Units of 1/256 bit in the whole output. */
  readonly totalUnits: number;
  readonly explainedUnits: number;
}

/** Runs methods in order: each may only explain what those before it have left. */
export function runAttributors(attributors: readonly Attributor[], input: CorpusInput): Attribution {
  let totalUnits = 0;
  for (const token of input.output) totalUnits += input.corpus.units[token]!;
  let explained: Uint8Array = new Uint8Array(input.output.length);
  const evidence: Evidence[] = [];
  for (const { attribute } of attributors) {
    const finding = attribute(input, explained);
    evidence.push(...finding.evidence);
    explained = finding.explained;
  }
  const explainedUnits = evidence.reduce((sum, item) => sum + item.weight, 0);
  assert(explainedUnits <= totalUnits, "no unit of an output is explained twice");
  return { evidence, totalUnits, explainedUnits };
}
