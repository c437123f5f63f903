import { rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import type { MethodTrust } from "../attribution/policy.ts";
import { utf8 } from "../core/bytes.ts";
import type { Engine, EngineMessage, Passage } from "../core/engine.ts";
import { keccak256 } from "../core/hash.ts";
import { ok, type Result, refuse } from "../core/result.ts";
import { promptOf } from "../factory/evaluation.ts";
import type { Job } from "../factory/job.ts";
import { learntShare } from "../factory/learntShare.ts";
import {
  isInRemovedHalf,
  matchReliability,
  type TestedPiece,
  type TwinRole,
  testReading,
  testTraining,
} from "../factory/reliability.ts";
import { heldOutOf, type LoadedSource } from "../factory/source.ts";
import type { Trainer } from "../factory/trainer.ts";
import { readIfThere, writeAtomically } from "../host/files.ts";
import { parseJson } from "../models/formats/json.ts";
import type { TrainingExample } from "../models/training/task.ts";
import { nameOfWeights, wholeAnswer } from "./factoryAnswers.ts";
import { corpusOf, type Ground, groundModel } from "./grounding.ts";
import { type TellStage, tellSteps, untold } from "./measuringStage.ts";
import type { NeuralManifest } from "./neuralModels.ts";
import { drawsOf, lengthsOf, type ScoringEngine } from "./reading.ts";

export interface ReliabilityParts {
  readonly trainer: Trainer;
  /** Serves models by name, and others by where they lie. */
  readonly engine: Engine & ScoringEngine;
  readonly jobs: {
    job(id: string): Promise<Job | undefined>;
    source(job: Job): Promise<Result<LoadedSource>>;
  };
  readonly say: (text: string) => void;
}

/** What span and passage are worth on a model. */
export interface MatchTrust {
  readonly span: MethodTrust;
  readonly passage: MethodTrust;
}

const QUESTIONS_MAX = 32;
const ANSWER_TOKENS_MAX = 96;
/** Asking is given up after so long: what has been tested by then is what counts. */
const ASKING_MS_MAX = 300_000;

const pieceSchema = z.object({
  method: z.enum(["span", "passage"]),
  ...{ weight: z.number(), record: z.enum(["removed", "other", "unused"]), confirmed: z.number() },
});
const testsSchema = z.object({
  /** The weights and the datanet versions that were tested; of others the file says nothing. */
  ...{ hash: z.string(), datanets: z.array(z.string()) },
  ...{ asked: z.number().int(), isDone: z.boolean(), pieces: z.array(pieceSchema) },
});
type Tests = z.infer<typeof testsSchema>;

/**
 * Measures in the background what span and passage are worth on a served model, and keeps it beside the weights. A model that reads records is tested without each of them; one that only
 * learnt them is tested beside a twin that never saw half of them, where its job asked for influence: that costs half a training. Whatever has been tested is kept, and
 * goes on when the node starts again. Until it is done the policy's assumption counts.
 */
export class NeuralReliability {
  readonly #parts: ReliabilityParts;
  readonly #closing = new AbortController();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: ReliabilityParts) {
    this.#parts = parts;
  }

  async trust(manifest: NeuralManifest): Promise<MatchTrust> {
    const tests = await readTests(manifest);
    const trustOf = (method: TestedPiece["method"]): MethodTrust => {
      const measuredPpm = tests?.isDone === true ? matchReliability(tests.pieces, method) : undefined;
      return measuredPpm === undefined ? "unmeasured" : { measuredPpm };
    };
    return { span: trustOf("span"), passage: trustOf("passage") };
  }

  /** Measures what is not measured yet, one model after the other, and answers with whether there is something new. */
  measure(manifest: NeuralManifest, base: string, ground: Ground, tell: TellStage = untold): Promise<boolean> {
    const done = this.#turn.then(async () => {
      // A node that stops closes its store next.
      if (this.#closing.signal.aborted) return false;
      const job = await this.#jobOf(manifest);
      if (job === undefined || !(await this.isMissing(manifest, ground))) return false;
      const measured = await this.#measure({ manifest, base, ground, job, isReading: isReading(ground), tell });
      if (!measured.ok && !this.#closing.signal.aborted) {
        this.#parts.say(`what matches is not measured on ${manifest.name}: ${measured.error.message}`);
        tell({ stage: "failed", why: measured.error.message });
      }
      return measured.ok;
    });
    const told = done.catch((error: unknown) => {
      this.#parts.say(`what matches is not measured on ${manifest.name}: ${String(error)}`);
      return false;
    });
    this.#turn = told;
    return told;
  }

  /** Whether it reads records or is an adapter that learnt them, and some were held out of it. */
  async canMeasure(manifest: NeuralManifest, ground: Ground): Promise<boolean> {
    return (isReading(ground) || manifest.kind === "adapter") && (await this.#jobOf(manifest)) !== undefined;
  }

  /** Whether it is to be measured and is not yet. A twin costs half a training: it is made where somebody asked for it. */
  async isMissing(manifest: NeuralManifest, ground: Ground): Promise<boolean> {
    const job = await this.#jobOf(manifest);
    if (job === undefined) return false;
    const isAsked = job.options.fitsInfluence || manifest.measured !== undefined;
    if (!isReading(ground) && !(manifest.kind === "adapter" && isAsked)) return false;
    return (await readTests(manifest))?.isDone !== true;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#turn;
  }

  async #measure(model: MeasuredModel): Promise<Result<void>> {
    const { manifest, job, isReading, tell } = model;
    const loaded = await this.#parts.jobs.source(job);
    if (!loaded.ok) return loaded;
    const questions = heldOutOf(loaded.value, QUESTIONS_MAX);
    const twin = isReading ? ok(undefined) : await this.#twin(model, loaded.value);
    if (!twin.ok) return twin;
    const started = (await readTests(manifest)) ?? { ...identityOf(manifest), asked: 0, isDone: false, pieces: [] };
    const timeout = AbortSignal.timeout(ASKING_MS_MAX);
    const signal = AbortSignal.any([timeout, this.#closing.signal]);
    let tests: Tests = started;
    for (const question of questions.slice(started.asked)) {
      tell({ stage: "asking", done: tests.asked, total: questions.length });
      const tested =
        twin.value === undefined
          ? await this.#testReading(model, question, signal)
          : await this.#testTraining(model, twin.value, question, signal);
      if (timeout.aborted && !this.#closing.signal.aborted) break;
      if (!tested.ok) return tested;
      tests = { ...tests, asked: tests.asked + 1, pieces: [...tests.pieces, ...tested.value] };
      await writeTests(manifest, tests);
    }
    await writeTests(manifest, { ...tests, isDone: true });
    if (twin.value !== undefined) await rm(dirname(twin.value.folder), { recursive: true, force: true });
    return ok(undefined);
  }

  async #testReading(
    { manifest, ground }: MeasuredModel,
    question: TrainingExample,
    signal: AbortSignal,
  ): Promise<Result<readonly TestedPiece[]>> {
    const { engine } = this.#parts;
    const { prompt } = promptOf(question, ANSWER_TOKENS_MAX);
    const asked = prompt.messages.findLast(({ role }) => role === "user")?.content ?? "";
    const passages = await groundModel(ground).retrieve(asked, signal);
    const request = { model: manifest.name, ...prompt };
    const answer = await wholeAnswer(engine, { ...request, passages, isStreamed: false }, signal);
    if (!answer.ok) return answer;
    const context = passages.map(({ number }) => number);
    const scores = (sets: readonly (readonly number[])[]) => {
      const reads = sets.map((records) => passages.filter(({ number }) => records.includes(number)));
      return this.#scores(manifest.name, prompt, reads, answer.value.text, signal);
    };
    const asking = { scores, draw: drawsOf(keccak256(utf8(question.record))), lengthOf: lengthsOf(passages) };
    const tested = await testReading(corpusOf(ground.index), answer.value.text, context, asking);
    return tested === undefined ? cannotTell : ok(tested);
  }

  async #testTraining(
    { manifest, base, ground }: MeasuredModel,
    { adapter, trained }: Twin,
    question: TrainingExample,
    signal: AbortSignal,
  ): Promise<Result<readonly TestedPiece[]>> {
    const { prompt } = promptOf(question, ANSWER_TOKENS_MAX);
    const names: Readonly<Record<TwinRole, string>> = {
      base: nameOfWeights({ base }),
      model: nameOfWeights({ base, adapter: manifest.weights! }),
      twin: nameOfWeights({ base, adapter }),
    };
    const request = { model: names.model, ...prompt, passages: [], isStreamed: false };
    const answer = await wholeAnswer(this.#parts.engine, request, signal);
    if (!answer.ok) return answer;
    const idOf = (record: number) => ground.records[record]!.id;
    const tested = await testTraining({
      ...{ corpus: corpusOf(ground.index), answer: answer.value.text },
      isTrained: (record) => trained.has(idOf(record)),
      isRemoved: (record) => isInRemovedHalf(idOf(record)),
      score: async (role, text) => (await this.#scores(names[role], prompt, [[]], text, signal))?.[0],
    });
    return tested === undefined ? cannotTell : ok(tested);
  }

  async #scores(
    model: string,
    { mode, messages }: { readonly mode: "chat" | "text"; readonly messages: readonly EngineMessage[] },
    reads: readonly (readonly Passage[])[],
    text: string,
    signal: AbortSignal,
  ): Promise<readonly number[] | undefined> {
    const request = { model, mode, messages, reads, text, withinMs: ASKING_MS_MAX };
    const scored = await this.#parts.engine.score(request, signal);
    return scored.ok && scored.value.logProbabilities.every(Number.isFinite)
      ? scored.value.logProbabilities
      : undefined;
  }

  /** Trained as the model was, and for as large a part of the steps, without half of its records. A training that was stopped goes on where it was. */
  async #twin({ manifest, base, job, tell }: MeasuredModel, { train }: LoadedSource): Promise<Result<Twin>> {
    const folder = join(`${manifest.weights!}.reliability`, "twin");
    const examples = train.filter(({ record }) => !isInRemovedHalf(record));
    if (examples.length === 0) return refuse("conflict", "half of its records are none");
    const stepShare = learntShare(job, manifest.step);
    const task = {
      ...{ folder, base, examples, heldOut: [], options: { ...job.options, patience: 0 } },
      ...(stepShare === 1 ? {} : { stepShare }),
    };
    const trained = await this.#parts.trainer.train(task, tellSteps(tell), this.#closing.signal);
    if (!trained.ok) return trained;
    return this.#closing.signal.aborted
      ? refuse("shutting_down", "the training was stopped")
      : ok({ folder, adapter: join(folder, "adapter"), trained: new Set(train.map(({ record }) => record)) });
  }

  async #jobOf({ job, weights, datanets }: NeuralManifest): Promise<Job | undefined> {
    if (job === undefined || weights === undefined || datanets.length === 0) return undefined;
    const found = await this.#parts.jobs.job(job);
    return found === undefined || found.estimate.heldOut === 0 ? undefined : found;
  }
}

