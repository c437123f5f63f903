import { assert } from "../core/result.ts";
import type { CorpusIndex } from "../models/corpusIndex.ts";
import type { Corpus } from "./corpus.ts";
import type { Evidence, Method } from "./evidence.ts";
import { tokenUnits } from "./rarity.ts";

/** What attribution is computed from; two parties with the same input get the same evidence, bit for bit. */
export interface AttributionInput {
  readonly index: CorpusIndex;
  /** The output, encoded as a whole with the index's tokenizer. */
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

/** One way to find evidence. `explained` marks tokens that an earlier method has explained: they are not paid twice. */
export interface Attributor extends Method {
  attribute(input: AttributionInput, explained: Uint8Array): Finding;
}

/** Evidence for an output, and how much there was to explain. The weights sum to `explainedUnits` ≤ `totalUnits`. */
export interface Attribution {
  readonly evidence: readonly Evidence[];
  /** Units of 1/256 bit in the whole output. */
  readonly totalUnits: number;
  readonly explainedUnits: number;
}

/** The same, of a corpus that need not be in memory. */
export interface CorpusInput extends Omit<AttributionInput, "index"> {
  readonly corpus: Corpus;
}

/** Runs methods in order: each may only explain what those before it have left. */
export function runAttributors(attributors: readonly Attributor[], input: AttributionInput): Attribution {
  const steps = attributors.map((one) => (explained: Uint8Array) => one.attribute(input, explained));
  return runSteps(steps, input.output, tokenUnits(input.index));
}

/** Like {@link runAttributors}, for methods that have their input already. */
export function runSteps(
  steps: readonly ((explained: Uint8Array) => Finding)[],
  output: Uint16Array,
  units: Uint16Array,
): Attribution {
  let totalUnits = 0;
  for (const token of output) totalUnits += units[token]!;
  let explained: Uint8Array = new Uint8Array(output.length);
  const evidence: Evidence[] = [];
  for (const step of steps) {
    const finding = step(explained);
    evidence.push(...finding.evidence);
    explained = finding.explained;
  }
  const explainedUnits = evidence.reduce((sum, item) => sum + item.weight, 0);
  assert(explainedUnits <= totalUnits, "no unit of an output is explained twice");
  return { evidence, totalUnits, explainedUnits };
}
