import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { infinigramCombination } from "../attribution/attribute.ts";
import { influenceMethod } from "../attribution/description.ts";
import { type FactorsFile, packFactors, parseFactors, recordsOf } from "../attribution/influence/factorsFile.ts";
import { exampleSizes } from "../attribution/influence/kronecker.ts";
import { type Combination, type CombinationPolicy, combinationOf, type TrustedMethod } from "../attribution/policy.ts";
import { fromHex } from "../core/bytes.ts";
import { ok, type Result } from "../core/result.ts";
import type { Evaluator } from "../factory/evaluator.ts";
import { HELD_OUT_MEASURED_MAX } from "../factory/examples.ts";
import {
  type AdapterPlace,
  evidenceOf,
  fitInfluence,
  influenceScores,
  measureReliability,
  RECORDS_MAX,
} from "../factory/influence.ts";
import type { Job } from "../factory/job.ts";
import { learntShare } from "../factory/learntShare.ts";
import { heldOutOf, type LoadedSource } from "../factory/source.ts";
import type { Trainer } from "../factory/trainer.ts";
import type { AttributionInput } from "../gateway/ports.ts";
import { writeAtomically } from "../host/files.ts";
import { readAdapterFolder } from "../models/formats/peftFile.ts";
import type { LlamaShape } from "../models/llama.ts";
import type { TrainingExample } from "../models/training/task.ts";
import { hashTensors } from "../models/training/trainingRun.ts";
import type { Ground } from "./grounding.ts";
import { type TellStage, tellSteps, untold } from "./measuringStage.ts";
import type { NeuralManifest } from "./neuralModels.ts";
import { messagesOf } from "./prompts.ts";

export interface InfluenceParts {
  /** Fits and measures: minutes of work. */
  readonly evaluator: Evaluator;
  /** Asks for one answer at a time, and so is not kept waiting by a fit. */
  readonly asker: Evaluator;
  readonly trainer: Trainer;
  readonly jobs: {
    job(id: string): Promise<Job | undefined>;
    source(job: Job): Promise<Result<LoadedSource>>;
  };
  readonly policy: CombinationPolicy;
  readonly say: (text: string) => void;
  /** Lets others in. */
  readonly pause: () => Promise<void>;
}

/** A base's folder and shape. Manifests name their weights by whole paths here. */
export interface BasePlace {
  readonly folder: string;
  readonly shape: LlamaShape;
}

/** An answer's influence is given up after so long, or where so many wait already; then it explains nothing. */
const ANSWER_MS_MAX = 10_000;
const ASKED_MAX = 8;
const RELIABILITY_QUERIES_MAX = 32;

/**
 * Influence of the adapters that are served: fitted in the background to those whose job asked for it, kept beside their weights, and asked for each answer. It needs an adapter, its job and records whose
 * people are known; all other models have none, and their receipts say so by not naming the method.
 */
export class NeuralInfluence {
  readonly #parts: InfluenceParts;
  readonly #closing = new AbortController();
  /** Factors that are as they will be. */
  readonly #asMeasured = new Set<string>();
  #turn: Promise<unknown> = Promise.resolve();
  #asked = 0;

  constructor(parts: InfluenceParts) {
    this.#parts = parts;
  }

