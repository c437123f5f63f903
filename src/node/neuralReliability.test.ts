import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Combination, combinationText, defaultPolicy } from "../attribution/policy.ts";
import type { Engine, EngineRequest } from "../core/engine.ts";
import { ok, refuse, unwrap } from "../core/result.ts";
import type { Job } from "../factory/job.ts";
import { deployDefaults } from "../factory/order.ts";
import { isInRemovedHalf } from "../factory/reliability.ts";
import { loadSource } from "../factory/source.ts";
import type { Trainer } from "../factory/trainer.ts";
import { ScriptedEngine } from "../gateway/testing/scriptedEngine.ts";
import { Grounds } from "./grounds.ts";
import type { NeuralManifest } from "./neuralModels.ts";
import { NeuralReliability } from "./neuralReliability.ts";
import type { ScoringEngine } from "./reading.ts";
import { neuralWorld, recordOf, trainedJob } from "./testing/neuralWorld.ts";

const dishes = [
  ...["lentils", "bread", "noodles", "rice", "beans", "cabbage", "pumpkin", "barley", "turnips", "millet", "spinach"],
  ...["onions", "peppers", "mushrooms", "carrots", "leeks", "parsnips", "chestnuts", "apples", "plums", "quinces"],
];
const records = dishes.map((dish, i) => {
  const text = `Roast ${dish} above ${dishes[(i + 5) % 21]} beneath ${dishes[(i + 9) % 21]} until ${dish} whistle.`;
  return { ...recordOf(`cook${i}`, text), headingPath: [`How do I cook ${dish}?`] };
});
const name = "ft:tiny:cook";
const folder = mkdtempSync(join(tmpdir(), "openledger-reliability-"));
let world: Awaited<ReturnType<typeof neuralWorld>>;
let job: Job;
let weights: string;
beforeAll(async () => {
  world = await neuralWorld(folder, new ScriptedEngine([]), records);
  const made = await trainedJob(world.folders, world.base, [world.datanet]);
  const options = { ...made.options, fitsInfluence: true };
  job = { ...made, options, heldOutShare: 0.5, estimate: { ...made.estimate, heldOut: 10 } };
  weights = world.folders.weights(job, undefined);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const sourceOf = ({ source, heldOutShare }: Job) => {
  const noFiles = { fileContent: async () => undefined };
  return loadSource({ datanets: world.store, store: noFiles, pause: async () => {} }, source, heldOutShare);
};

/** Answers each question with six records, one after the other; what a text is worth to a model, others say. */
class Parrot implements Engine, ScoringEngine {
  asked = 0;
  worth: (request: EngineRequest["model"], text: string, read: readonly number[]) => number | undefined = () => 0;

  async *complete() {
    this.asked += 1;
    const said = [0, 4, 7, 11, 13, 18].map((turn) => records[(this.asked + turn) % records.length]!.text).join(" ");
    yield [
      { type: "text" as const, text: said },
      { type: "end" as const, reason: "stop" as const },
    ];
  }

  score: ScoringEngine["score"] = async ({ model, text, reads }) => {
    const logProbabilities = reads.flatMap(
      (read) =>
        this.worth(
          model,
          text,
          read.map(({ number }) => number),
        ) ?? [],
    );
    return logProbabilities.length < reads.length
      ? refuse("upstream_failed", "it cannot tell")
      : ok({ logProbabilities });
  };
}

/** Trains nobody: what it was asked to train. */
class NoTrainer implements Trainer {
  readonly examples: string[][] = [];
  train: Trainer["train"] = async ({ folder, examples }) => {
    mkdirSync(folder, { recursive: true });
    this.examples.push(examples.map(({ record }) => record));
    return ok(undefined);
  };
}

function measurer(engine: Engine & ScoringEngine, trainer: Trainer = new NoTrainer(), said: string[] = []) {
  return new NeuralReliability({
    ...{ trainer, engine, say: (text: string) => said.push(text) },
    jobs: { job: async () => job, source: sourceOf },
  });
}

/** The model as it is served, with room for records or without. */
async function served(contextTokensMax: number) {
  const ground = unwrap(await new Grounds(folder, world.store, world.provenance).of([world.datanet]));
  const { hash } = job.result!;
  const manifest = { name, kind: "adapter", job: job.id, weights, hash, datanets: [world.datanet] };
  return { ground: { ...ground, contextTokensMax }, manifest: manifest as unknown as NeuralManifest };
}

const path = () => `${weights}.reliability.json`;
const readTests = () => JSON.parse(readFileSync(path(), "utf8"));

/** Who was trained on a record says its words at a nat a character, others at two. */
function worthOf(text: string, hasLearnt: (record: string) => boolean): number {
  const sentences = text.split(/(?<=\.) /);
  return -sentences.reduce((sum, sentence) => {
    const record = records.find((one) => one.text.startsWith(sentence));
    return sum + (record !== undefined && hasLearnt(record.text) ? 1 : 2) * sentence.length;
  }, 0);
}

async function learners() {
  const published = await world.store.versionRecords(world.datanet.name, world.datanet.version);
  const ids = new Map(published.map(({ id, text }) => [text, id]));
  const train = new Set(unwrap(await sourceOf(job)).train.map(({ record }) => record));
  const parrot = new Parrot();
  parrot.worth = (model, text) => {
    const [isTwin, isModel] = [model.includes(".reliability"), model.includes(weights)];
    return worthOf(text, (record) => {
      const id = ids.get(record)!;
      return isModel && train.has(id) && !(isTwin && isInRemovedHalf(id));
    });
  };
  return { parrot, train };
}

test("a model that learnt records is measured beside a twin without half of them, once, and served as measured", async () => {
  const { ground, manifest } = await served(0);
  const { parrot, train } = await learners();
  const trainer = new NoTrainer();
  const reliability = measurer(parrot, trainer);
  expect(await reliability.trust(manifest)).toEqual({ span: "unmeasured", passage: "unmeasured" });
  expect(await reliability.measure(manifest, world.base.folder, ground)).toBe(true);
  expect(trainer.examples).toEqual([[...train].filter((id) => !isInRemovedHalf(id))]);
  expect(existsSync(`${weights}.reliability`)).toBe(false);
  const { asked, pieces } = readTests();
  expect(asked).toBe(unwrap(await sourceOf(job)).heldOut[0]!.examples.length);
  const units = (...of: string[]) =>
    pieces
      .filter(({ record }: { record: string }) => of.includes(record))
      .reduce((sum: number, { weight }: { weight: number }) => sum + weight, 0);
  // All that training taught of a removed record is gone, nothing of the others: what the model never had is all that takes away.
  const measuredPpm = Math.floor(
    (1_000_000 * units("removed", "other")) / (units("removed", "other") + units("unused")),
  );
  expect(units("unused")).toBeGreaterThan(0);
  expect(await reliability.trust(manifest)).toEqual({ span: { measuredPpm }, passage: "unmeasured" });
  const before = parrot.asked;
  expect(await reliability.measure(manifest, world.base.folder, ground)).toBe(false);
  expect(parrot.asked).toBe(before);

  const kept: Combination[] = [];
  const keep = async (combination: Combination) => void kept.push(combination);
  const node = await world.start({ reliability, combinations: { policy: defaultPolicy, keep } });
  unwrap(await node.shelf.deploy(job, world.base, { name, ...deployDefaults }));
  expect(combinationText(kept.at(-1)!)).toContain(`method span 1 span match ${measuredPpm} measured\n`);
  await node.stop();
  await reliability.close();
});

test("a model whose job did not ask is measured when its owner does, once, and says how far that is", async () => {
  rmSync(path());
  const asked = job;
  job = { ...asked, options: { ...asked.options, fitsInfluence: false } };
  const { parrot } = await learners();
  const stages: unknown[] = [];
  const trainer = new NoTrainer();
  const reliability = measurer(parrot, {
    train: async (task, onEvent, signal) => {
      onEvent({ type: "started", steps: 4, tokens: 1, resumedAt: 1 });
      stages.push(unwrap(await node.shelf.open(later)));
      return trainer.train(task, onEvent, signal);
    },
  });
  const later = "ft:tiny:later";
  const node = await world.start({ reliability });
  unwrap(await node.shelf.deploy(job, world.base, { name: later, ...deployDefaults }));
  expect([unwrap(await node.shelf.open(later)), trainer.examples]).toEqual([[], []]);
  expect(await node.shelf.measure(later, "influence")).toMatchObject({ error: { code: "conflict" } });
  expect(await node.shelf.measure("none", "matches")).toMatchObject({ error: { code: "model_not_found" } });
  unwrap(await node.shelf.measure(later, "matches"));
  unwrap(await node.shelf.measure(later, "matches"));
  await expect.poll(async () => unwrap(await node.shelf.open(later)), { timeout: 20_000 }).toEqual([]);
  expect(stages).toEqual([[{ what: "matches", stage: "training", done: 1, total: 4 }]]);
  expect(trainer.examples).toHaveLength(1);
  await expect.poll(() => node.shelf.methods(later)?.[0]?.basis).toBe("measured");
  await node.stop();
  await reliability.close();
  // What was asked for is remembered: a node that starts meanwhile goes on with it.
  rmSync(path());
  const again = measurer((await learners()).parrot, new NoTrainer());
  const next = await world.start({ reliability: again });
  await expect.poll(() => existsSync(path()) && readTests().isDone, { timeout: 20_000 }).toBe(true);
  await next.stop();
  await again.close();
  job = asked;
});

test("what is killed goes on where it was, and until then the assumption counts", async () => {
  rmSync(path());
  const { ground, manifest } = await served(0);
  const { parrot } = await learners();
  const first = measurer(parrot);
  const worth = parrot.worth;
  parrot.worth = (...asked) => {
    if (parrot.asked === 4) void first.close();
    return parrot.asked === 4 ? undefined : worth(...asked);
  };
  expect(await first.measure(manifest, world.base.folder, ground)).toBe(false);
  expect(readTests()).toMatchObject({ asked: 3, isDone: false });
  const { parrot: again } = await learners();
  const second = measurer(again);
  expect(await second.trust(manifest)).toMatchObject({ span: "unmeasured" });
  expect(await second.measure(manifest, world.base.folder, ground)).toBe(true);
  expect(again.asked).toBe(readTests().asked - 3);
});

test("a node that stops asks for no more jobs: its store is closed next", async () => {
  const { ground, manifest } = await served(0);
  const said: string[] = [];
  const closed = { job: () => Promise.reject(new Error("Cannot use a pool after calling end")), source: sourceOf };
  const { parrot } = await learners();
  const reliability = new NeuralReliability({
    ...{ trainer: new NoTrainer(), engine: parrot, jobs: closed, say: (text: string) => said.push(text) },
  });
  await reliability.close();
  expect(await reliability.measure(manifest, world.base.folder, ground)).toBe(false);
  expect(said).toEqual([]);
});

test("a model that reads records is measured by what each does to the answer", async () => {
  rmSync(path());
  const { ground, manifest } = await served(4_096);
  const parrot = new Parrot();
  // It needs whatever it has read.
  parrot.worth = (_model, text, read) => -(text.length * (7 - read.length)) / 7;
  const reliability = measurer(parrot);
  expect(await reliability.measure(manifest, world.base.folder, ground)).toBe(true);
  const { pieces } = readTests();
  expect(new Set(pieces.map(({ record }: { record: string }) => record))).toEqual(new Set(["removed", "unused"]));
  const { span } = await reliability.trust(manifest);
  expect(span).toEqual({ measuredPpm: expect.any(Number) });
});

test("an engine that cannot tell leaves it unmeasured, and says so", async () => {
  rmSync(path());
  const { ground, manifest } = await served(0);
  const parrot = new Parrot();
  parrot.worth = () => undefined;
  const said: string[] = [];
  const reliability = measurer(parrot, new NoTrainer(), said);
  expect(await reliability.measure(manifest, world.base.folder, ground)).toBe(false);
  expect(said).toEqual([`what matches is not measured on ${name}: the engine cannot say how likely an answer is`]);
  expect(await reliability.trust(manifest)).toMatchObject({ span: "unmeasured" });
});

test("nothing is asked where nothing was held out or nobody asked for it, and a file of other weights counts as none", async () => {
  rmSync(path(), { force: true });
  const { ground, manifest } = await served(0);
  const parrot = new Parrot();
  const asked = job;
  for (const changed of [
    { ...asked, estimate: { ...asked.estimate, heldOut: 0 } },
    { ...asked, options: { ...asked.options, fitsInfluence: false } },
  ]) {
    job = changed;
    expect(await measurer(parrot).measure(manifest, world.base.folder, ground)).toBe(false);
  }
  job = asked;
  expect([parrot.asked, existsSync(path())]).toEqual([0, false]);
  const piece = { method: "span", weight: 1, record: "removed", confirmed: 1 };
  const tests = { hash: manifest.hash, datanets: [world.datanet.id], asked: 9, isDone: true };
  const whole = { ...tests, pieces: Array.from({ length: 8 }, () => piece) };
  for (const [text, span] of [
    [JSON.stringify(whole), { measuredPpm: 1_000_000 }],
    [JSON.stringify({ ...whole, hash: "0x00" }), "unmeasured"],
    [JSON.stringify({ ...whole, datanets: [] }), "unmeasured"],
    [JSON.stringify(whole).slice(0, 99), "unmeasured"],
  ] as const) {
    writeFileSync(path(), text);
    expect((await measurer(parrot).trust(manifest)).span).toEqual(span);
  }
});
