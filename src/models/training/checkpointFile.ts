import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { ok, type Refusal, type Result, refuse } from "../../core/result.ts";
import { checkTensors } from "../formats/huggingFace.ts";
import { field, isWhole, parseJson } from "../formats/json.ts";
import { readSafetensorsFile, writeSafetensorsFile } from "../formats/safetensorsFile.ts";
import type { Tensor, Tensors } from "../tensor.ts";
import type { TrainingState } from "./trainingRun.ts";

/** In the task's folder: one safetensors file with what is learnt, the optimiser's moments and, in its metadata, the counters. */
const FILE = "checkpoint.safetensors";
const VERSION = 1;

/** Replaces the folder's checkpoint, whole or not at all. `task` names what is being trained; another task does not go on from it. */
export function writeCheckpoint(folder: string, task: string, state: TrainingState): Promise<Result<void>> {
  const { step, worse, best, heldOutLoss } = state;
  const tensors = new Map([
    ...named("values", state.values),
    ...named("means", state.means),
    ...named("squares", state.squares),
    ...named("best", best?.values ?? new Map()),
  ]);
  // JSON writes a number so that the same number is read back.
  const counters = { version: VERSION, task, step, worse, heldOutLoss, bestLoss: best?.loss, bestStep: best?.step };
  return writeSafetensorsFile(join(folder, FILE), tensors, { metadata: { training: JSON.stringify(counters) } });
}

/** The folder's checkpoint of what is `learnt`; undefined where there is none. Refuses `conflict` if it is another task's. */
export async function readCheckpoint(
  folder: string,
  task: string,
  learnt: Tensors,
): Promise<Result<TrainingState | undefined>> {
  const path = join(folder, FILE);
  if (!existsSync(path)) return ok(undefined);
  const file = await readSafetensorsFile(path);
  if (!file.ok) return file;
  const counters = parseJson(file.value.metadata["training"] ?? "");
  const [step, worse] = [field(counters, "step"), field(counters, "worse")];
  if (field(counters, "version") !== VERSION || !isWhole(step) || !isWhole(worse)) return damaged(path);
  if (field(counters, "task") !== task)
    return refuse("conflict", `${path} belongs to another training.`, {
      hint: "Give each training a folder of its own, or delete the checkpoint.",
    });
  const shapes = new Map([...learnt].map(([name, { shape }]) => [name, shape]));
  const part = (prefix: string): Tensors => unnamed(prefix, file.value.tensors);
  const [values, means, squares, bestValues] = [part("values"), part("means"), part("squares"), part("best")];
  const isWholePart = (part: Tensors): boolean => checkTensors(shapes, part).ok;
  if (![values, means, squares].every(isWholePart) || (bestValues.size > 0 && !isWholePart(bestValues)))
    return damaged(path);
  const best = bestOf(counters, bestValues);
  const heldOutLoss = field(counters, "heldOutLoss");
  return ok({
    ...{ step, worse, values, means, squares },
    ...(best === undefined ? {} : { best }),
    ...(typeof heldOutLoss === "number" ? { heldOutLoss } : {}),
  });
}

/**
 * What was learnt by `step`, whoever's checkpoint it is. Refuses `conflict` where the folder has another step's by now: a training that goes on replaces its
 * checkpoint.
 */
export async function readCheckpointValues(folder: string, step: number): Promise<Result<Tensors>> {
  const path = join(folder, FILE);
  const file = await readSafetensorsFile(path, (name) => name.startsWith("values/"));
  if (!file.ok) return file;
  const counters = parseJson(file.value.metadata["training"] ?? "");
  if (field(counters, "version") !== VERSION) return damaged(path);
  if (field(counters, "step") !== step)
    return refuse("conflict", `The checkpoint of step ${step} has been replaced already.`);
  return ok(unnamed("values", file.value.tensors));
}

/** Leaves a folder without its checkpoint: the training in it cannot go on, its result stays. */
export function dropCheckpoint(folder: string): Promise<void> {
  return rm(join(folder, FILE), { force: true });
}

function bestOf(counters: unknown, values: Tensors): TrainingState["best"] {
  const [loss, step] = [field(counters, "bestLoss"), field(counters, "bestStep")];
  if (typeof loss !== "number" || typeof step !== "number") return undefined;
  return values.size === 0 ? { loss, step } : { loss, step, values };
}

function named(prefix: string, tensors: Tensors): [string, Tensor][] {
  return [...tensors].map(([name, tensor]) => [`${prefix}/${name}`, tensor]);
}

function unnamed(prefix: string, tensors: Tensors): Tensors {
  return new Map(
    [...tensors]
      .filter(([name]) => name.startsWith(`${prefix}/`))
      .map(([name, tensor]) => [name.slice(prefix.length + 1), tensor]),
  );
}

function damaged(path: string): { readonly ok: false; readonly error: Refusal } {
  return refuse("data_folder_damaged", `${path} is no checkpoint that this version wrote.`, {
    hint: "Delete it to begin again.",
  });
}
