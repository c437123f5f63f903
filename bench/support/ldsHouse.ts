import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ekfac } from "../../src/attribution/influence/kronecker.ts";
import { unwrap } from "../../src/core/result.ts";
import type { Evaluator } from "../../src/factory/evaluator.ts";
import { splitHeldOut } from "../../src/factory/examples.ts";
import { fitInfluence, influenceScores } from "../../src/factory/influence.ts";
import { resolveOptions } from "../../src/factory/options.ts";
import { HELD_OUT_SHARE_DEFAULT } from "../../src/factory/order.ts";
import { readLlamaFolder } from "../../src/models/formats/huggingFaceFile.ts";
import { writeAdapterFolder } from "../../src/models/formats/peftFile.ts";
import { houseModelFolder } from "../../src/models/houseModelFile.ts";
import type { Tensors } from "../../src/models/tensor.ts";
import { encodeExample } from "../../src/models/training/chatTemplate.ts";
import { FolderEvaluator } from "../../src/models/training/evaluatorFile.ts";
import type { Machine } from "../../src/models/training/neuralModel.ts";
import { hashTensors } from "../../src/models/training/trainingRun.ts";
import { readHouseCorpus } from "./houseCorpus.ts";
import { numbersFile } from "./ldsMemory.ts";
import type { Scores } from "./ldsMethods.ts";
import { fineTune, trainingNamed } from "./ldsTraining.ts";
import { drawRecords, type LdsRecord, type LdsWorld, tokensOf, worldMemory } from "./ldsWorld.ts";

/** The house model, and whole pages of the same contributors: a training is what `openledger model train house` makes of a datanet of their 400 records, a tenth of which it holds out. */
export async function makeHouseWorld(machine: Machine): Promise<LdsWorld | undefined> {
  const { shape, tokenizer, tensors: base } = unwrap(await readLlamaFolder(houseModelFolder()));
  const drawn = drawRecords(({ id, contributor, title, text }) => ({
    ...{ contributor, title, text },
    example: encodeExample(tokenizer, { record: id, text }),
  }));
  if (drawn === undefined) return undefined;
  const { source, queries } = drawn;
  const isTrained = new Set(splitHeldOut(drawn.records.map(exampleOf), HELD_OUT_SHARE_DEFAULT).train.map(idOf));
  const records = drawn.records.filter(({ example }) => isTrained.has(example.record));
  const heldOut = drawn.records.flatMap(({ example }) => (isTrained.has(example.record) ? [] : [example]));
  const tokens = records.reduce((sum, { example }) => sum + example.tokens.length, 0);
  const { adapter, ...options } = unwrap(resolveOptions({}, shape, tokens));
  const training = { options: { ...options, adapter: adapter! }, heldOut };
  return { ...{ machine, tokenizer, shape, base, records, queries, all: source, training }, memory: worldMemory() };
}

/** How many of the records and of the queries the house model was itself trained on. */
export function knownToHouse({ records, queries }: LdsWorld) {
  const known = new Set(readHouseCorpus()?.examples.map(idOf));
  const count = (some: readonly LdsRecord[]): number => some.filter(({ example }) => known.has(example.record)).length;
  return { records: count(records), queries: count(queries) };
}

/** What a node finds of an adapter: by its own factors, at both ends of the training, as small as it keeps them. */
export async function nodeScores(world: LdsWorld, seed: number): Promise<Scores> {
  const [records, queries] = [world.records, world.queries].map((some) => some.map(({ example }) => example));
  const from = [
    ...trainingNamed(world, records!, seed, {}),
    "a node's scores",
    String(ekfac().version),
    tokensOf(queries!),
  ];
  const flat = await world.memory.recall(from, numbersFile, async () => {
    const found = await measuredScores(world, await fineTune(world, records!, seed));
    return found.flatMap((scores) => [...scores]);
  });
  return queries!.map((_query, q) => Float64Array.from(flat.slice(q * records!.length, (q + 1) * records!.length)));
}

/** Scores of windows are summed by record. */
async function measuredScores(world: LdsWorld, tensors: Tensors): Promise<Scores> {
  const { machine, shape, records, queries, training } = world;
  const folder = await mkdtemp(join(tmpdir(), "openledger-house-adapter-"));
  const measuring = new FolderEvaluator(machine);
  try {
    unwrap(await writeAdapterFolder(folder, { lora: training.options.adapter, tensors }, { shape, name: "house" }));
    const place = {
      ...{ base: houseModelFolder(), adapter: folder, sequenceTokens: training.options.sequenceTokens },
    };
    const ports = { evaluator: evaluatorOf(measuring), pause: () => Promise.resolve() };
    const { signal } = new AbortController();
    const task = { ...place, adapterHash: hashTensors(tensors), examples: records.map(exampleOf) };
    const { members } = unwrap(await fitInfluence(ports, task, signal));
    const found = unwrap(await influenceScores(ports, members, place, queries.map(exampleOf), signal));
    const places = new Map(records.map(({ example }, place) => [example.record, place]));
    const owners = members[0]!.records.map((record) => places.get(record)!);
    return found.map((scores) => {
      const sums = new Float64Array(records.length);
      for (const [window, owner] of owners.entries()) sums[owner] = sums[owner]! + (scores?.[window] ?? 0);
      return sums;
    });
  } finally {
    await measuring.close();
    await rm(folder, { recursive: true });
  }
}

/** In this process: nobody cancels. */
function evaluatorOf(measuring: FolderEvaluator): Evaluator {
  const never = (): boolean => false;
  return {
    losses: (task) => measuring.losses(task, never),
    gradients: (task, onExample) => measuring.gradients(task, async (one) => onExample(one), never),
    curvature: (task) => measuring.curvature(task, never),
  };
}

function exampleOf({ text, example }: LdsRecord) {
  return { record: example.record, text };
}

function idOf({ record }: { readonly record: string }): string {
  return record;
}
