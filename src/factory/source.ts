import { assert, ok, type Result, refuse } from "../core/result.ts";
import type { TrainingExample } from "../models/training/task.ts";
import { exampleOf, splitHeldOut } from "./examples.ts";
import type { DatanetRef, TrainingSource } from "./job.ts";
import type { FactoryPorts } from "./ports.ts";
import { parseTrainingFile } from "./trainingFile.ts";

/** A source as examples. */
export interface LoadedSource {
  readonly train: readonly TrainingExample[];
  /** What was held out of each datanet, or of the file. */
  readonly heldOut: readonly HeldOut[];
}

export interface HeldOut {
  readonly name: string;
  readonly version?: number;
  readonly examples: readonly TrainingExample[];
}

export const DATANETS_MAX = 8;

interface SourcePorts extends Pick<FactoryPorts, "datanets" | "pause"> {
  readonly store: Pick<FactoryPorts["store"], "fileContent">;
}

/** The same source gives the same examples, today and after a restart: versions and files never change. */
export async function loadSource(
  ports: SourcePorts,
  source: TrainingSource,
  heldOutShare: number,
): Promise<Result<LoadedSource>> {
  const loaded =
    source.kind === "file"
      ? await loadFiles(ports, source, heldOutShare)
      : await loadDatanets(ports, source.datanets, heldOutShare);
  if (!loaded.ok || loaded.value.train.length > 0) return loaded;
  return refuse("invalid_request", "nothing is left to learn from", {
    hint: heldOutShare > 0 ? "hold out less, or add records" : "add records",
    field: "held_out_share",
  });
}

/** Held-out examples of all parts in one order, of which the first n are a fair sample. */
export function heldOutOf({ heldOut }: LoadedSource, most: number): readonly TrainingExample[] {
  const chosen: TrainingExample[] = [];
  for (let at = 0; chosen.length < most; at++) {
    const row = heldOut.flatMap(({ examples }) => examples[at] ?? []);
    if (row.length === 0) break;
    chosen.push(...row.slice(0, most - chosen.length));
  }
  return chosen;
}

async function loadDatanets(
  { datanets, pause }: Pick<FactoryPorts, "datanets" | "pause">,
  refs: readonly DatanetRef[],
  share: number,
): Promise<Result<LoadedSource>> {
  assert(refs.length <= DATANETS_MAX, "a job has few datanets");
  const [train, heldOut, seen] = [[] as TrainingExample[], [] as HeldOut[], new Set<string>()];
  for (const { name, version } of refs) {
    const examples: TrainingExample[] = [];
    for (const record of await datanets.versionRecords(name, version)) {
      // The same record in two datanets is learnt once.
      if (seen.has(record.id)) continue;
      seen.add(record.id);
      examples.push(exampleOf(record));
    }
    const split = splitHeldOut(examples, share);
    train.push(...split.train);
    heldOut.push({ name, version, examples: split.heldOut });
    await pause();
  }
  return ok({ train, heldOut });
}

async function loadFiles(
  { store, pause }: Pick<SourcePorts, "store" | "pause">,
  { file, validation }: Extract<TrainingSource, { kind: "file" }>,
  share: number,
): Promise<Result<LoadedSource>> {
  const read = async (id: string): Promise<Result<readonly TrainingExample[]>> => {
    const content = await store.fileContent(id);
    return content === undefined
      ? refuse("not_found", `the file ${id} was deleted`)
      : parseTrainingFile(content, pause);
  };
  const examples = await read(file);
  if (!examples.ok) return examples;
  if (validation !== undefined) {
    const measured = await read(validation);
    if (!measured.ok) return measured;
    return ok({ train: examples.value, heldOut: [{ name: validation, examples: measured.value }] });
  }
  const split = splitHeldOut(examples.value, share);
  return ok({ train: split.train, heldOut: [{ name: file, examples: split.heldOut }] });
}
