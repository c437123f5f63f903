import { existsSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { ok, unwrap } from "../../src/core/result.ts";
import { makeTokenizer, type Tokenizer } from "../../src/models/bpe.ts";
import { packSafetensors, parseSafetensors } from "../../src/models/formats/safetensors.ts";
import { houseTokenizer } from "../../src/models/houseTokenizerFile.ts";
import type { LlamaShape } from "../../src/models/llama.ts";
import type { LoraShape } from "../../src/models/lora.ts";
import type { Tensors } from "../../src/models/tensor.ts";
import { type EncodedExample, encodeExample } from "../../src/models/training/chatTemplate.ts";
import { initialLlama } from "../../src/models/training/initial.ts";
import type { Machine } from "../../src/models/training/neuralModel.ts";
import { randomOf, shuffled } from "../../src/models/training/random.ts";
import type { TrainingOptions } from "../../src/models/training/task.ts";
import { runTraining, type TrainingPorts } from "../../src/models/training/trainingRun.ts";
import { type FileForm, LdsMemory } from "./ldsMemory.ts";

/** A record of somebody's, as text and as tokens. */
export interface LdsRecord {
  readonly contributor: string;
  readonly title: string;
  readonly text: string;
  readonly example: EncodedExample;
}

export interface LdsTraining {
  readonly options: Omit<TrainingOptions, "seed" | "adapter"> & { readonly adapter: LoraShape };
  /** What judges a training while it runs, and is never trained on. */
  readonly heldOut: readonly EncodedExample[];
}

/** What attribution is measured on: real records of real contributors, others of theirs as queries, and a base that has seen neither. */
export interface LdsWorld {
  readonly machine: Machine;
  readonly tokenizer: Tokenizer;
  readonly shape: LlamaShape;
  readonly base: Tensors;
  readonly records: readonly LdsRecord[];
  readonly queries: readonly LdsRecord[];
  /** All records of the source, oldest first, whole. */
  readonly all: readonly { readonly contributor: string; readonly text: string }[];
  /** What was trained in this world before. */
  readonly memory: LdsMemory;
  /** How its adapters are trained. */
  readonly training: LdsTraining;
}

const VOCABULARY = 2_048;
const TOKENS_MAX = 64;
const CONTRIBUTORS = 40;
const RECORDS_EACH = 10;
const QUERIES_EACH = 2;
const DATA = "../shared/data/tldr.jsonl.gz";

const worldLora: LoraShape = {
  rank: 8,
  alpha: 16,
  dropout: 0,
  targets: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
};

const fineTuning: LdsTraining["options"] = {
  ...{ adapter: worldLora, epochs: 5, batchSize: 16, sequenceTokens: TOKENS_MAX, learningRate: 3e-3, warmUp: 0.05 },
  ...{ weightDecay: 0, gradientNormMax: 1, patience: 0, checkpointEvery: 1_000_000, fitsInfluence: false },
};

const worldShape: LlamaShape = {
  ...{ vocabulary: VOCABULARY, hidden: 64, intermediate: 192, layers: 2, heads: 4, keyValueHeads: 2, headSize: 16 },
  ...{ contextTokens: 128, ropeTheta: 10_000, normEpsilon: 1e-5, isTied: true },
};

/** Undefined, with a notice, where the data is not at hand. */
export async function makeWorld(machine: Machine): Promise<LdsWorld | undefined> {
  const tokenizer = smallTokenizer();
  const drawn = drawRecords((record) => recordOf(tokenizer, record));
  if (drawn === undefined) return undefined;
  const { source, records, queries, others } = drawn;
  const memory = worldMemory();
  const base = await pretrained(machine, memory, others);
  const training = { options: fineTuning, heldOut: [] };
  return { machine, memory, tokenizer, shape: worldShape, base, records, queries, all: source, training };
}

/** The same records and queries of the same contributors, however they are encoded. Undefined, with a notice, where the data is not at hand. */
export function drawRecords(encoded: (record: SourceRecord) => LdsRecord) {
  if (!existsSync(DATA)) {
    console.log(`${DATA} is absent: the benchmark of attribution is skipped`);
    return undefined;
  }
  const source = readSource();
  const all = source.map(encoded);
  const chosen = chooseContributors(all);
  const [records, queries]: [LdsRecord[], LdsRecord[]] = [[], []];
  const random = randomOf(20_261_124);
  for (const own of chosen.values()) {
    const mixed = Array.from(shuffled(own.length, random), (i) => own[i]!);
    records.push(...mixed.slice(0, RECORDS_EACH));
    queries.push(...mixed.slice(RECORDS_EACH, RECORDS_EACH + QUERIES_EACH));
  }
  const others = all.filter(({ contributor }) => !chosen.has(contributor));
  return { source, records, queries, others };
}

export function worldMemory(): LdsMemory {
  return new LdsMemory(join(tmpdir(), "openledger-attribution-bench"));
}

/** The first tokens of the house's: its merges are in the order in which they were learnt, so the beginning is a tokenizer of its own. */
function smallTokenizer(): Tokenizer {
  const house = houseTokenizer();
  const bytes = house.bytes.slice(0, VOCABULARY);
  const known = new Set(bytes.map((token) => Buffer.from(token).toString("latin1")));
  const merges = house.merges.filter(([left, right]) => {
    if (left >= VOCABULARY || right >= VOCABULARY) return false;
    return known.has(Buffer.concat([house.bytes[left]!, house.bytes[right]!]).toString("latin1"));
  });
  return makeTokenizer(bytes, merges);
}

export interface SourceRecord {
  readonly id: string;
  readonly contributor: string;
  readonly title: string;
  readonly text: string;
}

function readSource(): SourceRecord[] {
  const lines = gunzipSync(readFileSync(DATA)).toString("utf8").trim().split("\n");
  return lines.map((line) => {
    const { authors, ...record } = JSON.parse(line) as Omit<SourceRecord, "contributor"> & { authors: string[] };
    return { ...record, contributor: authors[0] ?? "unknown" };
  });
}

/** A record as it is learnt: its first {@link TOKENS_MAX} tokens. Its text is what is left of them, so that every method reads the same. */
export function recordOf(tokenizer: Tokenizer, { id, contributor, title, text }: SourceRecord): LdsRecord {
  const whole = encodeExample(tokenizer, { record: id, text });
  const tokens = whole.tokens.slice(0, TOKENS_MAX);
  const seen = Buffer.concat(Array.from(tokens, (token) => tokenizer.bytes[token]!)).toString("utf8");
  const example = { record: id, tokens, isTarget: whole.isTarget.slice(0, TOKENS_MAX) };
  return { contributor, title, text: seen, example };
}

/** Contributors in the middle of the field: enough records for training and queries, and none who wrote hundreds. */
function chooseContributors(all: readonly LdsRecord[]): ReadonlyMap<string, readonly LdsRecord[]> {
  const byContributor = new Map<string, LdsRecord[]>();
  for (const record of all) {
    const own = byContributor.get(record.contributor);
    if (own === undefined) byContributor.set(record.contributor, [record]);
    else own.push(record);
  }
  const enough = [...byContributor].filter(([, own]) => own.length >= RECORDS_EACH + QUERIES_EACH);
  const least = enough.toSorted(([a, x], [b, y]) => x.length - y.length || (a < b ? -1 : 1));
  return new Map(least.slice(0, CONTRIBUTORS));
}

const pretraining = {
  ...{ epochs: 3, batchSize: 16, sequenceTokens: TOKENS_MAX, learningRate: 4e-3, warmUp: 0.05, weightDecay: 0.1 },
  ...{ gradientNormMax: 1, seed: 1, patience: 0, checkpointEvery: 1_000_000, fitsInfluence: false },
};
const PRETRAINING_RECORDS = 5_000;

function pretrained(machine: Machine, memory: LdsMemory, others: readonly LdsRecord[]): Promise<Tensors> {
  const examples = others.slice(-PRETRAINING_RECORDS).map(({ example }) => example);
  const from = [JSON.stringify([worldShape, pretraining, machine.runtime.version]), tokensOf(examples)];
  return memory.recall(from, tensorsFile, async () => {
    const input = { model: { shape: worldShape, weights: initialLlama(worldShape, 1) }, examples, heldOut: [] };
    return unwrap(await runTraining(machine, { ...input, options: pretraining }, silentPorts)).values;
  });
}

/** Names examples by all that training reads of them. */
export function tokensOf(examples: readonly EncodedExample[]): string {
  return examples.map(({ tokens, isTarget }) => `${tokens.join()} ${isTarget.join("")}`).join("\n");
}

export const tensorsFile: FileForm<Tensors> = {
  extension: "safetensors",
  read(bytes) {
    const parsed = parseSafetensors(bytes);
    return parsed.ok ? parsed.value.tensors : undefined;
  },
  write: (tensors) => packSafetensors(tensors),
};

export const silentPorts: TrainingPorts = {
  nowMs: () => performance.now(),
  onEvent: () => {},
  save: async () => ok(undefined),
  isCancelled: () => false,
};
