import { existsSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { z } from "zod";
import { toHex, utf8 } from "../../src/core/bytes.ts";
import { keccak256, sha256 } from "../../src/core/hash.ts";
import type { TrainingExample } from "../../src/models/training/task.ts";

const recordSchema = z.object({
  ...{ id: z.string(), title: z.string(), text: z.string(), license: z.string(), source: z.string() },
  authors: z.array(z.string()),
});
type HouseRecord = z.infer<typeof recordSchema>;

/** What the house model learns from: records under CC0 or CC-BY, and what became of them. */
export interface HouseCorpus {
  readonly sources: readonly {
    readonly name: string;
    readonly licence: string;
    readonly records: number;
    readonly contributors: number;
    /** Where the records come from. */
    readonly source: string;
    /** sha256 over the records' ids, one a line. */
    readonly hash: string;
  }[];
  readonly examples: readonly TrainingExample[];
  /** One record in 50, by the hash of its id: never trained on. */
  readonly heldOut: readonly TrainingExample[];
}

const sources = { tldr: "tldr-pages/tldr", eips: "ethereum/EIPs", prompts: "f/awesome-chatgpt-prompts" } as const;
const HELD_OUT_OF = 50;

/** Undefined, with a notice, where the records are not on this machine. */
export function readHouseCorpus(): HouseCorpus | undefined {
  const read = Object.entries(sources).map(([name, repository]) => ({
    ...{ name, source: `https://github.com/${repository}`, path: `../shared/data/${name}.jsonl.gz` },
  }));
  const absent = read.filter(({ path }) => !existsSync(path));
  if (absent.length > 0) {
    console.log(`absent, so there is nothing to train on: ${absent.map(({ path }) => path).join(", ")}`);
    return undefined;
  }
  const all = read.map(({ name, source, path }) => ({ name, source, records: parse(path) }));
  const examples = all.flatMap(({ name, records }) => records.map((record) => exampleOf(name, record)));
  return {
    sources: all.map(({ name, source, records }) => ({
      ...{ name, records: records.length, licence: [...new Set(records.map(({ license }) => license))].join(" AND ") },
      ...{ source, hash: toHex(sha256(utf8(records.map(({ id }) => `${id}\n`).join("")))) },
      contributors: new Set(records.flatMap(({ authors }) => authors)).size,
    })),
    examples: examples.filter(({ record }) => !isHeldOut(record)),
    heldOut: examples.filter(({ record }) => isHeldOut(record)),
  };
}

function parse(path: string): HouseRecord[] {
  const lines = gunzipSync(readFileSync(path)).toString("utf8").trim().split("\n");
  return lines.map((line) => recordSchema.parse(JSON.parse(line)));
}

/** Half of the manual pages are asked for, so that the base has seen the template of a conversation; all else is read as it is. */
function exampleOf(source: string, { id, title, text }: HouseRecord): TrainingExample {
  if (source !== "tldr" || hashOf(`chat ${id}`) % 2 === 0) return { record: id, text };
  return {
    record: id,
    messages: [
      { role: "user", content: `How do I use ${title}?` },
      { role: "assistant", content: text },
    ],
  };
}

function isHeldOut(id: string): boolean {
  return hashOf(id) % HELD_OUT_OF === 0;
}

function hashOf(text: string): number {
  const [a = 0, b = 0, c = 0] = keccak256(utf8(text));
  return (a << 16) | (b << 8) | c;
}
