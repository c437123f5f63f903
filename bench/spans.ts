import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { indexAttributors } from "../src/attribution/attribute.ts";
import { runAttributors } from "../src/attribution/attributor.ts";
import { memoryCorpus } from "../src/attribution/corpus.ts";
import { findMaximalSpans } from "../src/attribution/maximalSpans.ts";
import { unwrap } from "../src/core/result.ts";
import { encode } from "../src/models/bpe.ts";
import { type CorpusIndex, indexTokens } from "../src/models/corpusIndex.ts";
import { loadIndex, saveIndex } from "../src/models/corpusIndexFile.ts";
import { houseTokenizer } from "../src/models/houseTokenizerFile.ts";
import { buildSuffixArray } from "../src/models/suffixArray.ts";
import { hostileRecords, outputsByKind, type SpanOutput } from "./support/spanOutputs.ts";

const TOKENS = 10_000_000;
const OUTPUT_TOKENS = 500;
const OUTPUTS = 200;
const WARM_OUTPUTS = 20;
const NAIVE_OUTPUTS = 1;

/**
 * The ∞-gram index and the maximal spans of outputs against ten million tokens, beside a scan of the corpus for each span. Outputs of several kinds, those
 * among them that are made to be slow.
 */
export async function run(): Promise<void> {
  const random = seeded(20_261_121);
  const tokenizer = houseTokenizer();
  const texts = readTexts().map((text) => encode(tokenizer, text));
  const hostile = hostileRecords(texts, OUTPUT_TOKENS);
  const records = multiply(texts, hostile, random);
  const [startedAt, buildStart] = [performance.now(), cpuMs()];
  const index = indexTokens(tokenizer, records, new Uint8Array(32 * records.length));
  const [buildSeconds, buildCpuSeconds] = [(performance.now() - startedAt) / 1_000, (cpuMs() - buildStart) / 1_000];
  const sortStartedAt = performance.now();
  buildSuffixArray(index.tokens, tokenizer.bytes.length);
  const sortSeconds = (performance.now() - sortStartedAt) / 1_000;

  const kinds = outputsByKind(index, texts, OUTPUT_TOKENS, OUTPUTS, random);
  for (const outputs of Object.values(kinds)) measureSpans(index, outputs.slice(0, WARM_OUTPUTS));
  const measured = Object.entries(kinds).map(([kind, outputs]) => ({ kind, ...measureSpans(index, outputs) }));
  const all = measured.flatMap(({ kind, cpuTimes }) => cpuTimes.map((ms) => ({ kind, ms })));
  const [spansMs, spansCpuMs] = [
    quantiles(measured.flatMap(({ wallTimes }) => wallTimes)),
    quantiles(all.map(({ ms }) => ms)),
  ];
  const slowest = all.reduce((worst, one) => (one.ms > worst.ms ? one : worst));
  const attributionMs = quantiles(timeAttribution(index, Object.values(kinds).flat()));
  const planted = measured.reduce((sum, one) => sum + one.planted, 0);
  const naive = timeNaive(index, kinds["mixed"]!.slice(0, NAIVE_OUTPUTS));
  const figures = {
    tokens: index.tokens.length,
    records: records.length,
    sortTokensPerSecond: Math.round(index.tokens.length / sortSeconds),
    buildTokensPerSecond: Math.round(index.tokens.length / buildSeconds),
    buildTokensPerCpuSecond: Math.round(index.tokens.length / buildCpuSeconds),
    bytesPerTokenResident: round(residentBytes(index) / index.tokens.length),
    loadSeconds: timeLoad(index),
    outputs: all.length,
    spansP50Ms: spansMs.p50,
    spansP99Ms: spansMs.p99,
    spansCpuP50Ms: spansCpuMs.p50,
    spansCpuP99Ms: spansCpuMs.p99,
    spansCpuP999Ms: spansCpuMs.p999,
    slowest: `${slowest.kind}, ${round(slowest.ms)} ms`,
    attributionCpuP50Ms: attributionMs.p50,
    attributionCpuP99Ms: attributionMs.p99,
    plantedRecall: measured.reduce((sum, { found }) => sum + found, 0) / planted,
    naiveMs: naive.ms,
    naiveAgrees: naive.agrees,
    timesFasterThanNaive: Math.round(naive.ms / quantiles(measured[0]!.wallTimes).p50),
  };
  const rows = measured.map(({ kind, spans, wallTimes, cpuTimes }) => {
    const [wall, cpu] = [quantiles(wallTimes), quantiles(cpuTimes)];
    const times = { cpuP50Ms: cpu.p50, cpuP99Ms: cpu.p99, cpuMaxMs: cpu.max, wallP50Ms: wall.p50, wallP99Ms: wall.p99 };
    return [kind, { spans: Math.round(spans / OUTPUTS), ...times }] as const;
  });
  console.log(`${OUTPUT_TOKENS} tokens an output, ${OUTPUTS} outputs a kind`);
  console.table(Object.fromEntries(rows));
  console.table(figures);
  console.log(JSON.stringify({ ...figures, kinds: Object.fromEntries(rows) }));
}

