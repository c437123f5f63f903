import { basename, join, resolve } from "node:path";
import { toHex, utf8 } from "../../core/bytes.ts";
import { sha256 } from "../../core/hash.ts";
import { ok, type Result, refuse } from "../../core/result.ts";
import type { Tokenizer } from "../bpe.ts";
import { type LlamaFolder, readLlamaFolder, writeLlamaFolder } from "../formats/huggingFaceFile.ts";
import { writeAdapterFolder } from "../formats/peftFile.ts";
import { type EncodedExample, encodeExample, houseChatTemplate } from "./chatTemplate.ts";
import { readCheckpoint, writeCheckpoint } from "./checkpointFile.ts";
import { initialLora } from "./initial.ts";
import type { Machine, NeuralModel } from "./neuralModel.ts";
import type { TrainingEvent, TrainingOptions, TrainingTask } from "./task.ts";
import { hashTensors, runTraining, type TrainingOutcome } from "./trainingRun.ts";

export interface TrainTaskPorts {
  readonly nowMs: () => number;
  readonly onEvent: (event: TrainingEvent) => void;
  readonly isCancelled: () => boolean;
  /** Lets messages in, one of which may be to stop. */
  readonly pause: () => Promise<void>;
}

/**
 * Does a task in this process: reads the base, goes on from the folder's checkpoint if there is one, trains, and writes `adapter/` (PEFT) or
 * `model/` (Hugging Face) into the folder. A task that was finished finishes again with the same result.
 */
export async function trainTask(machine: Machine, task: TrainingTask, ports: TrainTaskPorts): Promise<Result<void>> {
  const { folder, options } = task;
  const why = unusable(options);
  if (why !== undefined) return refuse("invalid_request", why.message, { field: why.field });
  const base = await readLlamaFolder(task.base);
  if (!base.ok) return base;
  if (options.sequenceTokens > base.value.shape.contextTokens)
    return refuse("invalid_request", `The base reads at most ${base.value.shape.contextTokens} tokens.`, {
      field: "sequenceTokens",
    });
  const model = modelOf(base.value, options);
  const name = nameTask(task, base.value);
  const found = await readCheckpoint(folder, name, model.adapter?.tensors ?? model.weights);
  if (!found.ok) return found;
  const examples = await encodeAll(base.value.tokenizer, task.examples, ports);
  const heldOut = examples && (await encodeAll(base.value.tokenizer, task.heldOut, ports));
  if (examples === undefined || heldOut === undefined) {
    ports.onEvent({ type: "cancelled", step: found.value?.step ?? 0 });
    return ok(undefined);
  }
  const outcome = await runTraining(
    machine,
    {
      ...{ model, options, examples, heldOut },
      ...(task.stepShare === undefined ? {} : { stepShare: task.stepShare }),
      ...(found.value === undefined ? {} : { resume: found.value }),
    },
    {
      nowMs: ports.nowMs,
      onEvent: ports.onEvent,
      isCancelled: ports.isCancelled,
      async save(state) {
        const saved = await writeCheckpoint(folder, name, state);
        if (saved.ok) ports.onEvent({ type: "checkpoint", step: state.step, folder });
        return saved;
      },
    },
  );
  return outcome.ok ? finish(task, base.value, outcome.value, ports) : outcome;
}

/** Encoding so many characters takes some milliseconds. */
const CHARACTERS_BETWEEN_PAUSES = 16_384;

/** Undefined where it was cancelled meanwhile: a large file takes minutes. */
async function encodeAll(
  tokenizer: Tokenizer,
  examples: TrainingTask["examples"],
  { pause, isCancelled }: TrainTaskPorts,
): Promise<readonly EncodedExample[] | undefined> {
  const encoded: EncodedExample[] = [];
  let characters = 0;
  for (const example of examples) {
    encoded.push(encodeExample(tokenizer, example));
    characters += "text" in example ? example.text.length : lengthOf(example.messages);
    if (characters < CHARACTERS_BETWEEN_PAUSES) continue;
    characters = 0;
    await pause();
    if (isCancelled()) return undefined;
  }
  return encoded;
}

function lengthOf(messages: readonly { readonly content: string }[]): number {
  return messages.reduce((sum, { content }) => sum + content.length, 0);
}

async function finish(
  { folder, base: path, options }: TrainingTask,
  base: LlamaFolder,
  { values, state, reason, heldOutLoss }: TrainingOutcome,
  { onEvent }: TrainTaskPorts,
): Promise<Result<void>> {
  if (reason === "cancelled") {
    onEvent({ type: "cancelled", step: state.step });
    return ok(undefined);
  }
  const lora = options.adapter;
  const result = join(folder, lora === undefined ? "model" : "adapter");
  const written =
    lora === undefined
      ? await writeLlamaFolder(result, { chatTemplate: houseChatTemplate, ...base, tensors: values })
      : await writeAdapterFolder(
          result,
          { lora, tensors: values },
          { shape: base.shape, name: basename(resolve(path)) },
        );
  if (!written.ok) return written;
  onEvent({
    ...{ type: "finished", folder: result, hash: hashTensors(values), steps: state.step, reason },
    ...(heldOutLoss === undefined ? {} : { heldOutLoss }),
  });
  return ok(undefined);
}

function modelOf({ shape, tensors }: LlamaFolder, { adapter: lora, seed }: TrainingOptions): NeuralModel {
  if (lora === undefined) return { shape, weights: tensors };
  return { shape, weights: tensors, adapter: { lora, tensors: initialLora(shape, lora, seed) } };
}

/** A hash of what decides the result: a checkpoint goes on only where all of it is the same. */
function nameTask({ examples, heldOut, options, stepShare }: TrainingTask, { shape, tokenizer }: LlamaFolder): string {
  const sorted = (value: object): [string, unknown][] => Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const { adapter, ...rest } = options;
  const parts = [examples, heldOut, sorted(rest), adapter === undefined ? [] : sorted(adapter), sorted(shape)];
  if (stepShare !== undefined) parts.push([["stepShare", stepShare]]);
  return toHex(sha256(...parts.map((part) => utf8(`${JSON.stringify(part)}\n`)), tokenizer.hash)).slice(2);
}

const ranges: readonly (readonly [name: keyof TrainingOptions, min: number, max: number, isWhole: boolean])[] = [
  ["epochs", 1, 10_000, true],
  ["batchSize", 1, 65_536, true],
  ["sequenceTokens", 2, 1 << 20, true],
  ["learningRate", 0, 10, false],
  ["warmUp", 0, 1, false],
  ["weightDecay", 0, 10, false],
  ["gradientNormMax", 0, 1e9, false],
  ["seed", 0, Number.MAX_SAFE_INTEGER, true],
  ["patience", 0, 1e6, true],
  ["checkpointEvery", 1, 1e9, true],
];

function unusable(options: TrainingOptions): { readonly message: string; readonly field: string } | undefined {
  for (const [name, min, max, isWhole] of ranges) {
    const value = options[name];
    if (typeof value !== "number" || !(value >= min && value <= max) || (isWhole && !Number.isInteger(value)))
      return {
        message: `${name} is not ${isWhole ? "a whole number" : "a number"} from ${min} to ${max}.`,
        field: name,
      };
  }
  return undefined;
}
