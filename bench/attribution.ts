import { unwrap } from "../src/core/result.ts";
import { readFloats, writeFloats } from "../src/models/formats/floats.ts";
import { loadRuntime } from "../src/models/onnx/runtime.ts";
import type { Tensors } from "../src/models/tensor.ts";
import { attackAll, wronglyCollapsed } from "./support/ldsAttacks.ts";
import { type AdditiveBound, additiveBound, type Bounds, boundsOf } from "./support/ldsBounds.ts";
import { chooseSetting, intervalOf, ratioOf, toldScores } from "./support/ldsChoice.ts";
import { correctedScore } from "./support/ldsCorrected.ts";
import { DESIGN_SEEDS, retrainByDesign } from "./support/ldsDesign.ts";
import { findFacts, plantFacts } from "./support/ldsFacts.ts";
import { measureHouse } from "./support/ldsHouseTable.ts";
import { type Contender, contenders, paidBy, type Scored, type Scores, scoresAtEnds } from "./support/ldsMethods.ts";
import { removeTop, retrain, SEEDS, type Unit, units } from "./support/ldsRetraining.ts";
import { linearDatamodelingScores, mean, round, type SubsetRun, sharedPart } from "./support/ldsScore.ts";
import { type AdapterView, type EndView, fineTune, measureLosses, viewAdapter } from "./support/ldsTraining.ts";
import { type LdsWorld, makeWorld } from "./support/ldsWorld.ts";

const MEMBERS = 5;
const ENSEMBLE = `EK-FAC × ${MEMBERS}`;
type Truth = ReadonlyMap<Unit, readonly SubsetRun[]>;

/**
 * Does influence foretell what training without some records would have done? Linear datamodeling scores by record and by contributor, removal of the
 * most influential, planted facts, an adapter that was imported, and attacks on what it pays, on an adapter of a small Llama; `--quick` for fewer retrainings, `--attacks` for what is paid and the attacks on it alone,
 * `--house` for the house model with the Factory's defaults instead. What was
 * trained is kept in a folder for temporary files: a run that is stopped goes on where it was.
 */
export async function run(): Promise<void> {
  if (process.argv.includes("--house")) return measureHouse();
  const isQuick = process.argv.includes("--quick");
  const [startedAt, startedCpu] = [performance.now(), process.cpuUsage()];
  const lap = (done: string): void => console.log(`${((performance.now() - startedAt) / 1_000).toFixed(0)} s: ${done}`);
  const world = await makeWorld({ runtime: unwrap(await loadRuntime()), threads: 1 });
  if (world === undefined) return;
  const { records, queries } = world;
  lap(`base, ${records.length} records, ${queries.length} queries`);
  if (process.argv.includes("--attacks")) {
    console.log(JSON.stringify({ agreement: await agreementOfSeeds(world), ...(await tellAttacks(world)) }));
    return lap("attacks");
  }
  const [adapters, views]: [Tensors[], AdapterView[]] = [[], []];
  for (let seed = 1; seed <= MEMBERS; seed++) {
    const adapter = await fineTune(world, examplesOf(world), seed);
    adapters.push(adapter);
    views.push(await view(world, adapter, views[0]?.start));
  }
  lap(`${MEMBERS} adapters and their gradients`);
  const truth = new Map<Unit, readonly SubsetRun[]>();
  const halves = isQuick ? 12 : 60;
  for (const unit of units) {
    truth.set(unit, await retrain(world, unit, { from: 0, until: halves, seeds: SEEDS }));
    lap(`retrained without half of the ${unit}s`);
  }
  const further = await retrain(world, "contributor", { from: halves, until: 5 * halves, seeds: 1 });
  lap(`retrained ${further.length} times more`);
  const designed = await retrainByDesign(world, "contributor", isQuick ? DESIGN_SEEDS.slice(0, 1) : DESIGN_SEEDS);
  lap(`retrained ${designed.flat().length} times by design`);
  const { rows, bySetting } = scoreAll(contenders(world, views, records, queries), truth);
  const additive = additiveBound(world, truth.get("contributor")!, further);
  const bounds = Object.fromEntries(units.map((unit) => [unit, boundsOf(truth.get(unit)!)]));
  const seen = [
    ...[1, 2, 4].map((times) => ({ halves: "at random", runs: further.slice(0, times * halves) })),
    ...designed.map((_runs, i) => ({ halves: "by design", runs: designed.slice(0, i + 1).flat() })),
  ];
  const contributors = {
    ...{ believed: bySetting.get(ENSEMBLE)!.scores, runs: truth.get("contributor")! },
    ...{ ceiling: bounds["contributor"]!.ceiling, published: publishedOf(rows) },
  };
  const corrected = seen.map((one) => correctedScore(world, contributors, one).row);
  const { start, end } = await view(world, asImported(adapters[0]!));
  const imported = importedShare(scoresAtEnds([start, end], {}).scores, bySetting, truth);
  const paid = views.slice(0, 3).map((one) => paidBy(one).scores);
  const agreement = seedAgreement(world, paid);
  lap("scored");
  tellScores({ rows, bounds, additive, corrected });
  const named = (name: string): Scores => bySetting.get(name)!.scores;
  const removal = await removeTop(world, named(ENSEMBLE), named("BM25"), isQuick ? 3 : 16);
  lap("retrained without the most influential");
  const facts = await factsTable(world);
  lap("planted facts");
  const attacked = await tellAttacks(world);
  lap("attacks");
  const cpu = process.cpuUsage(startedCpu);
  const cpuSeconds = Math.round((cpu.user + cpu.system) / 1e6);
  const viewMs = views[0]!.end.costs;
  console.log("Facts planted in one record each, twelve decoys of the same words:");
  console.table(facts);
  const scores = { methods: rows.map(withoutQueries), ratios: ratiosOf(rows, bounds), bounds, additive, corrected };
  console.log(JSON.stringify({ cpuSeconds, ...scores, imported, agreement, viewMs, removal, facts, ...attacked }));
}

