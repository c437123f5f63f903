import { type Hex, parseHex, toHex } from "../core/bytes.ts";
import { ok, type Refusal, type Result, refuse, unwrap } from "../core/result.ts";
import type { TrainingEvent } from "../models/training/task.ts";
import { type Compared, compare } from "./compared.ts";
import { speedKey, weightsOf } from "./estimate.ts";
import { HELD_OUT_MEASURED_MAX } from "./examples.ts";
import type { Checkpoint, Job, JobResult } from "./job.ts";
import { guarded, type JobBook } from "./jobBook.ts";
import type { Base, FactoryPorts } from "./ports.ts";
import { heldOutOf, loadSource } from "./source.ts";

export type RunEnd =
  | { readonly kind: "trained"; readonly job: Job }
  | { readonly kind: "stopped" }
  | { readonly kind: "failed"; readonly refusal: Refusal };

/** Of all steps of a job, so many are told. */
const STEP_EVENTS_MAX = 200;
/** Weights of so many checkpoints are kept, the best and the latest ones, and fewer where they are larger than this together: at least those two. */
const CHECKPOINTS_KEPT_MAX = 8;
const KEPT_BYTES_MAX = 2 * 2 ** 30;

/** One job from its examples to its result. What the trainer tells becomes progress, events and checkpoints. */
export class JobRun {
  readonly #ports: FactoryPorts;
  readonly #book: JobBook;
  readonly #job: Job;
  readonly #speeds: number[] = [];
  readonly #pending: Promise<Result<void>>[] = [];
  #steps = 0;
  #trainedTokens = 0;
  #loss: number | undefined;
  #heldOut: { readonly step: number; readonly loss: number; readonly compared?: Compared } | undefined;
  #baseLosses: readonly number[] | undefined;
  #result: JobResult | undefined;

  constructor(ports: FactoryPorts, book: JobBook, job: Job) {
    this.#ports = ports;
    this.#book = book;
    this.#job = job;
    this.#baseLosses = job.baseLosses;
  }

  async train(signal: AbortSignal): Promise<RunEnd> {
    const { trainer, folders, store } = this.#ports;
    const job = this.#job;
    const base = await this.#base();
    if (!base.ok) return failed(base.error);
    const loaded = await guarded(() => loadSource(this.#pausing(signal), job.source, job.heldOutShare));
    if (signal.aborted) return { kind: "stopped" };
    if (!loaded.ok) return failed(loaded.error);
    const heldOut = heldOutOf(loaded.value, HELD_OUT_MEASURED_MAX);
    const task = {
      ...{ folder: folders.training(job.id), base: base.value.folder, examples: loaded.value.train, heldOut },
      options: job.options,
    };
    const trained = await trainer.train(task, (event) => this.#take(event, base.value), signal);
    for (const one of this.#pending) {
      const kept = await one;
      if (!kept.ok) return failed(kept.error);
    }
    if (!trained.ok) return failed(trained.error);
    const result = this.#result;
    if (result === undefined) return { kind: "stopped" };
    const speed = middle(this.#speeds);
    if (speed !== undefined) await store.saveSpeed(speedKey(base.value.shape, job.options), speed);
    const updated = await this.#book.update(job.id, (now) => ok({ ...now, result }));
    return updated.ok ? { kind: "trained", job: updated.value } : failed(updated.error);
  }

  /** Reading a large source ends at its next pause once nobody wants it any more. */
  #pausing(signal: AbortSignal): FactoryPorts {
    const pause = async (): Promise<void> => {
      await this.#ports.pause();
      unwrap(signal.aborted ? refuse("cancelled", "the job was stopped") : ok(undefined));
    };
    return { ...this.#ports, pause };
  }

  async #base(): Promise<Result<Base>> {
    const base = await this.#ports.bases.find(this.#job.base.name);
    if (!base.ok || base.value.hash === this.#job.base.hash) return base;
    return refuse("conflict", `the base ${base.value.name} is not the one that the job was ordered for`, {
      hint: "order the job again",
    });
  }

  #take(event: TrainingEvent, base: Base): void {
    const { id } = this.#job;
    switch (event.type) {
      case "started":
        this.#steps = event.steps;
        this.#trainedTokens = event.tokens;
        this.#book.progress(id, { step: event.resumedAt, steps: event.steps });
        this.#book.event(
          id,
          "info",
          event.resumedAt === 0 ? "Training began." : `Training goes on at step ${event.resumedAt}.`,
        );
        return;
      case "step":
        return this.#step(event);
      case "evaluated":
        return this.#evaluated(event);
      case "checkpoint":
        this.#pending.push(guarded(() => this.#checkpoint(event.step, base)));
        return;
      case "finished":
        this.#result = this.#resultOf(event);
        return;
      case "cancelled":
        return;
    }
  }

  #evaluated({ step, heldOutLoss, recordLosses }: Extract<TrainingEvent, { type: "evaluated" }>): void {
    const { id } = this.#job;
    if (step === 0) {
      this.#baseLosses = recordLosses;
      this.#pending.push(this.#keepBaseLoss(heldOutLoss, recordLosses));
    }
    const compared = this.#baseLosses === undefined ? {} : { compared: compare(this.#baseLosses, recordLosses) };
    this.#heldOut = { step, loss: heldOutLoss, ...compared };
    const what = step === 0 ? "held-out loss of the base" : "held-out loss";
    this.#book.event(id, "info", `Step ${step}/${this.#steps}: ${what}=${heldOutLoss.toFixed(4)}`, {
      ...{ step, total_steps: this.#steps, valid_loss: heldOutLoss },
    });
  }

