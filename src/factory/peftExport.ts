import type { TrainingExample } from "../models/training/task.ts";
import type { Job } from "./job.ts";
import { peftScript } from "./peftScript.ts";
import type { Base } from "./ports.ts";
import { heldOutOf, type LoadedSource } from "./source.ts";

type Exported = Pick<Job, "id" | "options" | "source">;

export interface ExportFile {
  readonly name: string;
  readonly text: string;
}

const HELD_OUT_MAX = 1_000;
/** Versions that the script was written for. */
const REQUIREMENTS = "torch>=2.4\ntransformers>=4.45,<6\npeft>=0.13\ntokenizers>=0.20\nsafetensors>=0.4\n";

/** A job as a folder that a GPU machine runs with PEFT: its script, examples, options and what to do with them. The base lies beside it in `base/`. */
export function peftFiles(
  job: Exported,
  base: Pick<Base, "name" | "hash" | "licence">,
  source: LoadedSource,
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
    { name: "train.jsonl", text: jsonLines(source.train) },
    { name: "heldout.jsonl", text: jsonLines(heldOutOf(source, HELD_OUT_MAX)) },
    { name: "requirements.txt", text: REQUIREMENTS },
    { name: "README.md", text: readme(job, base, source) },
  ];
}

function jsonLines(examples: readonly TrainingExample[]): string {
  return examples.map((example) => `${JSON.stringify(example)}\n`).join("");
}

function readme(
  { id, options, source: from }: Exported,
  base: Pick<Base, "name" | "hash" | "licence">,
  source: LoadedSource,
): string {
  const held = source.heldOut.reduce((sum, { examples }) => sum + examples.length, 0);
  const datanets = from.kind === "datanets" ? from.datanets : [];
  return `# ${id}

A training for a GPU machine: a LoRA adapter of rank ${options.adapter?.rank ?? 0} for the base ${base.name}, on ${source.train.length} examples (${held} held out).

\`\`\`sh
pip install -r requirements.txt
python train.py            # or: python train.py /where/the/base/lies
\`\`\`

The base is in \`base/\` where it was exported with the job; its hash is ${base.hash}. The adapter comes out in \`adapter/\`. Back at the node,

\`\`\`sh
openledger model import-adapter ${id} adapter
\`\`\`

checks its files and sizes and makes it the job's result, with its hash. It is the same asset as if the node had trained it, and its card says that it was imported.
${datanets.length === 0 ? "" : "\nThe examples are other people's work:\n\n"}${datanets.map(({ name, version, licence }) => `- ${name}, version ${version}: ${licence}\n`).join("")}`;
}
