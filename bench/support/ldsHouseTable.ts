import { parseArgs } from "node:util";
import { unwrap } from "../../src/core/result.ts";
import { loadRuntime } from "../../src/models/onnx/runtime.ts";
import { boundsOf } from "./ldsBounds.ts";
import { chooseSetting, intervalOf, ratioOf, toldScores } from "./ldsChoice.ts";
import { knownToHouse, makeHouseWorld, nodeScores } from "./ldsHouse.ts";
import { type Contender, rivals, type Scores } from "./ldsMethods.ts";
import { retrain, SEEDS } from "./ldsRetraining.ts";
import { mean, round, type SubsetRun } from "./ldsScore.ts";
import { type FactorsView, fineTune, measureLosses, viewFactors } from "./ldsTraining.ts";
import type { LdsRecord, LdsWorld } from "./ldsWorld.ts";

const NODE = "EK-FAC, as a node fits it";
/** The others take longer, and say less. */
const COMPARED = ["EK-FAC on B", "TracIn", "DataInf", "BM25", "random"];

/** What influence foretells of retraining where users have it: on the house model, trained with the Factory's defaults. By contributor, from `--halves` of them; ensembles are of `--members` trainings. */
export async function measureHouse(): Promise<void> {
  const { halves, members } = sizes();
  const startedAt = performance.now();
  const lap = (done: string): void => console.log(`${((performance.now() - startedAt) / 1_000).toFixed(0)} s: ${done}`);
  const world = await makeHouseWorld({ runtime: unwrap(await loadRuntime()), threads: 1 });
  if (world === undefined) return;
  lap(`${world.records.length} records, ${world.training.heldOut.length} held out, ${world.queries.length} queries`);
  const runs = await retrain(world, "contributor", { from: 0, until: halves, seeds: SEEDS });
  lap(`retrained without ${halves} halves of the contributors`);
  const [records, queries] = [world.records.map(exampleOf), world.queries.map(exampleOf)];
  const [found, factors]: [Scores[], FactorsView[]] = [[], []];
  for (let seed = 1; seed <= members; seed++) {
    const adapter = await fineTune(world, records, seed);
    found.push(await nodeScores(world, seed));
    factors.push(await viewFactors(world, adapter, records, queries));
    lap(`adapter ${seed}, its factors and gradients`);
  }
  const ours = [known(NODE, found[0]!), ...(members > 1 ? [known(`EK-FAC × ${members}`, meanOf(found))] : [])];
  const others = rivals(world, factors).filter(({ name }) => COMPARED.includes(name));
  const bounds = boundsOf(runs);
  const { rows, told } = scoreAll([...ours, ...others], runs, bounds.ceiling);
  console.table(rows);
  console.table(bounds);
  const ratio = (name: string, other: string) => ({ name, other, ...ratioOf(told.get(name)!, told.get(other)!) });
  const ratios = ours.flatMap(({ name }) => [ratio(name, "DataInf"), ratio(name, "BM25")]);
  console.table(ratios);
  const nats = await natsATarget(world, runs);
  const training = { ...world.training.options, knownToHouse: knownToHouse(world), nats };
  console.log(JSON.stringify({ halves, seeds: SEEDS, members, training, methods: rows, bounds, ratios }));
}

function sizes(): { readonly halves: number; readonly members: number } {
  const options = { halves: { type: "string", default: "60" }, members: { type: "string", default: "3" } } as const;
  const { values } = parseArgs({ allowPositionals: true, strict: false, options });
  return { halves: Number(values.halves), members: Number(values.members) };
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

function scoreAll(all: readonly Contender[], runs: readonly SubsetRun[], ceiling: number) {
  const told = new Map<string, readonly number[]>();
  const rows = all.map((contender) => {
    const { found, damping } = chooseSetting(contender, runs);
    const own = toldScores(found.scores, runs);
    told.set(contender.name, own);
    const score = mean(own);
    return {
      ...{ name: contender.name, contributor: round(score), interval: intervalOf(own) },
      ...{ toCeiling: round(score / ceiling), ...(damping === undefined ? {} : { damping }) },
    };
  });
  return { rows, told };
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
