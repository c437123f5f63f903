import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { findShardSpans } from "../../src/attribution/spanShards.ts";
import { unwrap } from "../../src/core/result.ts";
import { openShard } from "../../src/models/diskIndexFile.ts";
import { houseTokenizer } from "../../src/models/houseTokenizerFile.ts";
import type { Shard } from "../../src/models/shard.ts";
import { PageCache } from "../../src/models/shardPages.ts";
import type { Plan, PlantedOutput } from "../spansdisk.ts";

// Asks the shards of bench/spansdisk for maximal spans; prints one JSON object. A limit of memory above 0 is one that it keeps itself.

const CACHE_BYTES = 384 * 2 ** 20;
const TOKENS_MIN = 5;
const COLD_OUTPUTS = 10;

const [plan = "", limit = "0"] = process.argv.slice(2);
const { shards: paths, outputs }: Plan = JSON.parse(readFileSync(plan, "utf8"));
const memoryMax = Number(limit);
const tokenizer = houseTokenizer();
let peakBytes = 0;
let [planted, found] = [0, 0];

const coldTimes: number[] = [];
let coldPages = 0;
for (const output of outputs.slice(0, COLD_OUTPUTS)) {
  dropPages();
  const { shards, cache, close } = openAll(2 ** 24);
  coldTimes.push(timed(shards, output).wall);
  coldPages += cache.counts.misses;
  close();
  // Else the tops of earlier rounds stay in memory beside the next one's.
  globalThis.gc?.();
}
dropPages();
const openedAt = performance.now();
const { shards, cache } = openAll(CACHE_BYTES);
const openMs = performance.now() - openedAt;
const firstRound = askAll();
const fresh = { ...cache.counts };
askAll();
const warm = askAll();
console.log(
  JSON.stringify({
    openMs: round(openMs),
    coldP50Ms: quantile(coldTimes, 0.5),
    coldMaxMs: quantile(coldTimes, 1),
    coldPagesPerOutput: Math.round(coldPages / coldTimes.length),
    freshP50Ms: quantile(firstRound.walls, 0.5),
    freshP99Ms: quantile(firstRound.walls, 0.99),
    freshPagesPerOutput: Math.round(fresh.misses / outputs.length),
    warmP50Ms: quantile(warm.walls, 0.5),
    warmP99Ms: quantile(warm.walls, 0.99),
    warmCpuP50Ms: quantile(warm.cpus, 0.5),
    warmCpuP99Ms: quantile(warm.cpus, 0.99),
    spansPerOutput: round(warm.spans / outputs.length),
    plantedRecall: round(found / planted),
    topBytesPerToken: round(topBytes() / shards.reduce((sum, { top }) => sum + top.tokens, 0)),
    peakRssMB: Math.round(process.resourceUsage().maxRSS / 1_024),
    ...(peakBytes === 0 ? {} : { peakWithFilePagesMB: Math.round(peakBytes / 2 ** 20) }),
  }),
);

function openAll(cacheBytes: number): { shards: Shard[]; cache: PageCache; close: () => void } {
  const cache = new PageCache(cacheBytes);
  const opened = paths.map((path) => unwrap(openShard(path, tokenizer, cache)));
  const close = (): void => {
    for (const each of opened) each.close();
  };
  return { shards: opened.map(({ shard }) => shard), cache, close };
}

function askAll(): { walls: number[]; cpus: number[]; spans: number } {
  const walls: number[] = [];
  const cpus: number[] = [];
  let spans = 0;
  outputs.forEach((output, i) => {
    const one = timed(shards, output);
    walls.push(one.wall);
    cpus.push(one.cpu);
    spans += one.spans;
    if (i % 10 === 9) holdLimit();
  });
  return { walls, cpus, spans };
}

function timed(shards: readonly Shard[], output: PlantedOutput): { wall: number; cpu: number; spans: number } {
  const tokens = Uint16Array.from(output.tokens);
  const cpu = process.cpuUsage();
  const at = performance.now();
  const spans = findShardSpans(shards, tokens, TOKENS_MIN);
  const wall = performance.now() - at;
  const used = process.cpuUsage(cpu);
  for (const [from, until] of output.planted) {
    planted++;
    if (spans.some((span) => span.from <= from && span.until >= until)) found++;
  }
  return { wall, cpu: (used.user + used.system) / 1_000, spans: spans.length };
}

/** What this process and the pages of its files take together; above the limit the pages go, as a container's would. */
function holdLimit(): void {
  if (memoryMax === 0) return;
  const counted = spawnSync("fincore", ["--bytes", "--noheadings", "--output", "RES", ...paths], { encoding: "utf8" });
  if (counted.status !== 0) return;
  const pages = counted.stdout.split("\n").reduce((sum, line) => sum + Number(line), 0);
  peakBytes = Math.max(peakBytes, process.memoryUsage.rss() + pages);
  if (process.memoryUsage.rss() + pages > 0.95 * memoryMax) dropPages();
}

/** GNU dd can ask the kernel to forget a file (posix_fadvise). */
function dropPages(): void {
  for (const path of paths) spawnSync("dd", [`if=${path}`, "iflag=nocache", "count=0"], { stdio: "ignore" });
}

function topBytes(): number {
  return shards.reduce(
    (sum, { top: { buckets, keys, startTops, grams } }) =>
      sum + [buckets, keys, startTops, grams].reduce((bytes, { byteLength }) => bytes + byteLength, 0),
    0,
  );
}

function quantile(times: readonly number[], part: number): number {
  const sorted = times.toSorted((a, b) => a - b);
  return round(sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]!);
}

function round(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
