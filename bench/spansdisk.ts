import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gunzipSync } from "node:zlib";
import { unwrap } from "../src/core/result.ts";
import { encode } from "../src/models/bpe.ts";
import { indexTokens } from "../src/models/corpusIndex.ts";
import { saveShard } from "../src/models/diskIndexFile.ts";
import { houseTokenizer } from "../src/models/houseTokenizerFile.ts";
import { SHARD_TOKENS_MAX } from "../src/models/shardSet.ts";
import { makeMemoryGroup } from "./support/memoryGroup.ts";

const OUTPUT_TOKENS = 500;
const PLANTED_TOKENS = 40;
const PIECES_PER_OUTPUT = Math.ceil(OUTPUT_TOKENS / PLANTED_TOKENS);
const MEMORY_MAX = 2 ** 30;
const DISK_BYTES_PER_TOKEN = 10.5;

/**
 * Maximal spans against a corpus larger than the memory of the process that asks: `--tokens` (20 million unless told) in shards of `--shard`, asked by
 * a child that is held to one GiB, its pages of the files included. `--folder` keeps the shards; with `--minutes` no shard is begun later than that, and another
 * run with the same folder goes on where this one stopped.
 */
export async function run(): Promise<void> {
  const { values } = parseArgs({
    args: process.argv.slice(3),
    options: {
      tokens: { type: "string", default: "20000000" },
      shard: { type: "string", default: String(SHARD_TOKENS_MAX) },
      outputs: { type: "string", default: "200" },
      minutes: { type: "string", default: "600" },
      folder: { type: "string" },
    },
  });
  const texts = readTexts();
  if (texts.length === 0) {
    console.log("no data to repeat: the benchmark is skipped");
    console.log("{}");
    return;
  }
  const folder = values.folder ?? mkdtempSync(join(tmpdir(), "openledger-spansdisk-"));
  mkdirSync(folder, { recursive: true });
  try {
    const sizes = { tokens: Number(values.tokens), shardTokens: Number(values.shard), outputs: Number(values.outputs) };
    const shards = build(folder, texts, sizes, performance.now() + 60_000 * Number(values.minutes));
    const made = shards.reduce((sum, shard) => sum + shard.tokens, 0);
    if (made < sizes.tokens) {
      console.log(`${made} of ${sizes.tokens} tokens are there: run it again with the same folder`);
      console.log(JSON.stringify({ tokens: made, isWhole: false }));
      return;
    }
    const plan: Plan = { shards: shards.map(({ path }) => path), outputs: outputsOf(shards, sizes.outputs) };
    writeFileSync(join(folder, "plan.json"), JSON.stringify(plan));
    const figures = { ...figuresOf(shards, made), ...ask(folder) };
    console.table(figures);
    console.log(JSON.stringify(figures));
  } finally {
    if (values.folder === undefined) rmSync(folder, { recursive: true });
  }
}

/** What the child reads: the shards' files, and outputs with where something was planted in them. */
export interface Plan {
  readonly shards: readonly string[];
  readonly outputs: readonly PlantedOutput[];
}

export interface PlantedOutput {
  readonly tokens: readonly number[];
  readonly planted: readonly (readonly [from: number, until: number])[];
}

/** A shard that is on disk, with what it cost, and stretches of its text. */
interface MadeShard {
  readonly path: string;
  readonly tokens: number;
  readonly records: number;
  readonly bytes: number;
  readonly sortSeconds: number;
  readonly saveSeconds: number;
  readonly cpuSeconds: number;
  readonly peakMB: number;
  readonly pieces: readonly (readonly number[])[];
}

/** Makes the shards that are not there yet; which text a shard has depends on its number alone. */
function build(
  folder: string,
  texts: readonly Uint16Array[],
  sizes: { readonly tokens: number; readonly shardTokens: number; readonly outputs: number },
  deadline: number,
): readonly MadeShard[] {
  const progress = join(folder, "shards.json");
  const shards: MadeShard[] = existsSync(progress) ? JSON.parse(readFileSync(progress, "utf8")) : [];
  let made = shards.reduce((sum, { tokens }) => sum + tokens, 0);
  const needed = (sizes.tokens - made) * DISK_BYTES_PER_TOKEN;
  const { bavail, bsize } = statfsSync(folder);
  if (bavail * bsize < 1.2 * needed)
    throw new Error(`${folder} has less than ${Math.ceil((1.2 * needed) / 1e9)} GB free`);
  while (made < sizes.tokens && performance.now() < deadline) {
    const shard = makeShard(
      folder,
      texts,
      shards.length,
      Math.min(sizes.shardTokens, sizes.tokens - made),
      sizes.outputs,
    );
    shards.push(shard);
    made += shard.tokens;
    writeFileSync(progress, JSON.stringify(shards));
    console.log(`${shards.length} shards, ${made} tokens`);
  }
  return shards;
}

function makeShard(
  folder: string,
  texts: readonly Uint16Array[],
  number: number,
  size: number,
  outputCount: number,
): MadeShard {
  const random = seeded(20_261_121 + number);
  const chosen = takeTokens(mutated(texts, random), size);
  const ids = new Uint8Array(32 * chosen.length);
  const view = new DataView(ids.buffer);
  chosen.forEach((_, i) => {
    view.setUint32(32 * i, number);
    view.setUint32(32 * i + 4, i);
  });
  const cpu = process.cpuUsage();
  let at = performance.now();
  const index = indexTokens(houseTokenizer(), chosen, ids);
  const sortSeconds = (performance.now() - at) / 1_000;
  at = performance.now();
  const path = join(folder, `shard-${number}`);
  unwrap(saveShard(path, index));
  const saveSeconds = (performance.now() - at) / 1_000;
  const used = process.cpuUsage(cpu);
  return {
    ...{ path, tokens: index.tokens.length, records: chosen.length, bytes: statSync(path).size },
    ...{ sortSeconds, saveSeconds, cpuSeconds: (used.user + used.system) / 1e6 },
    peakMB: Math.round(process.resourceUsage().maxRSS / 1_024),
    pieces: Array.from({ length: outputCount * PIECES_PER_OUTPUT }, () => [...stretch(chosen, random)]),
  };
}