interface Measured {
  readonly wallTimes: readonly number[];
  readonly cpuTimes: readonly number[];
  readonly spans: number;
  readonly planted: number;
  readonly found: number;
}

function measureSpans(index: CorpusIndex, outputs: readonly SpanOutput[]): Measured {
  const wallTimes: number[] = [];
  const cpuTimes: number[] = [];
  let [count, planted, found] = [0, 0, 0];
  for (const output of outputs) {
    const at = performance.now();
    const cpuAt = cpuMs();
    const spans = findMaximalSpans(index, output.tokens);
    cpuTimes.push(cpuMs() - cpuAt);
    wallTimes.push(performance.now() - at);
    count += spans.length;
    for (const { from, until } of output.planted) {
      planted++;
      if (spans.some((span) => span.from <= from && span.until >= until)) found++;
    }
  }
  return { wallTimes, cpuTimes, spans: count, planted, found };
}

/** From an output to its evidence. */
function timeAttribution(index: CorpusIndex, outputs: readonly SpanOutput[]): number[] {
  const corpus = memoryCorpus(index);
  return outputs.map(({ tokens: output }) => {
    const at = cpuMs();
    runAttributors(indexAttributors, { corpus, output, canonicalOf: (record: number) => record, context: [] });
    return cpuMs() - at;
  });
}

/** All that an index has in memory; the tokenizer is everybody's. */
function residentBytes({ id, tokens, suffixes, starts, recordIds, buckets }: CorpusIndex): number {
  const parts = [id, tokens, suffixes.view, starts, recordIds, buckets];
  return parts.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/** Time on the CPU, which other work on the machine disturbs less than time on the clock. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

/** The plain alternative: for each position of the output, one pass over the corpus for the longest match. */
function timeNaive(index: CorpusIndex, outputs: readonly SpanOutput[]): { ms: number; agrees: boolean } {
  const { tokens } = index;
  let agrees = true;
  const startedAt = performance.now();
  for (const output of outputs) {
    const spans: string[] = [];
    let reached = 0;
    for (let from = 0; from < output.tokens.length; from++) {
      const first = output.tokens[from]!;
      let longest = 0;
      for (let at = tokens.indexOf(first); at >= 0; at = tokens.indexOf(first, at + 1)) {
        let length = 1;
        while (from + length < output.tokens.length && tokens[at + length] === output.tokens[from + length]) length++;
        longest = Math.max(longest, length);
      }
      if (from + longest > reached) {
        spans.push(`${from}-${from + longest}`);
        reached = from + longest;
      }
    }
    agrees &&=
      spans.join() ===
      findMaximalSpans(index, output.tokens)
        .map((s) => `${s.from}-${s.until}`)
        .join();
  }
  return { ms: round((performance.now() - startedAt) / outputs.length), agrees };
}

function timeLoad(index: CorpusIndex): number {
  const folder = mkdtempSync(join(tmpdir(), "openledger-spans-"));
  try {
    unwrap(saveIndex(join(folder, "index"), index));
    const startedAt = performance.now();
    unwrap(loadIndex(join(folder, "index"), index.tokenizer));
    return round((performance.now() - startedAt) / 1_000);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The given records, then real text until there is enough, each further round with one token in twenty changed, so that copies are near and not equal. */
function multiply(texts: readonly Uint16Array[], given: readonly Uint16Array[], random: () => number): Uint16Array[] {
  const records = given.slice();
  let tokens = given.reduce((sum, { length }) => sum + length + 1, 0);
  for (let round = 0; tokens < TOKENS; round++) {
    for (const text of texts) {
      const left = TOKENS - tokens - 1;
      if (left <= 0) break;
      const copy = text.slice(0, left);
      if (round > 0)
        for (let i = 0; i < copy.length; i++) if (random() < 0.05) copy[i] = text[Math.floor(random() * text.length)]!;
      records.push(copy);
      tokens += copy.length + 1;
    }
  }
  return records;
}

function readTexts(): string[] {
  const readmes = readdirSync("node_modules", { recursive: true, encoding: "utf8" })
    .filter((path) => /(^|\/)readme\.md$/i.test(path))
    .toSorted()
    .map((path) => readFileSync(`node_modules/${path}`, "utf8"));
  const data = ["tldr", "eips", "prompts"].flatMap((name) => {
    const path = `../shared/data/${name}.jsonl.gz`;
    if (!existsSync(path)) {
      console.log(`${path} is absent: left out`);
      return [];
    }
    const lines = gunzipSync(readFileSync(path)).toString("utf8").trim().split("\n");
    return lines.map((line) => String(Reflect.get(JSON.parse(line), "text")));
  });
  return [...readmes.flatMap((text) => text.split(/^(?=#{1,3} )/m)), ...data];
}

function quantiles(times: readonly number[]): Readonly<Record<"p50" | "p99" | "p999" | "max", number>> {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (part: number): number => round(sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]!);
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1) };
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