  async #keepBaseLoss(baseLoss: number, baseLosses: readonly number[]): Promise<Result<void>> {
    const kept = await guarded(() => this.#book.update(this.#job.id, (now) => ok({ ...now, baseLoss, baseLosses })));
    return kept.ok ? ok(undefined) : kept;
  }

  #step({ step, loss, tokensPerSecond, learningRate }: Extract<TrainingEvent, { type: "step" }>): void {
    const { id } = this.#job;
    this.#loss = loss;
    this.#speeds.push(tokensPerSecond);
    this.#book.progress(id, { step, steps: this.#steps, loss, tokensPerSecond: Math.round(tokensPerSecond) });
    if (step % Math.ceil(this.#steps / STEP_EVENTS_MAX) !== 0 && step !== this.#steps) return;
    this.#book.event(id, "info", `Step ${step}/${this.#steps}: training loss=${loss.toFixed(4)}`, {
      ...{ step, total_steps: this.#steps, train_loss: loss, learning_rate: learningRate },
      tokens_per_second: Math.round(tokensPerSecond),
    });
  }

  /** Begins at once, since the trainer's next checkpoint takes this one's place. */
  async #checkpoint(step: number, base: Base): Promise<Result<void>> {
    const { folders, nowMs } = this.#ports;
    const heldOut = this.#heldOut?.step === step ? this.#heldOut : undefined;
    const stored = await folders.keepCheckpoint(this.#job, base, step);
    if (!stored.ok)
      this.#book.event(this.#job.id, "warn", `The weights of step ${step} are not kept: ${stored.error.message}`);
    const checkpoint: Checkpoint = {
      ...{ step, timeMs: nowMs() },
      ...(this.#loss === undefined ? {} : { trainLoss: this.#loss }),
      ...(heldOut === undefined ? {} : { heldOutLoss: heldOut.loss }),
      ...(heldOut?.compared === undefined ? {} : { compared: heldOut.compared }),
      isKept: stored.ok,
    };
    const dropped: number[] = [];
    const kept = await this.#book.update(this.#job.id, (now) => {
      const { checkpoints, dropped: old } = withCheckpoint(now, checkpoint, keptMax(this.#job, base));
      dropped.push(...old);
      return ok({ ...now, checkpoints });
    });
    if (!kept.ok) return kept;
    // One that cannot be removed takes up room, and nothing else.
    for (const old of dropped) await folders.dropCheckpoint(this.#job.id, old).catch(() => undefined);
    return ok(undefined);
  }

  #resultOf({ hash, steps, reason, heldOutLoss }: Extract<TrainingEvent, { type: "finished" }>): JobResult {
    return {
      ...{ hash: hexOf(hash), kind: this.#job.options.adapter === undefined ? "model" : "adapter", steps, reason },
      ...{
        trainedTokens: Math.round((this.#trainedTokens * steps) / Math.max(1, this.#steps)),
        build: this.#ports.build,
      },
      ...(heldOutLoss === undefined ? {} : { heldOutLoss }),
    };
  }
}

/** An adapter is small beside its base; of a whole model each checkpoint is one more. */
function keptMax({ options }: Job, { shape }: Base): number {
  const fitting =
    options.adapter === undefined ? Math.floor(KEPT_BYTES_MAX / (4 * weightsOf(shape))) : CHECKPOINTS_KEPT_MAX;
  return Math.max(2, Math.min(CHECKPOINTS_KEPT_MAX, fitting));
}

/** Keeps the best and the latest; what is served stays in any case. */
function withCheckpoint(
  job: Job,
  latest: Checkpoint,
  keptMost: number,
): { readonly checkpoints: readonly Checkpoint[]; readonly dropped: readonly number[] } {
  const all = [...job.checkpoints.filter(({ step }) => step !== latest.step), latest].sort((a, b) => a.step - b.step);
  const kept = all.filter(({ isKept }) => isKept);
  const best = kept.reduce<Checkpoint | undefined>(
    (before, one) => ((one.heldOutLoss ?? Infinity) < (before?.heldOutLoss ?? Infinity) ? one : before),
    undefined,
  );
  const isNeeded = (one: Checkpoint) => one === best || job.deployments.some(({ step }) => step === one.step);
  const dropped = kept
    .slice(0, -1)
    .filter((one) => !isNeeded(one))
    .slice(0, Math.max(0, kept.length - keptMost))
    .map(({ step }) => step);
  return { checkpoints: all.map((one) => (dropped.includes(one.step) ? { ...one, isKept: false } : one)), dropped };
}

function middle(values: readonly number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

function hexOf(text: string): Hex {
  return toHex(parseHex(text) ?? new Uint8Array(32));
}

function failed(refusal: Refusal): RunEnd {
  return { kind: "failed", refusal };
}
