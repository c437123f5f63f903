import { type FactorsFile, factorsBytes } from "../attribution/influence/factorsFile.ts";
import { KroneckerFit } from "../attribution/influence/kronecker.ts";
import type { Gradients } from "../attribution/influence/method.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import type { TrainingExample } from "../models/training/task.ts";
import type { Evaluator } from "./evaluator.ts";

/** An adapter, and what it was trained on: here, or anywhere else where its training records are declared. */
export interface InfluenceTask {
  /** A Hugging Face folder, and a PEFT folder of an adapter on it. */
  readonly base: string;
  readonly adapter: string;
  /** sha256 over the adapter's tensors, in hex. */
  readonly adapterHash: string;
  readonly examples: readonly TrainingExample[];
  readonly sequenceTokens: number;
}

/** Factors lie in memory while a model is served. */
const FACTORS_BYTES_MAX = 2 ** 30;
const DAMPING = 0.1;

/**
 * Fits EK-FAC to an adapter, in two passes over its examples and without any training: one for the curvature, one for each example's gradients. Deterministic for one build and number of threads.
 * Refuses what the evaluator refuses, and `payload_too_large` where the factors would not fit into memory.
 */
export async function fitInfluence(
  evaluator: Evaluator,
  { base, adapter, adapterHash, examples, sequenceTokens }: InfluenceTask,
  signal: AbortSignal,
): Promise<Result<FactorsFile>> {
  const task = { base, adapter, examples, sequenceTokens };
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

/** An answer as a query: the gradients of its loss, which is one forward and one backward pass. Refuses what the evaluator refuses, and an empty answer. */
export async function answerGradients(
  evaluator: Evaluator,
  weights: { readonly base: string; readonly adapter: string; readonly sequenceTokens: number },
  example: TrainingExample,
  signal: AbortSignal,
): Promise<Result<Gradients>> {
  const sum = new Map<string, Float32Array>();
  const add = ({ gradients }: { readonly gradients: Gradients }): void => {
    for (const [name, gradient] of gradients) {
      const known = sum.get(name);
      if (known === undefined) sum.set(name, gradient.slice());
      else for (let i = 0; i < known.length; i++) known[i] = known[i]! + gradient[i]!;
    }
  };
  const found = await evaluator.gradients({ ...weights, examples: [example], factors: "B" }, add, signal);
  if (!found.ok) return found;
  return sum.size > 0 ? ok(sum) : refuse("invalid_request", "an empty answer has no gradients");
}