async function tellAttacks(world: LdsWorld) {
  const { outcomes, paidPart } = await attackAll(world);
  console.log(`Of what influence could pay without attacks, it pays ${paidPart}. Attacks on that, in per cent:`);
  console.table(Object.fromEntries(outcomes.map(({ attack, ...row }) => [attack, row])));
  return { paidPart, attacks: outcomes, collapsed: wronglyCollapsed(world) };
}

interface FoundScores {
  readonly rows: readonly MethodRow[];
  readonly bounds: Readonly<Record<string, Bounds>>;
  readonly additive: AdditiveBound;
  readonly corrected: readonly object[];
}

/** As soon as they are known: the rest takes minutes more. */
function tellScores({ rows, bounds, additive, corrected }: FoundScores): void {
  console.table(Object.fromEntries(rows.map((row) => [row.name, withoutQueries(row)])));
  console.log("What trainings themselves can tell, and how much of it is a sum over contributors:");
  console.table({ ...bounds, additive });
  console.log(`${ENSEMBLE}, corrected by trainings without halves of the contributors:`);
  console.table(corrected);
  console.table(ratiosOf(rows, bounds));
}

function withoutQueries({ perQuery: _perQuery, ...row }: MethodRow): Omit<MethodRow, "perQuery"> {
  return row;
}

function examplesOf({ records }: LdsWorld) {
  return records.map(({ example }) => example);
}

function view(world: LdsWorld, adapter: Tensors, start?: EndView): Promise<AdapterView> {
  const queries = world.queries.map(({ example }) => example);
  return viewAdapter(world, adapter, examplesOf(world), queries, start);
}

interface MethodRow {
  readonly name: string;
  readonly record: number;
  readonly recordInterval: string;
  readonly contributor: number;
  readonly contributorInterval: string;
  readonly fitMs: number;
  readonly queryMs: number;
  readonly damping?: number;
  /** The scores of the queries that are told of. */
  readonly perQuery: Readonly<Record<Unit, readonly number[]>>;
}

