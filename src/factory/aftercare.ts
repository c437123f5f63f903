import { ok, type Refusal, RefusalError, type Result, refuse } from "../core/result.ts";
import { encode } from "../models/bpe.ts";
import { type Evaluation, type EvaluationPart, type EvaluationPlan, evaluatePart } from "./evaluation.ts";
import { checkGain, gainOf, gainOfPart, gainText, isGain, isUnsure, verdictOf } from "./gain.ts";
import type { Deployment, DeployWish, Job } from "./job.ts";
import { guarded, type JobBook } from "./jobBook.ts";
import { deployDefaults, usualName } from "./order.ts";
import type { Base, FactoryPorts } from "./ports.ts";
import { loadSource } from "./source.ts";

/** Of each datanet's held-out records, so many are measured, and so many asked. */
const planned = { lossesMax: 64, answersMax: 8, answerTokens: { least: 48, most: 512 } } as const;

/** Evaluations that wait for one that runs. */
const WAITING_MAX = 8;

export interface DeployRequest extends DeployWish {
  readonly step?: number;
}

/** What is done with a trained model: measured beside its base, and served. */
export class Aftercare {
  readonly #ports: FactoryPorts;
  readonly #book: JobBook;
  #turn: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(ports: FactoryPorts, book: JobBook) {
    this.#ports = ports;
    this.#book = book;
  }

  /**
   * After a training: deploys it if that was ordered and something was gained, and measures it. What the training did not compare with its base is measured first. What fails is an event
   * of the job, and can be asked for again.
   */
  async afterTraining(job: Job, signal: AbortSignal): Promise<void> {
    if (gainOf(job, undefined) !== undefined) await this.#deployAsOrdered(job, signal);
    await this.#measureOnce(job, signal);
    const measured = await this.#book.find(job.id);
    if (measured.ok && gainOf(job, undefined) === undefined) await this.#deployAsOrdered(measured.value, signal);
  }

  async #deployAsOrdered(job: Job, signal: AbortSignal): Promise<void> {
    const { deploy } = job;
    if (signal.aborted) return;
    const gained = checkGain(job, undefined);
    const isServed = deploy !== undefined && (gained.ok || deploy.anyway === true);
    if (!gained.ok) {
      const then = isServed
        ? "it is served all the same, as ordered"
        : "it is not served unless it is deployed --anyway";
      this.#book.event(job.id, "warn", `${capital(gained.error.message)}; ${then}.`);
    }
    const gain = gainOf(job, undefined);
    if (gained.ok && gain !== undefined && isUnsure(gain))
      this.#book.event(job.id, "warn", `${capital(verdictOf(gain))} over ${job.base.name}: ${gainText(gain)}.`);
    if (!isServed) return;
    const deployed = await guarded(() => this.deploy(job, deploy));
    if (!deployed.ok) this.#tell(job, "deployed", deployed.error);
  }

  async #measureOnce(job: Job, signal: AbortSignal): Promise<void> {
    const isMeasured = job.evaluations.some(({ step }) => step === undefined);
    if (isMeasured || signal.aborted || job.estimate.heldOut === 0) return;
    const evaluated = await guarded(() => this.#inTurn(() => this.#evaluate(job, undefined, signal)));
    if (!evaluated.ok && !signal.aborted) this.#tell(job, "evaluated", evaluated.error);
  }

  /** Base and model side by side on what was held out. One at a time, for it takes the machine. */
  async evaluate(job: Job, step: number | undefined, signal: AbortSignal): Promise<Result<Evaluation>> {
    if (this.#waiting >= WAITING_MAX)
      return refuse("queue_full", "other evaluations are waiting", { hint: "try again in a moment" });
    return this.#inTurn(() => this.#evaluate(job, step, signal));
  }

  /** Serves the result or a kept checkpoint. The same again is the same deployment. Refuses `conflict` where nothing was gained, unless it is wanted `anyway`. */
  async deploy(job: Job, { step, anyway = false, ...wish }: DeployRequest): Promise<Result<Deployment>> {
    const base = await this.#baseOf(job);
    if (!base.ok) return base;
    const present = weightsPresent(job, step);
    if (!present.ok) return present;
    const name = wish.name ?? usualName(job, step);
    const known = job.deployments.find((one) => one.name === name);
    if (known !== undefined && known.step === step) return ok(known);
    const gained = anyway ? ok(undefined) : checkGain(job, step);
    if (!gained.ok) return gained;
    const deployed = await this.#ports.shop.deploy(job, base.value, {
      ...{ name, royalty: wish.royalty ?? deployDefaults.royalty },
      ...{ parentsBps: wish.parentsBps ?? deployDefaults.parentsBps, ...(step === undefined ? {} : { step }) },
    });
    if (!deployed.ok) return deployed;
    const kept = await this.#book.update(job.id, (now) => {
      const others = now.deployments.filter((one) => one.name !== name);
      return ok({ ...now, deployments: [...others, deployed.value] });
    });
    if (!kept.ok) return kept;
    this.#book.event(job.id, "info", `New fine-tuned model created: ${name}`);
    return deployed;
  }

  #tell(job: Job, what: string, refusal: Refusal): void {
    // Then the job is not over: it is done again when the store is back.
    if (refusal.code === "store_unavailable") throw new RefusalError(refusal);
    this.#book.event(job.id, "warn", `It could not be ${what}: ${refusal.message}`);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    this.#waiting += 1;
    const done = this.#turn.then(work).finally(() => {
      this.#waiting -= 1;
    });
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async #evaluate(job: Job, step: number | undefined, signal: AbortSignal): Promise<Result<Evaluation>> {
    const { evaluator, answers, corpus, nowMs, folders } = this.#ports;
    const base = await this.#baseOf(job);
    if (!base.ok) return base;
    const present = weightsPresent(job, step);
    if (!present.ok) return present;
    const loaded = await loadSource(this.#ports, job.source, job.heldOutShare);
    if (!loaded.ok) return loaded;
    const folder = folders.weights(job, step);
    const plan: EvaluationPlan = {
      ...{ base: { base: base.value.folder }, sequenceTokens: job.options.sequenceTokens, ...planned },
      countTokens: (text) => encode(base.value.tokenizer, text).length,
      model: job.options.adapter === undefined ? { base: folder } : { base: base.value.folder, adapter: folder },
    };
    const parts: EvaluationPart[] = [];
    for (const { name, version, examples: heldOut } of loaded.value.heldOut) {
      if (heldOut.length === 0) continue;
      if (signal.aborted) return refuse("cancelled", "the evaluation was cancelled");
      const of = version === undefined ? {} : { version, corpus: await corpus(name, version) };
      const part = await evaluatePart({ name, heldOut, ...of }, plan, { evaluator, answers }, signal);
      if (!part.ok) return part;
      parts.push(part.value);
    }
    if (parts.length === 0)
      return refuse("conflict", "nothing was held out of this job's training to measure it by", {
        hint: "order it with a held-out share above 0, or with a validation file",
      });
    const evaluation: Evaluation = { timeMs: nowMs(), ...(step === undefined ? {} : { step }), parts };
    const kept = await this.#book.update(job.id, (now) => {
      const others = now.evaluations.filter((one) => one.step !== step);
      return ok({ ...now, evaluations: [...others, evaluation] });
    });
    if (!kept.ok) return kept;
    for (const part of parts) {
      const gain = gainOfPart(part);
      this.#book.event(job.id, isGain(gain) ? "info" : "warn", `${part.name}: ${verdictOf(gain)}: ${gainText(gain)}`);
    }
    return ok(evaluation);
  }

  async #baseOf(job: Job): Promise<Result<Base>> {
    const base = await this.#ports.bases.find(job.base.name);
    if (!base.ok || base.value.hash === job.base.hash) return base;
    return refuse("conflict", `the base ${job.base.name} is another one by now`);
  }
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function weightsPresent(job: Job, step: number | undefined): Result<void> {
  if (step === undefined)
    return job.result !== undefined
      ? ok(undefined)
      : refuse("conflict", `the job is ${job.status} and has no result yet`, { hint: "name one of its checkpoints" });
  const kept = job.checkpoints.filter(({ isKept }) => isKept).map((one) => one.step);
  if (kept.includes(step)) return ok(undefined);
  return refuse("not_found", `no weights are kept of step ${step}`, {
    hint: kept.length === 0 ? "the job has no checkpoints" : `there are ${kept.join(", ")}`,
    field: "step",
  });
}
