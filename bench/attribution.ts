import { ekfac } from "../src/attribution/influence/kronecker.ts";
import { unwrap } from "../src/core/result.ts";
import { readFloats, writeFloats } from "../src/models/formats/floats.ts";
import { loadRuntime } from "../src/models/onnx/runtime.ts";
import type { Tensors } from "../src/models/tensor.ts";
import { randomOf, shuffled } from "../src/models/training/random.ts";
import { findFacts, plantFacts } from "./support/ldsFacts.ts";
import { type Contender, contenders, type Scores, scoresBy } from "./support/ldsMethods.ts";
import {
  bootstrapInterval,
  linearDatamodelingScores,
  mean,
  reliabilityCeiling,
  type SubsetRun,
} from "./support/ldsScore.ts";
import { type AdapterView, fineTune, lossesAfter, measureLosses, viewAdapter } from "./support/ldsTraining.ts";
import { type LdsWorld, makeWorld } from "./support/ldsWorld.ts";

const SEEDS = 2;
const MEMBERS = 5;
const units = ["record", "contributor"] as const;
type Unit = (typeof units)[number];

/**
 * Does influence foretell what training without some records would have done? Linear datamodeling scores by record and by contributor, removal of the
 * most influential, planted facts and an adapter that was imported, on an adapter of a small Llama; `--quick` for fewer retrainings.
 */
export async function run(): Promise<void> {
  const isQuick = process.argv.includes("--quick");
  const [startedAt, startedCpu] = [performance.now(), process.cpuUsage()];
  const lap = (done: string): void => console.log(`${((performance.now() - startedAt) / 1_000).toFixed(0)} s: ${done}`);
  const world = await makeWorld({ runtime: unwrap(await loadRuntime()), threads: 1 });
  if (world === undefined) return;
  const { records, queries } = world;
  lap(`base, ${records.length} records, ${queries.length} queries`);
  const [adapters, views]: [Tensors[], AdapterView[]] = [[], []];
  for (let seed = 1; seed <= MEMBERS; seed++) {
    const adapter = await fineTune(world, examplesOf(world), seed);
    adapters.push(adapter);
    views.push(await view(world, adapter));
  }
  lap(`${MEMBERS} adapters and their gradients`);
  const truth = new Map<Unit, readonly SubsetRun[]>();
  for (const unit of units) {
    truth.set(unit, await retrain(world, unit, isQuick ? 12 : 60));
    lap(`retrained without half of the ${unit}s`);
  }
  const all = contenders(world, views, records, queries);
  const { rows, bySetting } = scoreAll(all, truth);
  const ceilings = Object.fromEntries(units.map((unit) => [unit, reliabilityCeiling(truth.get(unit)!)]));
  const imported = importedShare(scoresBy(ekfac(), [await view(world, asImported(adapters[0]!))]), bySetting, truth);
  lap("scored");
  const named = (name: string): Scores => bySetting.get(name)!;
  const removal = await removeTop(world, named(`EK-FAC × ${MEMBERS}`), named("BM25"), isQuick ? 3 : 16);
  lap("retrained without the most influential");
  const facts = await factsTable(world);
  lap("planted facts");
  const cpu = process.cpuUsage(startedCpu);
  const cpuSeconds = Math.round((cpu.user + cpu.system) / 1e6);
  console.table(Object.fromEntries(rows.map(({ name, ...row }) => [name, row])));
  console.log("Facts planted in one record each, twelve decoys of the same words:");
  console.table(facts);
  console.log(
    JSON.stringify({ cpuSeconds, ceilings, methods: rows, ratios: ratiosOf(rows, ceilings), imported, removal, facts }),
  );
}

function examplesOf({ records }: LdsWorld) {
  return records.map(({ example }) => example);
}

function view(world: LdsWorld, adapter: Tensors): Promise<AdapterView> {
  const queries = world.queries.map(({ example }) => example);
  return viewAdapter(world, adapter, examplesOf(world), queries);
}

/** Trains on halves of the records, drawn record by record or contributor by contributor. */
async function retrain(world: LdsWorld, unit: Unit, subsets: number): Promise<SubsetRun[]> {
  const keyOf = (record: number): string => {
    const { contributor, example } = world.records[record]!;
    return unit === "record" ? example.record : contributor;
  };
  const numbers = world.records.map((_record, i) => i);
  const keys = [...new Set(numbers.map(keyOf))];
  const runs: SubsetRun[] = [];
  for (let subset = 0; subset < subsets; subset++) {
    const drawn = shuffled(keys.length, randomOf(7, subset, keys.length)).subarray(0, keys.length / 2);
    const kept = new Set(Array.from(drawn, (i) => keys[i]!));
    const members = numbers.filter((record) => kept.has(keyOf(record)));
    runs.push({ members, losses: await lossesWithout(world, members, 1_000 + SEEDS * subset) });
  }
  return runs;
}

async function lossesWithout(
  world: LdsWorld,
  members: readonly number[],
  firstSeed: number,
): Promise<(readonly number[])[]> {
  const examples = members.map((record) => world.records[record]!.example);
  const queries = world.queries.map(({ example }) => example);
  const losses: (readonly number[])[] = [];
  for (let seed = firstSeed; seed < firstSeed + SEEDS; seed++)
    losses.push(await lossesAfter(world, examples, seed, queries));
  return losses;
}

interface MethodRow {
  readonly name: string;
  readonly damping?: number;
  readonly record: number;
  readonly recordInterval: string;
  readonly contributor: number;
  readonly contributorInterval: string;
}

