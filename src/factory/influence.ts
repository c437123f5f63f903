import type { Evidence } from "../attribution/evidence.ts";
import { type FactorsFile, factorsBytes, recordsOf } from "../attribution/influence/factorsFile.ts";
import {
  creditStanding,
  type InfluenceEvidenceOptions,
  sharedPart,
  standingOut,
} from "../attribution/influence/influenceEvidence.ts";
import { exampleSizes, type Factors, KroneckerFit, scoresInSteps } from "../attribution/influence/kronecker.ts";
import type { Gradients } from "../attribution/influence/method.ts";
import { mutualScoresInSteps } from "../attribution/influence/mutualScores.ts";
import { type Spectrum, spectraInSteps } from "../attribution/influence/spectrum.ts";
import { type ModuleSize, rowWidth, widestStairs } from "../attribution/influence/staircase.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { Basis, ExampleGradients, TrainingEnd } from "../models/training/evaluation.ts";
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

/** Measures in another process; what is left to do here lets others in between. */
export interface InfluencePorts {
  readonly evaluator: Evaluator;
  readonly pause: () => Promise<void>;
}

/** Factors lie in memory while a model is served. */
const FACTORS_BYTES_MAX = 2 ** 30;
/** Where they can, they are smaller: an answer meets every byte of them. */
const FACTORS_BYTES = 2 ** 28;
/** At least one in so many of a gradient's numbers is kept. */
const KEPT_LEAST = 64;
/** What training began with says as much of a record as what it ended with, and both together more than either (`npm run bench -- attribution`). */
const ENDS: readonly TrainingEnd[] = ["start", "end"];

/**
 * Fits EK-FAC to an adapter by the whole weights of the layers that it changes, at both ends of its training, in two passes over its examples each and without any training: one for the
 * curvature, one for each example's gradients. Deterministic for one build and number of threads. Refuses what the evaluator refuses, and `payload_too_large` where the factors would not fit into memory.
 */
export async function fitInfluence(
  { evaluator, pause }: InfluencePorts,
  { base, adapter, sequenceTokens, adapterHash, examples }: InfluenceTask,
  signal: AbortSignal,
): Promise<Result<FactorsFile>> {
  const members: Factors[] = [];
  for (const at of ENDS) {
    const task = { base, adapter, sequenceTokens, examples, at };
    const curvature = await evaluator.curvature({ ...task, labels: "data", seed: 0 }, signal);
    if (!curvature.ok) return curvature;
    const spectra = await spectraInSteps(curvature.value, pause);
    const sizes = sizesOf(spectra.modules, curvature.value.examples);
    if (!sizes.ok) return sizes;
    const fit = new KroneckerFit(spectra, { sizes: sizes.value });
    const onExample = ({ record, gradients }: ExampleGradients) => fit.add(record, gradients);
    const added = await evaluator.gradients({ ...task, bases: fit.bases }, onExample, signal);
    if (!added.ok) return added;
    members.push(fit.factors());
  }
  return ok({ adapter: adapterHash, members });
}

/** How much of each gradient fits: everything, or as much as leaves the factors small, or the least there may be. */
function sizesOf(modules: readonly Spectrum[], examples: number): Result<readonly ModuleSize[]> {
  const bytesOf = (sizes: readonly ModuleSize[]): number => ENDS.length * factorsBytes(sizes, examples);
  const small = widestStairs(modules, (sizes) => bytesOf(sizes) <= FACTORS_BYTES);
  const numbers = modules.reduce((sum, { columns, out }) => sum + columns * out, 0);
  if (rowWidth(small) * KEPT_LEAST >= numbers) return ok(small);
  const least = widestStairs(modules, (sizes) => rowWidth(sizes) * KEPT_LEAST <= numbers);
  if (bytesOf(least) <= FACTORS_BYTES_MAX) return ok(least);
  return refuse(
    "payload_too_large",
    `influence factors of ${Math.ceil(bytesOf(least) / 2 ** 20)} MiB are too large to serve`,
    {
      hint: "train with fewer targets or fewer records",
    },
  );
}

/** Each query's scores over the examples of the factors, in the queries' order; undefined for one that says nothing. One forward and one backward pass a query and member. */
export async function influenceScores(
  { evaluator, pause }: InfluencePorts,
  members: readonly Factors[],
  place: AdapterPlace,
  queries: readonly TrainingExample[],
  signal: AbortSignal,
): Promise<Result<readonly (Float64Array | undefined)[]>> {
  const sums = queries.map((): Float64Array | undefined => undefined);
  for (const [q, query] of queries.entries())
    for (const [m, factors] of members.entries()) {
      const windows: Gradients[] = [];
      const found = await evaluator.gradients(
        { ...place, examples: [query], at: ENDS[m] ?? "end", bases: factors.modules.map(basisOf) },
        ({ gradients }) => windows.push(gradients),
        signal,
      );
      if (!found.ok) return found;
      // Scores are linear in the query: the windows of a long one are scored one by one, and so are the ends.
      for (const window of windows) {
        const scores = await scoresInSteps(factors, window, pause);
        sums[q] = sums[q]?.map((sum, n) => sum + scores[n]!) ?? scores;
      }
    }
  return ok(sums);
}

/** What such scores are evidence of (`influenceEvidence`); `sizes` are those of the factors' examples. Others are let in between. */
export async function evidenceOf(
  scores: ArrayLike<number>,
  options: InfluenceEvidenceOptions,
  { members, sizes }: { readonly members: readonly Factors[]; readonly sizes: Float64Array },
  pause: () => Promise<void>,
): Promise<Evidence[]> {
  const standing = standingOut(scores, options, sizes);
  const records = standing.known.map(({ examples }) => examples);
  return creditStanding(standing, options, await mutualScoresInSteps(members, records, pause));
}

/** Without what only scoring needs: it is sent to another process. */
function basisOf({ name, columns, out, inward, outward, inputBasis, outputBasis }: Basis): Basis {
  return { name, columns, out, inward, outward, inputBasis, outputBasis };
}

export interface Twin {
  readonly members: readonly Factors[];
  readonly place: AdapterPlace;
}

/**
 * How reliable influence is on a model, in millionths: the part of its credit for held-out queries that goes to the same records under an adapter that was trained alike with another seed. What is left is
 * the seed's doing. Undefined without a query that either has an opinion on. Refuses what the evaluator refuses.
 */
export async function measureReliability(
  ports: InfluencePorts,
  twins: readonly [Twin, Twin],
  queries: readonly TrainingExample[],
  signal: AbortSignal,
): Promise<Result<number | undefined>> {
  const numbers = new Map<string, number>();
  for (const { members } of twins)
    for (const record of recordsOf(members)) if (!numbers.has(record)) numbers.set(record, numbers.size);
  const credits: (readonly Evidence[])[][] = [];
  for (const { members, place } of twins) {
    const scores = await influenceScores(ports, members, place, queries, signal);
    if (!scores.ok) return scores;
    const [measures, own] = [{ members, sizes: exampleSizes(members) }, recordsOf(members)];
    const recordOf = (example: number) => ({ id: NAMELESS, number: numbers.get(own[example]!)! });
    const options = { recordOf, units: MILLION, output: { from: 0, until: 1 }, recordsMax: RECORDS_MAX };
    const credit: Evidence[][] = [];
    for (const found of scores.value) credit.push(await evidenceOf(found ?? [], options, measures, ports.pause));
    credits.push(credit);
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