  /** The ground with influence as a further method, where it is fitted. A file that belongs to other weights counts as none. */
  async ground(ground: Ground, manifest: NeuralManifest, base: BasePlace): Promise<Ground> {
    const file = await readFactors(manifest);
    const job = file === undefined ? undefined : await this.#jobOf(manifest);
    if (file === undefined || job === undefined) return ground;
    const { asker, policy, pause } = this.#parts;
    const { members, reliabilityPpm } = file;
    const trained = recordsOf(members);
    const place = placeOf(base, manifest.weights!, job);
    const records = new Map<string, { readonly id: Uint8Array; readonly number: number }>(
      ground.records.map(({ id }, number) => [id, { id: fromHex(id), number }]),
    );
    const recordOf = (example: number) => records.get(trained[example]!);
    const measures = { members, sizes: exampleSizes(members) };
    const explain = async ({ prompt, answer }: AttributionInput, units: number) => {
      const own = await this.#ask((signal) =>
        influenceScores({ evaluator: asker, pause }, members, place, [answerExample(prompt, answer)], signal),
      );
      if (own === undefined) return [];
      const output = { from: 0, until: answer.length };
      return evidenceOf(own, { recordOf, units, output, recordsMax: RECORDS_MAX }, measures, pause);
    };
    const { combination = infinigramCombination(policy) } = ground;
    const reading = ground.reading && {
      ...ground.reading,
      combination: withInfluence(ground.reading.combination, policy, reliabilityPpm),
    };
    return {
      ...ground,
      ...{ combination: withInfluence(combination, policy, reliabilityPpm), ...(reading && { reading }) },
      wholeMethods: (input) => [
        ...(ground.wholeMethods?.(input) ?? []),
        { kind: "influence", explain: (units) => explain(input, units) },
      ],
    };
  }

  /**
   * Fits what is not fitted yet, one model after the other, and answers with whether there is something new. A node that is killed meanwhile begins
   * again when it starts.
   */
  fit(manifest: NeuralManifest, base: BasePlace, tell: TellStage = untold): Promise<boolean> {
    const done = this.#turn.then(async () => {
      // A node that stops closes its store next.
      if (this.#closing.signal.aborted) return false;
      const job = await this.#jobOf(manifest);
      if (job === undefined || !(await this.isMissing(manifest))) return false;
      const fitted = await this.#fit(manifest, base, job, tell);
      if (!fitted.ok && !this.#closing.signal.aborted) {
        this.#parts.say(`influence is not fitted to ${manifest.name}: ${fitted.error.message}`);
        tell({ stage: "failed", why: fitted.error.message });
      }
      return fitted.ok;
    });
    this.#turn = done.catch(() => undefined);
    return done;
  }

  /** Whether it is an adapter whose records are known. */
  async canFit(manifest: NeuralManifest): Promise<boolean> {
    return (await this.#jobOf(manifest)) !== undefined;
  }

  /** Whether it was asked for and is not fitted yet. */
  async isMissing(manifest: NeuralManifest): Promise<boolean> {
    const job = await this.#jobOf(manifest);
    if (job === undefined || !(job.options.fitsInfluence || manifest.measured === "influence")) return false;
    const factors = await readFactors(manifest);
    if (factors === undefined) return true;
    // An earlier version measured no checkpoint; where nothing can be measured, it is not tried again and again.
    const isOpen = factors.reliabilityPpm === undefined && job.estimate.heldOut > 0;
    return isOpen && !this.#asMeasured.has(pathOf(manifest));
  }

  async #ask(
    score: (signal: AbortSignal) => Promise<Result<readonly (Float64Array | undefined)[]>>,
  ): Promise<Float64Array | undefined> {
    if (this.#asked >= ASKED_MAX) return undefined;
    this.#asked += 1;
    try {
      const scores = await score(AbortSignal.any([AbortSignal.timeout(ANSWER_MS_MAX), this.#closing.signal]));
      return scores.ok ? scores.value[0] : undefined;
    } finally {
      this.#asked -= 1;
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#turn;
  }

  async #fit(manifest: NeuralManifest, base: BasePlace, job: Job, tell: TellStage): Promise<Result<void>> {
    const { jobs } = this.#parts;
    const loaded = await jobs.source(job);
    if (!loaded.ok) return loaded;
    const place = placeOf(base, manifest.weights!, job);
    const examples = loaded.value.train;
    const task = { ...place, adapterHash: manifest.hash, examples };
    tell({ stage: "fitting" });
    const known = await readFactors(manifest);
    const fitted = known === undefined ? await fitInfluence(this.#parts, task, this.#closing.signal) : ok(known);
    if (!fitted.ok) return fitted;
    const { step } = manifest;
    const model = { place, job, base, source: loaded.value, tell, ...(step === undefined ? {} : { step }) };
    const measured = await this.#reliability(fitted.value, model);
    if (!measured.ok) return measured;
    this.#asMeasured.add(pathOf(manifest));
    const reliability = measured.value === undefined ? {} : { reliabilityPpm: measured.value };
    await mkdir(folderOf(manifest), { recursive: true });
    await writeAtomically(
      pathOf(manifest),
      packFactors({ ...fitted.value, ...reliability, sequenceTokens: place.sequenceTokens }),
    );
    return ok(undefined);
  }

  /** Trains a twin that differs in its seed only, to a checkpoint's step where that is the model, and is gone afterwards. Undefined where nothing was held out to ask. */
  async #reliability(
    { members, adapter }: FactorsFile,
    { place, job, step, base: { folder: base, shape }, source, tell }: FittedModel,
  ): Promise<Result<number | undefined>> {
    const { trainer } = this.#parts;
    const queries = heldOutOf(source, RELIABILITY_QUERIES_MAX);
    if (queries.length === 0) return ok(undefined);
    const folder = join(`${place.adapter}.influence`, "twin");
    const alike = { ...job.options, seed: job.options.seed + 1 };
    // A result may be the best of its checkpoints, and so may its twin's; a checkpoint is what it is.
    const options = step === undefined ? alike : { ...alike, patience: 0 };
    const stepShare = step === undefined ? 1 : learntShare(job, step);
    const heldOut = heldOutOf(source, HELD_OUT_MEASURED_MAX);
    const signal = this.#closing.signal;
    const task = {
      ...{ folder, base, examples: source.train, heldOut, options },
      ...(stepShare === 1 ? {} : { stepShare }),
    };
    const trained = await trainer.train(task, tellSteps(tell), signal);
    if (!trained.ok) return trained;
    const twin = await readAdapterFolder(join(folder, "adapter"), shape);
    // Only a training that was stopped has no result; it goes on when the node starts again.
    if (!twin.ok) return twin;
    tell({ stage: "fitting" });
    const twinPlace = { ...place, adapter: join(folder, "adapter") };
    const adapterHash = `0x${hashTensors(twin.value.tensors)}`;
    const fitted = await fitInfluence(this.#parts, { ...twinPlace, adapterHash, examples: source.train }, signal);
    if (!fitted.ok) return fitted;
    const twins = [
      { members, place },
      { members: fitted.value.members, place: twinPlace },
    ] as const;
    const measured =
      adapterHash === adapter ? ok(undefined) : await measureReliability(this.#parts, twins, queries, signal);
    if (measured.ok) await rm(folder, { recursive: true, force: true });
    return measured;
  }

  async #jobOf({ kind, job, weights, datanets }: NeuralManifest): Promise<Job | undefined> {
    if (kind !== "adapter" || job === undefined || weights === undefined || datanets.length === 0) return undefined;
    return this.#parts.jobs.job(job);
  }
}

interface FittedModel {
  readonly place: AdapterPlace;
  readonly job: Job;
  /** The checkpoint, where it is not the result. */
  readonly step?: number;
  readonly base: BasePlace;
  readonly source: LoadedSource;
  readonly tell: TellStage;
}

/** The answer as the model was taught to give answers: as the last message of its conversation, or as a plain text. */
export function answerExample(prompt: string, answer: string): TrainingExample {
  const messages = messagesOf(prompt);
  // What the model said before was asked about then.
  const asked = messages?.filter(({ role }) => role !== "assistant");
  if (asked === undefined) return { record: "", text: answer };
  return { record: "", messages: [...asked, { role: "assistant", content: answer }] };
}

/** After the methods that match, before what passes credit on. */
function withInfluence(combination: Combination, policy: CombinationPolicy, measuredPpm?: number): Combination {
  const trust = measuredPpm === undefined ? ("unmeasured" as const) : { measuredPpm };
  const { methods: own } = combinationOf(policy, [[influenceMethod, trust]]);
  const isLineage = ({ method }: TrustedMethod): boolean => method.kind === "lineage";
  const { methods } = combination;
  return {
    ...combination,
    methods: [...methods.filter((one) => !isLineage(one)), ...own, ...methods.filter(isLineage)],
  };
}

function placeOf({ folder: base }: BasePlace, adapter: string, { options }: Job): AdapterPlace {
  return { base, adapter, sequenceTokens: options.sequenceTokens };
}

async function readFactors(manifest: NeuralManifest): Promise<FactorsFile | undefined> {
  const bytes = await readFile(pathOf(manifest)).catch(() => undefined);
  const parsed = bytes === undefined ? undefined : parseFactors(bytes);
  return parsed?.ok === true && parsed.value.adapter === manifest.hash ? parsed.value : undefined;
}

function pathOf(manifest: NeuralManifest): string {
  return join(folderOf(manifest), "factors.bin");
}

function folderOf({ weights }: NeuralManifest): string {
  return influenceFolder(weights!);
}

/** Beside an adapter's own folder. */
export function influenceFolder(adapter: string): string {
  return `${adapter}.influence`;
}