/** Dampings are chosen on the even queries, by contributor; what is told is of the odd ones. */
function scoreAll(all: readonly Contender[], truth: ReadonlyMap<Unit, readonly SubsetRun[]>) {
  const rows: MethodRow[] = [];
  const bySetting = new Map<string, Scores>();
  for (const { name, settings } of all) {
    const tried = settings.map(({ damping, scores }) => {
      const found = scores();
      const of = (unit: Unit, half: 0 | 1): number[] =>
        linearDatamodelingScores(found, truth.get(unit)!).filter((_score, query) => query % 2 === half);
      return { damping, found, of, fitness: mean(of("contributor", 0)) };
    });
    const best = tried.reduce((a, b) => (b.fitness > a.fitness ? b : a));
    bySetting.set(name, best.found);
    const figures = (unit: Unit): readonly [mean: number, interval: string] => {
      const scores = best.of(unit, 1);
      return [
        round(mean(scores)),
        bootstrapInterval(scores, randomOf(3))
          .map((bound) => bound.toFixed(2))
          .join("–"),
      ];
    };
    const [record, recordInterval] = figures("record");
    const [contributor, contributorInterval] = figures("contributor");
    rows.push({
      ...{ name, record, recordInterval, contributor, contributorInterval },
      ...(best.damping === undefined ? {} : { damping: best.damping }),
    });
  }
  return { rows, bySetting };
}

function ratiosOf(rows: readonly MethodRow[], ceilings: Readonly<Record<string, { readonly ceiling: number }>>) {
  const of = (name: string, unit: Unit): number => rows.find((row) => row.name === name)![unit];
  const ensemble = `EK-FAC × ${MEMBERS}`;
  return {
    singleToBm25: round(of("EK-FAC", "contributor") / of("BM25", "contributor")),
    singleToDataInf: round(of("EK-FAC", "contributor") / of("DataInf", "contributor")),
    ensembleToDataInf: round(of(ensemble, "contributor") / of("DataInf", "contributor")),
    ensembleToCeilingByContributor: round(of(ensemble, "contributor") / ceilings["contributor"]!.ceiling),
    ensembleToCeilingByRecord: round(of(ensemble, "record") / ceilings["record"]!.ceiling),
  };
}

/** The adapter as somebody else's tool may have stored it: in bfloat16. */
function asImported(adapter: Tensors): Tensors {
  return new Map(
    [...adapter].map(([name, { shape, data }]) => [
      name,
      { shape, data: readFloats(writeFloats(data, "BF16"), "BF16") },
    ]),
  );
}

/** The score of influence that was fitted after an import, as a share of the score of the one fitted where it was trained. */
function importedShare(
  imported: Scores,
  bySetting: ReadonlyMap<string, Scores>,
  truth: ReadonlyMap<Unit, readonly SubsetRun[]>,
): Readonly<Record<string, number>> {
  const score = (scores: Scores, unit: Unit): number => mean(linearDatamodelingScores(scores, truth.get(unit)!));
  return Object.fromEntries(
    units.map((unit) => [unit, round(score(imported, unit) / score(bySetting.get("EK-FAC")!, unit))]),
  );
}

/** By how many nats a query's loss rises when its top 1 % of the records are left out, seeds being the same. */
async function removeTop(world: LdsWorld, influence: Scores, lexical: Scores, queryCount: number) {
  const numbers = world.records.map((_record, i) => i);
  const whole = await lossesWithout(world, numbers, 5_000);
  const rises: Record<"influence" | "bm25", number[]> = { influence: [], bm25: [] };
  const step = Math.floor(world.queries.length / queryCount);
  for (let i = 0; i < queryCount; i++) {
    const query = i * step + 1;
    for (const [name, scores] of [
      ["influence", influence],
      ["bm25", lexical],
    ] as const) {
      const own = scores[query]!;
      const top = new Set(numbers.toSorted((a, b) => own[b]! - own[a]!).slice(0, Math.ceil(numbers.length / 100)));
      const losses = await lossesWithout(
        world,
        numbers.filter((record) => !top.has(record)),
        5_000,
      );
      rises[name].push(mean(losses.map((some, seed) => some[query]! - whole[seed]![query]!)));
    }
  }
  const differences = rises.influence.map((rise, i) => rise - rises.bm25[i]!);
  return {
    queries: queryCount,
    influenceNats: round(mean(rises.influence)),
    bm25Nats: round(mean(rises.bm25)),
    differenceInterval: bootstrapInterval(differences, randomOf(4)).map(round),
  };
}

async function factsTable(world: LdsWorld) {
  const { records, queries, answers } = plantFacts(world);
  const examples = records.map(({ example }) => example);
  const asked = queries.map(({ example }) => example);
  const views: AdapterView[] = [];
  for (let seed = 1; seed <= 3; seed++) {
    const adapter = await fineTune(world, examples, seed, { epochs: 12 });
    if (seed === 1) {
      const before = mean(await measureLosses(world, undefined, asked));
      const after = mean(await measureLosses(world, adapter, asked));
      console.log(`facts cost ${before.toFixed(2)} nats before training and ${after.toFixed(2)} after`);
    }
    views.push(await viewAdapter(world, adapter, examples, asked));
  }
  return Object.fromEntries(
    contenders(world, views, records, queries).map(({ name, settings }) => {
      const setting = settings.find(({ damping }) => damping === 0.1) ?? settings[0]!;
      const { recallAt10, reciprocalRank } = findFacts(setting.scores(), answers);
      return [name, { recallAt10: round(recallAt10), reciprocalRank: round(reciprocalRank) }];
    }),
  );
}

function round(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