function figuresOf(shards: readonly MadeShard[], tokens: number): Readonly<Record<string, number>> {
  const sum = (of: (shard: MadeShard) => number): number => shards.reduce((total, shard) => total + of(shard), 0);
  const buildSeconds = sum(({ sortSeconds, saveSeconds }) => sortSeconds + saveSeconds);
  return {
    tokens,
    records: sum(({ records }) => records),
    shards: shards.length,
    diskBytesPerToken: round(sum(({ bytes }) => bytes) / tokens),
    buildSeconds: Math.round(buildSeconds),
    sortTokensPerSecond: Math.round(tokens / sum(({ sortSeconds }) => sortSeconds)),
    buildTokensPerSecond: Math.round(tokens / buildSeconds),
    buildTokensPerCpuSecond: Math.round(tokens / sum(({ cpuSeconds }) => cpuSeconds)),
    buildPeakMB: Math.max(...shards.map(({ peakMB }) => peakMB)),
  };
}

/** Asks in a process of its own, held to {@link MEMORY_MAX}: by a control group where one may be made, else by the child dropping pages itself. */
function ask(folder: string): Readonly<Record<string, unknown>> {
  const here = fileURLToPath(import.meta.url);
  const child = join(here, "..", "support", `spansQueries${here.endsWith(".ts") ? ".ts" : ".js"}`);
  const group = makeMemoryGroup(MEMORY_MAX);
  const ownLimit = String(group === undefined ? MEMORY_MAX : 0);
  const node = [process.execPath, "--max-old-space-size=192", "--expose-gc"];
  const command = [...node, child, join(folder, "plan.json"), ownLimit];
  try {
    const [program = "", ...args] = group?.inside(command) ?? command;
    const { status, stdout } = spawnSync(program, args, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
      maxBuffer: 2 ** 24,
    });
    if (status !== 0) throw new Error(`the child that asks ended with ${status}`);
    const peak = group === undefined ? {} : { groupPeakMB: Math.round(group.peakBytes() / 2 ** 20) };
    return { limitedBy: group?.name ?? "own page drops", ...JSON.parse(stdout), ...peak };
  } finally {
    group?.remove();
  }
}

function outputsOf(shards: readonly MadeShard[], count: number): PlantedOutput[] {
  const pieces = shards.map((shard) => shard.pieces.slice());
  const random = seeded(count);
  return Array.from({ length: count }, () => makeOutput(pieces, houseTokenizer().bytes.length, random));
}

/** Half planted stretches of the corpus, half stretches with every fifth token changed. */
function makeOutput(pieces: readonly (readonly number[])[][], vocabulary: number, random: () => number): PlantedOutput {
  const tokens: number[] = [];
  const planted: (readonly [number, number])[] = [];
  for (let part = 0; tokens.length < OUTPUT_TOKENS; part++) {
    const shard = pieces[Math.floor(random() * pieces.length)]!;
    const piece = [...(shard.pop() ?? pieces.find((some) => some.length > 0)!.pop()!)];
    if (part % 2 === 0) planted.push([tokens.length, tokens.length + piece.length]);
    else for (let i = 0; i < piece.length; i += 5) piece[i] = 1 + Math.floor(random() * (vocabulary - 1));
    tokens.push(...piece);
  }
  return { tokens: tokens.slice(0, OUTPUT_TOKENS), planted: planted.filter(([, until]) => until <= OUTPUT_TOKENS) };
}

function stretch(records: readonly Uint16Array[], random: () => number): Uint16Array {
  for (;;) {
    const record = records[Math.floor(random() * records.length)]!;
    if (record.length < PLANTED_TOKENS) continue;
    const from = Math.floor(random() * (record.length - PLANTED_TOKENS));
    return record.slice(from, from + PLANTED_TOKENS);
  }
}

/** Real text over and over, each time with one token in twenty changed for another of the same text. */
function* mutated(texts: readonly Uint16Array[], random: () => number): Generator<Uint16Array, never, undefined> {
  for (;;) {
    for (const text of texts) {
      const copy = text.slice();
      for (let i = 0; i < copy.length; i++) if (random() < 0.05) copy[i] = text[Math.floor(random() * text.length)]!;
      yield copy;
    }
  }
}

function takeTokens(records: Generator<Uint16Array, never, undefined>, tokens: number): Uint16Array[] {
  const taken: Uint16Array[] = [];
  for (let left = tokens; left > 1; ) {
    const record = records.next().value.slice(0, left - 1);
    taken.push(record);
    left -= record.length + 1;
  }
  return taken;
}

function readTexts(): Uint16Array[] {
  const tokenizer = houseTokenizer();
  return ["tldr", "eips", "prompts", "gsm8k"].flatMap((name) => {
    const path = `../shared/data/${name}.jsonl.gz`;
    if (!existsSync(path)) {
      console.log(`${path} is absent: left out`);
      return [];
    }
    const lines = gunzipSync(readFileSync(path)).toString("utf8").trim().split("\n");
    return lines.map((line) => encode(tokenizer, String(Reflect.get(JSON.parse(line), "text"))));
  });
}

/** mulberry32, so that two runs measure the same. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function round(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
