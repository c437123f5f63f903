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

const OUTPUT_TOKENS = 500;
const PLANTED_TOKENS = 40;
const MEMORY_MAX = 2 ** 30;
const DISK_BYTES_PER_TOKEN = 10.5;

/**
 * Maximal spans against a corpus larger than the memory of the process that asks: `--tokens` (20 million unless told) in shards of `--shard`, asked by
 * a child that is held to one GiB, its pages of the files included. `--folder` keeps the shards for another run.
 */
export async function run(): Promise<void> {
  const { values } = parseArgs({
    args: process.argv.slice(3),
    options: {
      tokens: { type: "string", default: "20000000" },
      shard: { type: "string", default: "125000000" },
      outputs: { type: "string", default: "200" },
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
    const plan = join(folder, "plan.json");
    if (!existsSync(plan)) {
      const built = build(folder, texts, Number(values.tokens), Number(values.shard), Number(values.outputs));
      writeFileSync(plan, JSON.stringify(built));
    }
    const built: Built = JSON.parse(readFileSync(plan, "utf8"));
    const asked = ask(folder);
    const figures = { ...built.figures, ...asked };
    console.table(figures);
    console.log(JSON.stringify(figures));
  } finally {
    if (values.folder === undefined) rmSync(folder, { recursive: true });
  }
}

/** What the child reads: the shards' files, and outputs with where something was planted in them. */
export interface Built {
  readonly shards: readonly string[];
  readonly outputs: readonly PlantedOutput[];
  readonly figures: Readonly<Record<string, number>>;
}

export interface PlantedOutput {
  readonly tokens: readonly number[];
  readonly planted: readonly (readonly [from: number, until: number])[];
}

function build(
  folder: string,
  texts: readonly Uint16Array[],
  tokens: number,
  shardTokens: number,
  outputCount: number,
): Built {
  const { bavail, bsize } = statfsSync(folder);
  const needed = tokens * DISK_BYTES_PER_TOKEN;
  if (bavail * bsize < 1.2 * needed)
    throw new Error(`${folder} has less than ${Math.ceil((1.2 * needed) / 1e9)} GB free`);
  const tokenizer = houseTokenizer();
  const random = seeded(20_261_121);
  const records = mutated(texts, random);
  const shards: string[] = [];
  const pieces: Uint16Array[][] = [];
  let [made, bytes, recordCount] = [0, 0, 0];
  const [startedAt, cpu] = [performance.now(), process.cpuUsage()];
  let [buildSeconds, saveSeconds] = [0, 0];
  while (made < tokens) {
    const size = Math.min(shardTokens, tokens - made);
    const chosen = takeTokens(records, size);
    const ids = new Uint8Array(32 * chosen.length);
    const view = new DataView(ids.buffer);
    chosen.forEach((_, i) => void view.setUint32(32 * i, recordCount + i));
    let at = performance.now();
    const index = indexTokens(tokenizer, chosen, ids);
    buildSeconds += (performance.now() - at) / 1_000;
    at = performance.now();
    const path = join(folder, `shard-${shards.length}`);
    unwrap(saveShard(path, index));
    saveSeconds += (performance.now() - at) / 1_000;
    pieces.push(Array.from({ length: outputCount * 4 }, () => stretch(chosen, random)));
    shards.push(path);
    made += index.tokens.length;
    bytes += statSync(path).size;
    recordCount += chosen.length;
    console.log(`${shards.length} shards, ${made} tokens, ${Math.round((performance.now() - startedAt) / 1_000)} s`);
  }
  const used = process.cpuUsage(cpu);
  const figures = {
    tokens: made,
    records: recordCount,
    shards: shards.length,
    diskBytesPerToken: round(bytes / made),
    sortTokensPerSecond: Math.round(made / buildSeconds),
    buildTokensPerSecond: Math.round(made / (buildSeconds + saveSeconds)),
    buildTokensPerCpuSecond: Math.round((made * 1e6) / (used.user + used.system)),
    buildPeakMB: Math.round(process.resourceUsage().maxRSS / 1_024),
  };
  const outputs = Array.from({ length: outputCount }, () => makeOutput(pieces, tokenizer.bytes.length, random));
  return { shards, outputs, figures };
}

/** Asks in a process of its own, held to {@link MEMORY_MAX}: by systemd where that may be, else by the child dropping pages itself. */
function ask(folder: string): Readonly<Record<string, unknown>> {
  const here = fileURLToPath(import.meta.url);
  const child = join(here, "..", "support", `spansQueries${here.endsWith(".ts") ? ".ts" : ".js"}`);
  const command = [process.execPath, "--max-old-space-size=192", child, join(folder, "plan.json"), String(MEMORY_MAX)];
  const scope = ["--scope", "--quiet", "-p", `MemoryMax=${MEMORY_MAX}`, "-p", "MemorySwapMax=0"];
  const isScoped = spawnSync("systemd-run", [...scope, "true"], { timeout: 10_000 }).status === 0;
  const [program = "", ...args] = isScoped ? ["systemd-run", ...scope, ...command] : command;
  const { status, stdout } = spawnSync(program, args, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    maxBuffer: 2 ** 24,
  });
  if (status !== 0) throw new Error(`the child that asks ended with ${status}`);
  return { limitedBy: isScoped ? "systemd scope" : "own page drops", ...JSON.parse(stdout) };
}

/** Half planted stretches of the corpus, half stretches with every fifth token changed. */
function makeOutput(pieces: readonly Uint16Array[][], vocabulary: number, random: () => number): PlantedOutput {
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