/** Dampings are chosen on the even queries, by contributor; what is told is of the odd ones. */
function scoreAll(all: readonly Contender[], truth: Truth) {
  const rows: MethodRow[] = [];
  const bySetting = new Map<string, Scored>();
  for (const contender of all) {
    const { name } = contender;
    const { found, damping } = chooseSetting(contender, truth.get("contributor")!);
    bySetting.set(name, found);
    const of = (unit: Unit): readonly number[] => toldScores(found.scores, truth.get(unit)!);
    const perQuery = { record: of("record"), contributor: of("contributor") };
    rows.push({
      ...rowOf(name, perQuery),
      ...{ fitMs: Math.round(found.fitMs), queryMs: round(found.queryMs) },
      ...(damping === undefined ? {} : { damping }),
    });
  }
  return { rows, bySetting };
}

/** DataInf as its authors have it. */
function publishedOf(rows: readonly MethodRow[]): readonly number[] {
  return rows.find(({ name }) => name === "DataInf")!.perQuery.contributor;
}

function rowOf(name: string, perQuery: MethodRow["perQuery"]) {
  return {
    ...{ name, record: round(mean(perQuery.record)), recordInterval: intervalOf(perQuery.record) },
    ...{ contributor: round(mean(perQuery.contributor)), contributorInterval: intervalOf(perQuery.contributor) },
    perQuery,
  };
}

function ratiosOf(rows: readonly MethodRow[], bounds: Readonly<Record<string, Bounds>>) {
  const of = (name: string): MethodRow => rows.find((row) => row.name === name)!;
  const ratio = (name: string, other: string) => ratioOf(of(name).perQuery.contributor, of(other).perQuery.contributor);
  const toCeiling = (name: string, unit: Unit): number => round(of(name)[unit] / bounds[unit]!.ceiling);
  return {
    ...{ singleToBm25: ratio("EK-FAC", "BM25"), ensembleToBm25: ratio(ENSEMBLE, "BM25") },
    ...{ singleToDataInf: ratio("EK-FAC", "DataInf"), ensembleToDataInf: ratio(ENSEMBLE, "DataInf") },
    ...{ singleToTunedDataInf: ratio("EK-FAC", "DataInf, tuned") },
    ensembleToDataInfEnsemble: ratio(ENSEMBLE, `DataInf × ${MEMBERS}`),
    ensembleToCeilingByContributor: toCeiling(ENSEMBLE, "contributor"),
    ensembleToCeilingByRecord: toCeiling(ENSEMBLE, "record"),
    singleToCeilingByContributor: toCeiling("EK-FAC", "contributor"),
  };
}

async function agreementOfSeeds(world: LdsWorld): Promise<Readonly<Record<Unit, number>>> {
  const paid: Scores[] = [];
  let start: EndView | undefined;
  for (let seed = 1; seed <= 3; seed++) {
    const one = await view(world, await fineTune(world, examplesOf(world), seed), start);
    start = one.start;
    paid.push(paidBy(one).scores);
  }
  return seedAgreement(world, paid);
}

/** The part of what is paid that an adapter with another seed would have paid to the same records, or to the same contributors. */
function seedAgreement({ records }: LdsWorld, paid: readonly Scores[]): Readonly<Record<Unit, number>> {
  const [first, ...others] = paid;
  const both = (keyOf: (record: number) => string): number =>
    round(mean(others.flatMap((other) => other.map((weights, q) => sharedPart(first![q]!, weights, keyOf)))));
  return { record: both(String), contributor: both((record) => records[record]!.contributor) };
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
  bySetting: ReadonlyMap<string, Scored>,
  truth: Truth,
): Readonly<Record<string, number>> {
  const score = (scores: Scores, unit: Unit): number => mean(linearDatamodelingScores(scores, truth.get(unit)!));
  return Object.fromEntries(
    units.map((unit) => [unit, round(score(imported, unit) / score(bySetting.get("EK-FAC")!.scores, unit))]),
  );
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
    views.push(await viewAdapter(world, adapter, examples, asked, views[0]?.start));
  }
  return Object.fromEntries(
    contenders(world, views, records, queries).map(({ name, settings }) => {
      const setting = settings.find(({ damping }) => damping === 0.1) ?? settings[0]!;
      const { recallAt10, reciprocalRank } = findFacts(setting.score().scores, answers);
      return [name, { recallAt10: round(recallAt10), reciprocalRank: round(reciprocalRank) }];
    }),
  );
}
