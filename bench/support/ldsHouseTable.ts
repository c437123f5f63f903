import { parseArgs } from "node:util";
import { unwrap } from "../../src/core/result.ts";
import { loadRuntime } from "../../src/models/onnx/runtime.ts";
import { randomOf } from "../../src/models/training/random.ts";
import { boundsOf } from "./ldsBounds.ts";
import { chooseSetting, toldScores } from "./ldsChoice.ts";
import { correctedScore } from "./ldsCorrected.ts";
import { DESIGN_SEEDS, retrainByDesign } from "./ldsDesign.ts";
import { knownToHouse, makeHouseWorld, nodeScores } from "./ldsHouse.ts";
import { type Contender, rivals, type Scores } from "./ldsMethods.ts";
import { middleOf, resampledScores } from "./ldsResampling.ts";
import { retrain, SEEDS } from "./ldsRetraining.ts";
import { mean, round, type SubsetRun } from "./ldsScore.ts";
import { fineTune, measureLosses, viewFactors } from "./ldsTraining.ts";
import type { LdsRecord, LdsWorld } from "./ldsWorld.ts";

const NODE = "EK-FAC, as a node fits it";
/** The others take longer, and say less. */
const COMPARED = ["EK-FAC on B", "TracIn", "DataInf", "BM25", "random"];

/**
 * What influence foretells of retraining where users have it: on the house model, trained with the Factory's defaults. By contributor, from `--halves` of them; ensembles are of `--members` trainings,
 * and of `--designed` seeds' trainings on designed halves, 43 each.
 */
export async function measureHouse(): Promise<void> {
  const { halves, members, designed } = sizes();
  const startedAt = performance.now();
  const lap = (done: string): void => console.log(`${((performance.now() - startedAt) / 1_000).toFixed(0)} s: ${done}`);
  const world = await makeHouseWorld({ runtime: unwrap(await loadRuntime()), threads: 1 });
  if (world === undefined) return;
  lap(`${world.records.length} records, ${world.training.heldOut.length} held out, ${world.queries.length} queries`);
  const runs = await retrain(world, "contributor", { from: 0, until: halves, seeds: SEEDS });
  lap(`retrained without ${halves} halves of the contributors`);
  const seen = await retrainByDesign(world, "contributor", DESIGN_SEEDS.slice(0, designed));
  lap(`retrained ${seen.flat().length} times by design`);
  const [records, queries] = [world.records.map(exampleOf), world.queries.map(exampleOf)];
  const found: Scores[] = [];
  for (let seed = 1; seed <= members; seed++) {
    found.push(await nodeScores(world, seed));
    lap(`adapter ${seed} and what a node finds of it`);
  }
  const factors = await viewFactors(world, await fineTune(world, records, 1), records, queries);
  lap("what the others see");
  const ours = [known(NODE, found[0]!), ...(members > 1 ? [known(`EK-FAC × ${members}`, meanOf(found))] : [])];
  const others = rivals(world, [factors]).filter(({ name }) => COMPARED.includes(name));
  const bounds = boundsOf(runs);
  const { chosen, told } = chooseAll([...ours, ...others], runs);
  const before = { believed: meanOf(found), runs, ceiling: bounds.ceiling, published: told.get("DataInf")! };
  const corrected = seen.map((_runs, i) =>
    correctedScore(world, before, { halves: "by design", runs: seen.slice(0, i + 1).flat() }),
  );
  for (const { row, scores } of corrected) chosen.set(`the mean, and ${row.trainings} designed trainings`, { scores });
  const { rows, ratios } = tableOf(chosen, runs, bounds.ceiling);
  console.table(rows);
  console.table(bounds);
  console.table(ratios);
  console.table(corrected.map(({ row }) => row));
  const nats = await natsATarget(world, runs);
  const training = { ...world.training.options, knownToHouse: knownToHouse(world), nats };
  const sized = { halves, seeds: SEEDS, members, designed: seen.flat().length };
  const alone = corrected.map(({ row }) => ({ trainings: row.trainings, alone: row.alone }));
  console.log(JSON.stringify({ ...sized, training, methods: rows, bounds, ratios, alone }));
}

function sizes() {
  const options = {
    halves: { type: "string", default: "60" },
    members: { type: "string", default: "3" },
    designed: { type: "string", default: "2" },
  } as const;
  const { values } = parseArgs({ allowPositionals: true, strict: false, options });
  return { halves: Number(values.halves), members: Number(values.members), designed: Number(values.designed) };
}

function exampleOf({ example }: LdsRecord) {
  return example;
}

/** Scores that have been found, by what nothing is left to tune of. */
function known(name: string, scores: Scores): Contender {
  return { name, settings: [{ score: () => ({ scores, fitMs: 0, queryMs: 0 }) }] };
}

function meanOf(members: readonly Scores[]): Scores {
  return members[0]!.map((own, q) => own.map((_score, record) => mean(members.map((one) => one[q]![record]!))));
}

interface ChosenScores {
  readonly scores: Scores;
  readonly damping?: number;
}

function chooseAll(all: readonly Contender[], runs: readonly SubsetRun[]) {
  const [chosen, told] = [new Map<string, ChosenScores>(), new Map<string, readonly number[]>()];
  for (const contender of all) {
    const { found, damping } = chooseSetting(contender, runs);
    chosen.set(contender.name, { scores: found.scores, ...(damping === undefined ? {} : { damping }) });
    told.set(contender.name, toldScores(found.scores, runs));
  }
  return { chosen, told };
}

/** Intervals are over queries and halves. */
function tableOf(chosen: ReadonlyMap<string, ChosenScores>, runs: readonly SubsetRun[], ceiling: number) {
  const all = [...chosen].map(([name, one]) => ({ name, ...one, score: mean(toldScores(one.scores, runs)) }));
  const resampled = resampledScores(
    all.map(({ scores }) => scores),
    runs,
    randomOf(6),
  );
  const rows = all.map(({ name, score, damping }, i) => ({
    ...{ name, contributor: round(score), interval: middleOf(resampled[i]!).join("–") },
    ...{ toCeiling: round(score / ceiling), ...(damping === undefined ? {} : { damping }) },
  }));
  const ratio = (name: string, other: string) => {
    const [i, j] = [name, other].map((one) => all.findIndex(({ name: own }) => own === one));
    const ratios = resampled[i!]!.map((score, n) => score / resampled[j!]![n]!);
    return { name, other, ratio: round(all[i!]!.score / all[j!]!.score), interval: middleOf(ratios).join("–") };
  };
  const ours = all.map(({ name }) => name).filter((name) => !COMPARED.includes(name));
  return { rows, ratios: ours.flatMap((name) => ["DataInf", "BM25"].map((other) => ratio(name, other))) };
}

/** How well the queries are known: by the house model as it is, and after trainings on halves. */
async function natsATarget(world: LdsWorld, runs: readonly SubsetRun[]) {
  const queries = world.queries.map(exampleOf);
  const targets = queries.reduce((sum, { isTarget }) => sum + isTarget.reduce((count, one) => count + one, 0), 0);
  const nats = (losses: readonly number[]): number => round((mean(losses) * losses.length) / targets);
  return {
    before: nats(await measureLosses(world, undefined, queries)),
    after: round(mean(runs.flatMap(({ losses }) => losses.map(nats)))),
  };
}
