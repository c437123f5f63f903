import { toHex, utf8 } from "../../core/bytes.ts";
import { sha256 } from "../../core/hash.ts";
import { ok, type Result, refuse } from "../../core/result.ts";
import { sortedTensors } from "../formats/safetensors.ts";
import type { Tensor, Tensors } from "../tensor.ts";
import type { EncodedExample } from "./chatTemplate.ts";
import { lossesOf, targetCount } from "./losses.ts";
import { Computation, type Machine, type NeuralModel } from "./neuralModel.ts";
import { planEpoch, type Sequence, windowsOf } from "./packing.ts";
import { learningRateAt } from "./schedule.ts";
import type { TrainingEvent, TrainingOptions } from "./task.ts";
import { type Learnt, takeStep } from "./trainingStep.ts";

/** All that a run needs to go on as if it had never stopped; chance is drawn anew for each step from the seed. */
export interface TrainingState {
  /** Steps done. */
  readonly step: number;
  readonly values: Tensors;
  readonly means: Tensors;
  readonly squares: Tensors;
  /** The best held-out loss so far and, where the run may stop early, the values that had it. */
  readonly best?: { readonly loss: number; readonly step: number; readonly values?: Tensors };
  /** Evaluations since. */
  readonly worse: number;
  /** Of the last evaluation. */
  readonly heldOutLoss?: number;
}

export interface TrainingInput {
  /** The tensors that are learnt are changed in place: the adapter's, or all weights where there is none. */
  readonly model: NeuralModel;
  readonly examples: readonly EncodedExample[];
  readonly heldOut: readonly EncodedExample[];
  readonly options: TrainingOptions;
  /** See `TrainingTask`. */
  readonly stepShare?: number;
  readonly resume?: TrainingState;
}

export interface TrainingPorts {
  readonly nowMs: () => number;
  /** `finished`, `checkpoint` and `cancelled` are the caller's to tell, for it knows the folders. */
  readonly onEvent: (event: Extract<TrainingEvent, { type: "started" | "step" | "evaluated" }>) => void;
  readonly save: (state: TrainingState) => Promise<Result<void>>;
  readonly isCancelled: () => boolean;
}

export interface TrainingOutcome {
  readonly state: TrainingState;
  /** What was learnt: the last values, or the best where the run may stop early. */
  readonly values: Tensors;
  readonly heldOutLoss?: number;
  readonly reason: "done" | "early_stop" | "cancelled";
}

/** Trains until the steps are done, the held-out loss no longer falls, or somebody cancels. Deterministic, also across a resume, for one build and number of threads. */
export async function runTraining(
  machine: Machine,
  input: TrainingInput,
  ports: TrainingPorts,
): Promise<Result<TrainingOutcome>> {
  const { options } = input;
  const length = options.sequenceTokens;
  const windows = input.examples.flatMap((example) => windowsOf(example, length));
  if (windows.length === 0)
    return refuse("invalid_request", "There is nothing to learn: no example has an answer or text.");
  const epochs = Array.from({ length: options.epochs }, (_unused, epoch) => planEpoch(windows, options, epoch).length);
  const heldOut = input.heldOut.flatMap((example) => windowsOf(example, length));
  const run = await Run.open(machine, input, heldOut);
  try {
    const steps = epochs.reduce((sum, count) => sum + count, 0);
    const last = Math.max(1, Math.round(steps * (input.stepShare ?? 1)));
    const tokens = options.epochs * windows.reduce((sum, window) => sum + window.tokens.length, 0);
    ports.onEvent({ type: "started", steps, tokens, resumedAt: run.step });
    if (run.step === 0) await run.measureBase(ports);
    let before = 0;
    for (const [epoch, count] of epochs.entries()) {
      const plan = run.step < Math.min(before + count, last) ? planEpoch(windows, options, epoch) : [];
      while (run.step < Math.min(before + count, last) && !run.isOver) {
        if (ports.isCancelled()) return await run.cancel(ports);
        const failed = await run.advance(plan[run.step - before]!, { steps, last }, ports);
        if (!failed.ok) return failed;
      }
      before += count;
    }
    return ok(run.outcome(run.isOver ? "early_stop" : "done"));
  } finally {
    await run.close();
  }
}

/** sha256 over names, shapes and values, in hex. */
export function hashTensors(tensors: Tensors): string {
  const parts = sortedTensors(tensors).flatMap(([name, { shape, data }]) => [
    utf8(`${name}\n${shape.join(" ")}\n`),
    new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  ]);
  return toHex(sha256(...parts)).slice(2);
}

class Run {
  readonly #options: TrainingOptions;
  readonly #learnt: Learnt;
  readonly #shapes: ReadonlyMap<string, readonly number[]>;
  readonly #heldOut: readonly EncodedExample[];
  readonly #forStep: Computation;
  readonly #forLoss: Computation;
  #step: number;
  #savedStep = -1;
  #best: TrainingState["best"];
  #worse: number;
  #heldOutLoss: number | undefined;

  static async open(machine: Machine, input: TrainingInput, heldOut: readonly EncodedExample[]): Promise<Run> {
    const { model } = input;
    const gradients = model.adapter === undefined ? "weights" : "adapter";
    const forStep = await Computation.open(machine, model, { losses: true, gradients });
    return new Run(input, heldOut, forStep, await Computation.open(machine, model, { losses: true }));
  }

