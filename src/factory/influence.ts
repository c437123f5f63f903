import { type FactorsFile, factorsBytes } from "../attribution/influence/factorsFile.ts";
import { influenceEvidence, sharedPart } from "../attribution/influence/influenceEvidence.ts";
import { exampleSizes, type Factors, influenceOf, KroneckerFit } from "../attribution/influence/kronecker.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { TrainingExample } from "../models/training/task.ts";
import type { Evaluator } from "./evaluator.ts";

/** An adapter as folders: a Hugging Face folder of its base, a PEFT folder of its own; and how long its sequences were in training. */
export interface AdapterPlace {
  readonly base: string;
  readonly adapter: string;
  readonly sequenceTokens: number;
}

export interface InfluenceTask extends AdapterPlace {
  /** sha256 over the adapter's tensors, in hex. */
  readonly adapterHash: string;
  /** What it was trained on: here, or anywhere else where its training records are declared. */
  readonly examples: readonly TrainingExample[];
}

/** Factors lie in memory while a model is served. */
const FACTORS_BYTES_MAX = 2 ** 30;
/** Of the mean eigenvalue: what `npm run bench -- attribution` finds best, or as good as the best. */
const DAMPING = 0.1;

/**
 * Fits EK-FAC to an adapter, in two passes over its examples and without any training: one for the curvature, one for each example's gradients. Deterministic for one
 * build and number of threads. Refuses what the evaluator refuses, and `payload_too_large` where the factors would not fit into memory.
 */
export async function fitInfluence(
  evaluator: Evaluator,
  { base, adapter, sequenceTokens, adapterHash, examples }: InfluenceTask,
  signal: AbortSignal,
): Promise<Result<FactorsFile>> {
  const task = { base, adapter, sequenceTokens, examples };
  const curvature = await evaluator.curvature({ ...task, labels: "data", seed: 0 }, signal);
  if (!curvature.ok) return curvature;
  const bytes = factorsBytes(curvature.value.modules, curvature.value.examples);
  if (bytes > FACTORS_BYTES_MAX)
    return refuse(
      "payload_too_large",
      `influence factors of ${Math.ceil(bytes / 2 ** 20)} MiB are too large to serve`,
      {
        hint: "train with a lower rank, fewer targets or fewer records",
      },
    );
  const fit = new KroneckerFit(curvature.value, DAMPING, true);
  const added = await evaluator.gradients(
    { ...task, factors: "B" },
    ({ record, gradients }) => fit.add(record, gradients),
    signal,
  );
  return added.ok ? ok({ adapter: adapterHash, factors: fit.factors() }) : added;
}

/** Each query's scores over the examples of the factors, in the queries' order; undefined for one that says nothing. One forward and one backward pass a query. */
export async function influenceScores(
  evaluator: Evaluator,
  factors: Factors,
  place: AdapterPlace,
  queries: readonly TrainingExample[],
  signal: AbortSignal,
): Promise<Result<readonly (Float64Array | undefined)[]>> {
  const influence = influenceOf(factors);
  const sums = queries.map((): Float64Array | undefined => undefined);
  const found = await evaluator.gradients(
    { ...place, examples: queries, factors: "B" },
    ({ index, gradients }) => {
      const scores = influence.scores(gradients);
      // Scores are linear in the query: the windows of a long one are scored one by one.
      sums[index] = sums[index]?.map((sum, n) => sum + scores[n]!) ?? scores;
    },
    signal,
  );
  return found.ok ? ok(sums) : found;
}

export interface Twin {
  readonly factors: Factors;
  readonly place: AdapterPlace;
}

/**
 * How reliable influence is on a model, in millionths: the part of its credit for held-out queries that goes to the same records under an adapter that was trained alike with another seed. What is left is
 * the seed's doing. Undefined without a query that either has an opinion on. Refuses what the evaluator refuses.
 */
export async function measureReliability(
  evaluator: Evaluator,
  twins: readonly [Twin, Twin],
  queries: readonly TrainingExample[],
  signal: AbortSignal,
): Promise<Result<number | undefined>> {
  const numbers = new Map<string, number>();
  for (const { factors } of twins)
    for (const record of factors.records) if (!numbers.has(record)) numbers.set(record, numbers.size);
  const credits = [];
  for (const { factors, place } of twins) {
    const scores = await influenceScores(evaluator, factors, place, queries, signal);
    if (!scores.ok) return scores;
    const sizes = exampleSizes(factors);
    const recordOf = (example: number) => ({ id: NAMELESS, number: numbers.get(factors.records[example]!)! });
    credits.push(
      scores.value.map((own) =>
        influenceEvidence(own ?? [], {
          ...{ recordOf, sizes, units: MILLION, output: { from: 0, until: 1 }, recordsMax: RECORDS_MAX },
        }),
      ),
    );
  }
  const [ones, others] = credits;
  const pairs = ones!.map((one, i) => [one, others![i]!] as const).filter(([a, b]) => a.length + b.length > 0);
  if (pairs.length === 0) return ok(undefined);
  const shared = pairs.reduce((sum, [a, b]) => sum + sharedPart(a, b), 0) / pairs.length;
  return ok(Math.floor(MILLION * shared));
}

/** Records that one answer is credited to by influence, at most: a receipt has few legs. */
export const RECORDS_MAX = 64;
const MILLION = 1_000_000;
const NAMELESS = new Uint8Array(32);
