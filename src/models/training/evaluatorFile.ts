import { ok, type Result, refuse } from "../../core/result.ts";
import type { Tokenizer } from "../bpe.ts";
import { readLlamaFolder } from "../formats/huggingFaceFile.ts";
import { readAdapterFolder } from "../formats/peftFile.ts";
import type { LlamaOutputs } from "../onnx/llamaGraph.ts";
import { type EncodedExample, encodeExample } from "./chatTemplate.ts";
import { curvatureOf, gradientsOf } from "./evaluate.ts";
import type {
  Curvature,
  CurvatureTask,
  EvaluationTask,
  ExampleGradients,
  ExampleLoss,
  GradientTask,
  TrainingEnd,
} from "./evaluation.ts";
import { lossesOf, targetCount } from "./losses.ts";
import { Computation, type Machine, type NeuralModel, untrained } from "./neuralModel.ts";
import { windowsOf } from "./packing.ts";

interface Loaded {
  readonly key: string;
  readonly model: NeuralModel;
  readonly tokenizer: Tokenizer;
  readonly computations: Map<string, Computation>;
}

/** Measures in this process, one task at a time. The last model and its graphs stay in memory, for the next task is often about the same one. */
export class FolderEvaluator {
  readonly #machine: Machine;
  #loaded: Loaded | undefined;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  async losses(task: EvaluationTask, isCancelled: () => boolean): Promise<Result<readonly ExampleLoss[]>> {
    const loaded = await this.#load(task);
    if (!loaded.ok) return loaded;
    const { examples: windows, indexes } = windowed(task, loaded.value);
    const computation = await this.#computation(loaded.value, { losses: true });
    const losses = await lossesOf(computation, windows, isCancelled);
    if (isCancelled()) return cancelled();
    const sums = task.examples.map(({ record }) => ({ record, loss: 0, tokens: 0 }));
    for (const [i, window] of windows.entries()) {
      const sum = sums[indexes[i]!]!;
      sum.loss += losses[i]!;
      sum.tokens += targetCount(window);
    }
    return ok(sums);
  }

  /** `onExample` is waited for: what it does not take, is not computed. Examples without targets are left out. */
  async gradients(
    task: GradientTask,
    onExample: (gradients: ExampleGradients) => Promise<void>,
    isCancelled: () => boolean,
  ): Promise<Result<void>> {
    const loaded = await this.#load(task);
    if (!loaded.ok) return loaded;
    const perExample = Object.fromEntries(
      task.bases.map(({ name, outward, inward }) => [name, { outward, inward }] as const),
    );
    const computation = await this.#computation(loaded.value, { losses: true, perExample }, task.at);
    const { examples, indexes } = windowed(task, loaded.value);
    for await (const gradients of gradientsOf(computation, examples, task.bases)) {
      if (isCancelled()) return cancelled();
      await onExample({ ...gradients, index: indexes[gradients.index]! });
    }
    return ok(undefined);
  }

  async curvature(task: CurvatureTask, isCancelled: () => boolean): Promise<Result<Curvature>> {
    const loaded = await this.#load(task);
    if (!loaded.ok) return loaded;
    const labels =
      task.labels === "data"
        ? undefined
        : { computation: await this.#computation(loaded.value, { logits: true }, task.at), seed: task.seed };
    const computation = await this.#computation(loaded.value, { curvature: "W" }, task.at);
    const curvature = await curvatureOf(computation, windowed(task, loaded.value).examples, labels, isCancelled);
    return isCancelled() ? cancelled() : ok(curvature);
  }

  async close(): Promise<void> {
    for (const computation of this.#loaded?.computations.values() ?? []) await computation.close();
    this.#loaded = undefined;
  }

  async #load(task: EvaluationTask): Promise<Result<Loaded>> {
    const key = JSON.stringify([task.base, task.adapter]);
    if (this.#loaded?.key === key) return ok(this.#loaded);
    await this.close();
    const base = await readLlamaFolder(task.base);
    if (!base.ok) return base;
    const { shape, tensors: weights, tokenizer } = base.value;
    const adapter = task.adapter === undefined ? undefined : await readAdapterFolder(task.adapter, shape);
    if (adapter?.ok === false) return adapter;
    const model = { shape, weights, ...(adapter === undefined ? {} : { adapter: adapter.value }) };
    this.#loaded = { key, model, tokenizer, computations: new Map() };
    return ok(this.#loaded);
  }

  async #computation(
    { model, computations }: Loaded,
    outputs: LlamaOutputs,
    at: TrainingEnd = "end",
  ): Promise<Computation> {
    const key = JSON.stringify([at, outputs]);
    const known = computations.get(key);
    if (known !== undefined) return known;
    const opened = await Computation.open(this.#machine, at === "end" ? model : untrained(model), outputs);
    computations.set(key, opened);
    return opened;
  }
}

/** Examples as a training sees them, and where each stands in the task's list. */
function windowed(
  task: EvaluationTask,
  { model, tokenizer }: Loaded,
): { readonly examples: readonly EncodedExample[]; readonly indexes: readonly number[] } {
  const windows = task.examples.map((example) =>
    windowsOf(encodeExample(tokenizer, example), tokensMaxOf(task, model)),
  );
  return { examples: windows.flat(), indexes: windows.flatMap((some, index) => some.map(() => index)) };
}

function tokensMaxOf({ sequenceTokens }: EvaluationTask, { shape }: NeuralModel): number {
  return Math.max(2, Math.min(sequenceTokens, shape.contextTokens));
}

function cancelled(): ReturnType<typeof refuse> {
  return refuse("cancelled", "The evaluation was cancelled.");
}