interface MeasuredModel {
  /** Its weights by their whole path. */
  readonly manifest: NeuralManifest;
  /** The folder of its base. */
  readonly base: string;
  readonly ground: Ground;
  readonly job: Job;
  readonly isReading: boolean;
  readonly tell: TellStage;
}

interface Twin {
  readonly folder: string;
  readonly adapter: string;
  /** Records that the model was trained on. */
  readonly trained: ReadonlySet<string>;
}

const cannotTell = refuse("upstream_failed", "the engine cannot say how likely an answer is");

function isReading({ contextTokensMax = 0 }: Ground): boolean {
  return contextTokensMax > 0;
}

function identityOf({ hash, datanets }: NeuralManifest): Pick<Tests, "hash" | "datanets"> {
  return { hash, datanets: datanets.map(({ id }) => id) };
}

/** A file of other weights or versions counts as none, and so does a damaged one. */
async function readTests(manifest: NeuralManifest): Promise<Tests | undefined> {
  const text = await readIfThere(pathOf(manifest));
  const parsed = testsSchema.safeParse(parseJson(text ?? ""));
  if (!parsed.success) return undefined;
  const { hash, datanets } = identityOf(manifest);
  return parsed.data.hash === hash && parsed.data.datanets.join() === datanets.join() ? parsed.data : undefined;
}

function writeTests(manifest: NeuralManifest, tests: Tests): Promise<void> {
  return writeAtomically(pathOf(manifest), `${JSON.stringify(tests)}\n`);
}

function pathOf({ weights }: NeuralManifest): string {
  return `${weights}.reliability.json`;
}
