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

const TOKENS = 10_000_000;
const OUTPUT_TOKENS = 500;
const OUTPUTS = 200;
const NAIVE_OUTPUTS = 1;
const PLANTED_TOKENS = 40;

/** The ∞-gram index and the maximal spans of outputs against ten million tokens, beside a scan of the corpus for each span. */
export async function run(): Promise<void> {
  const random = seeded(20_261_121);
  const tokenizer = houseTokenizer();
  const records = multiply(
    readTexts().map((text) => encode(tokenizer, text)),
    random,
  );
  const [startedAt, buildStart] = [performance.now(), cpuMs()];
  const index = indexTokens(tokenizer, records, new Uint8Array(32 * records.length));
  const [buildSeconds, buildCpuSeconds] = [(performance.now() - startedAt) / 1_000, (cpuMs() - buildStart) / 1_000];
  const sortStartedAt = performance.now();
  buildSuffixArray(index.tokens, tokenizer.bytes.length);
  const sortSeconds = (performance.now() - sortStartedAt) / 1_000;

  const outputs = Array.from({ length: OUTPUTS }, () => makeOutput(index, random));
  for (const { tokens } of outputs.slice(0, 20)) findMaximalSpans(index, tokens);
  const spanTimes: number[] = [];
  const spanCpuTimes: number[] = [];
  const attributionTimes: number[] = [];
  let planted = 0;
  let found = 0;
  for (const output of outputs) {
    let at = performance.now();
    const cpuAt = cpuMs();
    const spans = findMaximalSpans(index, output.tokens);
    spanCpuTimes.push(cpuMs() - cpuAt);
    spanTimes.push(performance.now() - at);
    for (const { from, until } of output.planted) {
      planted++;
      if (spans.some((span) => span.from <= from && span.until >= until)) found++;
    }
    at = performance.now();
    const input = {
      corpus: memoryCorpus(index),
      output: output.tokens,
      canonicalOf: (record: number) => record,
      context: [],
    };
    runAttributors(indexAttributors, input);
    attributionTimes.push(performance.now() - at);
  }
  const naive = timeNaive(index, outputs.slice(0, NAIVE_OUTPUTS));
  const [spansMs, spansCpuMs] = [quantiles(spanTimes), quantiles(spanCpuTimes)];
  const resident =
    index.tokens.byteLength + index.suffixes.byteLength + index.starts.byteLength + index.buckets.byteLength;
  const figures = {
    tokens: index.tokens.length,
    records: records.length,
    sortTokensPerSecond: Math.round(index.tokens.length / sortSeconds),
    buildTokensPerSecond: Math.round(index.tokens.length / buildSeconds),
    buildTokensPerCpuSecond: Math.round(index.tokens.length / buildCpuSeconds),
    bytesPerTokenResident: round(resident / index.tokens.length),
    recordIdBytesPerToken: round(index.recordIds.byteLength / index.tokens.length),
    loadSeconds: timeLoad(index),
    spansP50Ms: spansMs.p50,
    spansP99Ms: spansMs.p99,
    spansCpuP50Ms: spansCpuMs.p50,
    spansCpuP99Ms: spansCpuMs.p99,
    attributionP50Ms: quantiles(attributionTimes).p50,
    attributionP99Ms: quantiles(attributionTimes).p99,
    plantedRecall: found / planted,
    naiveMs: naive.ms,
    naiveAgrees: naive.agrees,
    timesFasterThanNaive: Math.round(naive.ms / spansMs.p50),
  };
  console.table(figures);
  console.log(JSON.stringify(figures));
}

/** Time on the CPU, which other work on the machine disturbs less than time on the clock. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

interface Output {
  readonly tokens: Uint16Array;
  readonly planted: readonly { readonly from: number; readonly until: number }[];
}

/** Half planted stretches of the corpus, half text that is near it: a stretch with every fifth token changed. */
function makeOutput(index: CorpusIndex, random: () => number): Output {
  const tokens = new Uint16Array(OUTPUT_TOKENS);
  const planted: { from: number; until: number }[] = [];
  let isPlanted = true;
  for (let at = 0; at < OUTPUT_TOKENS; ) {
    const length = Math.min(PLANTED_TOKENS, OUTPUT_TOKENS - at);
    const source = insideRecord(index, length, random);
    tokens.set(index.tokens.subarray(source, source + length), at);
    if (isPlanted) planted.push({ from: at, until: at + length });
    else for (let i = 0; i < length; i += 5) tokens[at + i] = 1 + Math.floor(random() * (index.buckets.length - 2));
    at += length;
    isPlanted = !isPlanted;
  }
  return { tokens, planted };
}

function insideRecord(index: CorpusIndex, length: number, random: () => number): number {
  for (;;) {
    const at = Math.floor(random() * (index.tokens.length - length));
    if (!index.tokens.subarray(at, at + length).includes(0)) return at;
  }
}

/** The plain alternative: for each position of the output, one pass over the corpus for the longest match. */
function timeNaive(index: CorpusIndex, outputs: readonly Output[]): { ms: number; agrees: boolean } {
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

/** Real text until there is enough, each further round with one token in twenty changed, so that copies are near and not equal. */
function multiply(texts: readonly Uint16Array[], random: () => number): Uint16Array[] {
  const records: Uint16Array[] = [];
  let tokens = 0;
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

function quantiles(times: readonly number[]): { p50: number; p99: number } {
  const sorted = times.toSorted((a, b) => a - b);
  return {
    p50: round(sorted[Math.floor(0.5 * sorted.length)]!),
    p99: round(sorted[Math.floor(0.99 * sorted.length)]!),
  };
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