  private constructor(
    { model, options, resume }: TrainingInput,
    heldOut: readonly EncodedExample[],
    forStep: Computation,
    forLoss: Computation,
  ) {
    const tensors = model.adapter?.tensors ?? model.weights;
    this.#options = options;
    this.#heldOut = heldOut;
    this.#forStep = forStep;
    this.#forLoss = forLoss;
    this.#shapes = new Map([...tensors].map(([name, { shape }]) => [name, shape]));
    this.#learnt = new Map(
      [...tensors].map(([name, { data: values }]) => {
        const saved = resume?.values.get(name)?.data;
        if (saved !== undefined) values.set(saved);
        const mean = resume?.means.get(name)?.data.slice() ?? new Float32Array(values.length);
        const square = resume?.squares.get(name)?.data.slice() ?? new Float32Array(values.length);
        return [name, { values, moments: { mean, square } }];
      }),
    );
    this.#step = resume?.step ?? 0;
    this.#savedStep = resume?.step ?? -1;
    this.#best = resume?.best;
    this.#worse = resume?.worse ?? 0;
    this.#heldOutLoss = resume?.heldOutLoss;
  }

  get step(): number {
    return this.#step;
  }

  /** True when it should stop early. */
  get isOver(): boolean {
    return this.#options.patience > 0 && this.#worse >= this.#options.patience;
  }

  /** What checkpoints are compared with. It is none: a training that is worse at first may still become better, and its result is something learnt. */
  async measureBase({ onEvent }: TrainingPorts): Promise<void> {
    if (this.#heldOut.length > 0) onEvent({ type: "evaluated", step: 0, ...(await this.#measure()) });
  }

  async advance(
    sequences: readonly Sequence[],
    { steps, last }: { readonly steps: number; readonly last: number },
    ports: TrainingPorts,
  ): Promise<Result<void>> {
    const options = this.#options;
    const startedAtMs = ports.nowMs();
    const step = this.#step;
    const learningRate = learningRateAt(step, { ...options, steps });
    const dropout = options.adapter?.dropout ?? 0;
    const outcome = await takeStep(this.#forStep, this.#learnt, sequences, {
      ...{ step, learningRate, dropout, seed: options.seed },
      ...{ weightDecay: options.weightDecay, gradientNormMax: options.gradientNormMax },
    });
    if (!Number.isFinite(outcome.loss) || !Number.isFinite(outcome.gradientNorm))
      return refuse("invalid_request", `The loss is no longer a number at step ${step + 1}.`, {
        hint: "Try a lower learning rate or a longer warm-up.",
        field: "learningRate",
      });
    this.#step += 1;
    const tokens = sequences.flat().reduce((sum, example) => sum + example.tokens.length, 0);
    const seconds = Math.max(1e-3, (ports.nowMs() - startedAtMs) / 1_000);
    ports.onEvent({ type: "step", step: step + 1, ...outcome, learningRate, tokensPerSecond: tokens / seconds });
    if (this.#step % options.checkpointEvery !== 0 && this.#step !== last) return ok(undefined);
    await this.#evaluate(ports);
    this.#savedStep = this.#step;
    return ports.save(this.#state());
  }

  async cancel(ports: TrainingPorts): Promise<Result<TrainingOutcome>> {
    const saved = this.#savedStep === this.#step ? ok(undefined) : await ports.save(this.#state());
    return saved.ok ? ok(this.outcome("cancelled")) : saved;
  }

  outcome(reason: TrainingOutcome["reason"]): TrainingOutcome {
    const best = this.#best;
    const isBest = best?.values !== undefined;
    const heldOutLoss = isBest ? best.loss : this.#heldOutLoss;
    return {
      state: this.#state(),
      values: isBest ? best.values : this.#tensors(({ values }) => values),
      reason,
      ...(heldOutLoss === undefined ? {} : { heldOutLoss }),
    };
  }

  async close(): Promise<void> {
    await this.#forStep.close();
    await this.#forLoss.close();
  }

  /** Mean nats a token over what was held out, and the sums of its records. */
  async #measure(): Promise<{ readonly heldOutLoss: number; readonly recordLosses: readonly number[] }> {
    const losses = await lossesOf(this.#forLoss, this.#heldOut);
    const targets = this.#heldOut.reduce((sum, example) => sum + targetCount(example), 0);
    const records = new Map<string, number>();
    for (const [i, { record }] of this.#heldOut.entries()) records.set(record, (records.get(record) ?? 0) + losses[i]!);
    return { heldOutLoss: losses.reduce((sum, one) => sum + one, 0) / targets, recordLosses: [...records.values()] };
  }

  async #evaluate({ onEvent }: TrainingPorts): Promise<void> {
    if (this.#heldOut.length === 0) return;
    const measured = await this.#measure();
    const loss = measured.heldOutLoss;
    this.#heldOutLoss = loss;
    if (this.#best === undefined || loss < this.#best.loss) {
      const values = this.#options.patience > 0 ? this.#tensors(({ values: now }) => now.slice()) : undefined;
      this.#best = { loss, step: this.#step, ...(values === undefined ? {} : { values }) };
      this.#worse = 0;
    } else this.#worse += 1;
    onEvent({ type: "evaluated", step: this.#step, ...measured });
  }

  /** Shares memory with what is being learnt: to be written before the next step. */
  #state(): TrainingState {
    return {
      step: this.#step,
      values: this.#tensors(({ values }) => values),
      means: this.#tensors(({ moments }) => moments.mean),
      squares: this.#tensors(({ moments }) => moments.square),
      worse: this.#worse,
      ...(this.#best === undefined ? {} : { best: this.#best }),
      ...(this.#heldOutLoss === undefined ? {} : { heldOutLoss: this.#heldOutLoss }),
    };
  }

  #tensors(of: (one: { values: Float32Array; moments: { mean: Float32Array; square: Float32Array } }) => Float32Array) {
    return new Map<string, Tensor>(
      [...this.#learnt].map(([name, one]) => [name, { shape: this.#shapes.get(name)!, data: of(one) }]),
    );
  }
}
