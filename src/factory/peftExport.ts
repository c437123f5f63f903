import { field, parseJson } from "../models/formats/json.ts";
import type { EncodedExample } from "../models/training/chatTemplate.ts";
import { planEpoch, windowsOf } from "../models/training/packing.ts";
import type { TrainingExample, TrainingOptions } from "../models/training/task.ts";
import { sourceSections } from "./card.ts";
import { HELD_OUT_MEASURED_MAX } from "./examples.ts";
import type { Job } from "./job.ts";
import type { BaseFacts, DatanetFacts } from "./modelFacts.ts";
import { peftScript } from "./peftScript.ts";
import { heldOutOf, type LoadedSource } from "./source.ts";

type Exported = Pick<Job, "id" | "options" | "source">;

export interface ExportFile {
  readonly name: string;
  readonly text: string;
}

/** What a job learns from and stands on, with everybody who contributed. */
export interface JobSources {
  readonly base: BaseFacts;
  readonly datanets: readonly DatanetFacts[];
}

/** Of base and datanets: where an adapter comes from, which travels with it. */
export const PROVENANCE_FILE = "openledger.json";
/** Versions that the script was written for. */
const REQUIREMENTS = "torch>=2.4\ntransformers>=4.45,<6\npeft>=0.13\ntokenizers>=0.20\nsafetensors>=0.4\n";

/**
 * A job as a folder that a GPU machine runs with PEFT: its script, examples, steps and options, what it is made from, and what to do with it. The base lies beside it in `base/`, the adapter's first values
 * in `start/`. `train` are the source's own, encoded.
 */
export function peftFiles(
  job: Exported,
  { base, datanets }: JobSources,
  source: LoadedSource,
  train: readonly EncodedExample[],
): readonly ExportFile[] {
  const config = {
    job: job.id,
    base: { name: base.name, hash: base.hash, licence: base.licence },
    options: job.options,
    ...(job.source.kind === "datanets" ? { datanets: job.source.datanets } : {}),
  };
  return [
    { name: "train.py", text: peftScript },
    { name: "config.json", text: `${JSON.stringify(config, undefined, 2)}\n` },
    { name: PROVENANCE_FILE, text: provenanceText(job, { base, datanets }) },
    { name: "train.jsonl", text: jsonLines(source.train) },
    { name: "heldout.jsonl", text: jsonLines(heldOutOf(source, HELD_OUT_MEASURED_MAX)) },
    { name: "plan.jsonl", text: jsonLines(stepsOf(train, job.options)) },
    { name: "requirements.txt", text: REQUIREMENTS },
    { name: "README.md", text: readme(job, { base, datanets }, source) },
  ];
}

/** What our trainer would learn at each step, as numbers of windows in the order of the examples. */
export function stepsOf(train: readonly EncodedExample[], options: TrainingOptions): readonly (readonly number[])[] {
  const windows = train.flatMap((example) => windowsOf(example, options.sequenceTokens));
  const numberOf = new Map(windows.map((window, number) => [window, number]));
  return Array.from({ length: options.epochs }, (_unused, epoch) => planEpoch(windows, options, epoch)).flatMap(
    (steps) => steps.map((sequences) => sequences.flat().map((window) => numberOf.get(window)!)),
  );
}

/** Why an adapter is not this job's, by what lies beside it; undefined where that is the job's. */
export function differsFrom(job: Pick<Job, "id" | "base" | "source">, provenance: Uint8Array): string | undefined {
  const read = parseJson(new TextDecoder().decode(provenance));
  const [id, base, datanets] = [field(read, "job"), field(field(read, "base"), "hash"), field(read, "datanets")];
  if (id !== job.id) return `it was trained for ${typeof id === "string" ? id.slice(0, 40) : "no job that is named"}`;
  if (base !== job.base.hash) return "it was trained on another base";
  const wanted = job.source.kind === "datanets" ? job.source.datanets.map((one) => one.id) : [];
  const found = Array.isArray(datanets) ? datanets.map((one) => field(one, "id")) : [];
  return found.join() === wanted.join() ? undefined : "it was trained on other datanet versions";
}

function provenanceText({ id, source }: Exported, { base, datanets }: JobSources): string {
  const { shape: _shape, figures: _figures, ...stated } = base;
  const provenance = {
    job: id,
    base: stated,
    datanets,
    ...(source.kind === "file" ? { file: source.file } : {}),
    // As the adapter's asset has them once it is served.
    parents: [
      { kind: "base", name: base.name, asset: base.asset ?? null, weight: Math.max(1, datanets.length) },
      ...datanets.map(({ name, version, asset = null }) => ({ kind: "datanet", name, version, asset, weight: 1 })),
    ],
  };
  return `${JSON.stringify(provenance, undefined, 2)}\n`;
}

function jsonLines(rows: readonly (TrainingExample | readonly number[])[]): string {
  return rows.map((row) => `${JSON.stringify(row)}\n`).join("");
}

function readme({ id, options }: Exported, { base, datanets }: JobSources, source: LoadedSource): string {
  const held = source.heldOut.reduce((sum, { examples }) => sum + examples.length, 0);
  const parts = [
    `# ${id}`,
    `A training for a GPU machine: a LoRA adapter of rank ${options.adapter?.rank ?? 0} for the base ${base.name}, on ${source.train.length} examples (${held} held out).`,
    "```sh\npip install -r requirements.txt\npython train.py            # or: python train.py /where/the/base/lies\n```",
    `The base is in \`base/\` where it was exported with the job; its hash is ${base.hash}. Steps, their examples and the adapter's first values are those of the node's own training; it ends as that would. The adapter comes out in \`adapter/\`. Back at the node,`,
    `\`\`\`sh\nopenledger model import-adapter ${id} adapter\n\`\`\``,
    `checks its files and sizes, and that the \`${PROVENANCE_FILE}\` beside them is this job's, and makes it the job's result, with its hash. It is the same asset as if the node had trained it, with the same parents, and its card says that it was imported.`,
    ...(datanets.length === 0
      ? []
      : [`The examples are other people's work. \`${PROVENANCE_FILE}\` names all of them.`]),
    ...sourceSections({ base, datanets }),
  ];
  return `${parts.join("\n\n")}\n`;
}
