import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { memoryCorpus } from "../attribution/corpus.ts";
import { influenceMethod } from "../attribution/description.ts";
import type { Evidence } from "../attribution/evidence.ts";
import { packFactors, parseFactors } from "../attribution/influence/factorsFile.ts";
import { evidenceDistance } from "../attribution/influence/influenceEvidence.ts";
import { type Combination, combinationHash, combinationText, defaultPolicy } from "../attribution/policy.ts";
import { engineChecks } from "../cli/commands/openedEngine.ts";
import { fromHex, toHex } from "../core/bytes.ts";
import { refuse, unwrap } from "../core/result.ts";
import type { DatanetRecord } from "../datanets/record.ts";
import type { Evaluator } from "../factory/evaluator.ts";
import type { Job } from "../factory/job.ts";
import { deployDefaults } from "../factory/order.ts";
import { loadSource } from "../factory/source.ts";
import type { Trainer } from "../factory/trainer.ts";
import { ScriptedEngine } from "../gateway/testing/scriptedEngine.ts";
import { smallJournal } from "../ledger/testing/smallJournal.ts";
import { buildIndex } from "../models/corpusIndex.ts";
import { readAdapterFolder } from "../models/formats/peftFile.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import type { TrainingEvent, TrainingTask } from "../models/training/task.ts";
import { hashTensors } from "../models/training/trainingRun.ts";
import type { Opening } from "../protocol/receipts.ts";
import { ChildEvaluator, ChildTrainer } from "../upstream/trainer.ts";
import { Grounds } from "./grounds.ts";
import { answerExample, NeuralInfluence } from "./neuralInfluence.ts";
import { neuralWorld, recordOf, trainedJob } from "./testing/neuralWorld.ts";

const dishes = [
  ...["lentils", "bread", "noodles", "rice", "beans", "cabbage", "pumpkin", "barley", "turnips", "millet", "spinach"],
  ...["onions", "peppers", "mushrooms", "carrots", "leeks", "parsnips", "chestnuts", "apples", "plums", "quinces"],
];
const verbs = ["Simmer", "Roast", "Steam", "Fry", "Bake"];
const records = dishes.flatMap((dish, i) => {
  const [verb, other] = [verbs[i % 5], dishes[(i + 7) % dishes.length]];
  const texts = [
    `${verb} ${dish} until ${dish} are soft, then serve ${dish} with ${other}.`,
    `Whoever has ${other} may ${verb} ${dish}: until ${dish} are soft, ${dish} want time.`,
  ];
  return texts.map((text, n) => ({ ...recordOf(`cook${i}${n}`, text), headingPath: [`How do I cook ${dish}?`] }));
});
const folder = mkdtempSync(join(tmpdir(), "openledger-influence-"));
const [trainer, evaluator, asker] = [new ChildTrainer(), new ChildEvaluator(), new ChildEvaluator()];
const twoThreads = new ChildEvaluator({ threads: 2 });
/** Combinations with influence. */
const kept: Combination[] = [];
const said: string[] = [];
let world: Awaited<ReturnType<typeof neuralWorld>>;
let job: Job;
let factorsBefore: Uint8Array;
let published: readonly DatanetRecord[];
beforeAll(async () => {
  const engine = new ScriptedEngine([{ say: records[2]!.text }, { usage: [12, 20] }, { end: "stop" }]);
  world = await neuralWorld(folder, engine, records);
  published = await world.store.versionRecords(world.datanet.name, world.datanet.version);
  job = await learnt(await trainedJob(world.folders, world.base, [world.datanet]));
});
afterAll(async () => {
  await Promise.all([trainer.close(), evaluator.close(), asker.close(), twoThreads.close()]);
  rmSync(folder, { recursive: true, force: true });
});

/** The job with an adapter that has really learnt its records. */
async function learnt(made: Job): Promise<Job> {
  const adapter = { rank: 8, alpha: 16, dropout: 0, targets: made.options.adapter!.targets };
  const options = { ...made.options, adapter, epochs: 20, learningRate: 0.02, fitsInfluence: true };
  const asked: Job = { ...made, options, heldOutShare: 0.2 };
  rmSync(world.folders.weights(made, undefined), { recursive: true });
  const { train } = unwrap(await sourceOf(asked));
  const task = {
    folder: world.folders.training(made.id),
    base: world.base.folder,
    examples: train,
    heldOut: [],
    options,
  };
  unwrap(await trainer.train(task, () => {}, new AbortController().signal));
  const { tensors } = unwrap(await readAdapterFolder(world.folders.weights(made, undefined), world.base.shape));
  return { ...asked, result: { ...made.result!, hash: `0x${hashTensors(tensors)}` } };
}

function sourceOf({ source, heldOutShare }: Job) {
  const noFiles = { fileContent: async () => undefined };
  return loadSource({ datanets: world.store, store: noFiles, pause: async () => {} }, source, heldOutShare);
}

/** A node that starts; `by` answers for influence. */
async function start(by: Evaluator = asker, trains: Trainer = trainer) {
  const influence = new NeuralInfluence({
    ...{
      trainer: trains,
      evaluator,
      asker: by,
      policy: defaultPolicy,
      say: (text: string) => said.push(text),
      pause: async () => {},
    },
    jobs: { job: async () => job, source: sourceOf },
  });
  const keep = async (combination: Combination) => {
    if (combination.methods.some(({ method }) => method.id === "influence")) kept.push(combination);
  };
  const combinations = { policy: defaultPolicy, keep };
  return { ...(await world.start({ influence, combinations })), influence };
}

const order = { name: "ft:tiny:cook", ...deployDefaults };
const question = JSON.stringify([{ role: "user", content: "How do I cook bread?" }]);

/** What influence gives each record for the text of one, in parts of a million. */
async function influenceIn({ shelf, influence }: Awaited<ReturnType<typeof start>>): Promise<readonly Evidence[]> {
  const ground = unwrap(await new Grounds(folder, world.store, world.provenance).of([world.datanet]));
  const weights = world.folders.weights(job, undefined);
  const { wholeMethods } = await influence.ground(ground, { ...shelf.manifest(order.name)!, weights }, world.base);
  const input = { receipt: new Uint8Array(16), prompt: question, answer: records[2]!.text, passages: [] };
  const found = await Promise.all((wholeMethods?.(input) ?? []).map(({ explain }) => explain(1_000_000)));
  return found.flat();
}

test("an adapter is served at once, and with influence and its reliability when that is fitted", async () => {
  const node = await start();
  unwrap(await node.shelf.deploy(job, world.base, order));
  expect(kept).toEqual([]);
  expect(await influenceIn(node)).toEqual([]);
  await expect.poll(() => kept.length, { timeout: 60_000 }).toBe(1);
  expect(said).toEqual([]);

  const folderOfFactors = `${world.folders.weights(job, undefined)}.influence`;
  expect(readdirSync(folderOfFactors)).toEqual(["factors.bin"]);
  const { reliabilityPpm, members, adapter } = unwrap(parseFactors(readFileSync(join(folderOfFactors, "factors.bin"))));
  expect([adapter, ...members.map(({ method }) => method)]).toEqual([job.result!.hash, "ekfac", "ekfac"]);
  expect(new Set(members[0]!.records).size).toBe(unwrap(await sourceOf(job)).train.length);
  expect(reliabilityPpm).toBeGreaterThan(0);
  const line = `method influence 4 influence cause ${reliabilityPpm} measured`;
  expect(combinationText(kept[0]!)).toContain(`${line}\nmethod lineage 1`);

  const evidence = await influenceIn(node);
  const [most] = evidence.toSorted((a, b) => b.weight - a.weight);
  expect(published[most!.recordNumber]!.text).toBe(records[2]!.text);
  expect(most!.weight).toBeGreaterThan(250_000);
  expect(evidence.reduce((sum, { weight }) => sum + weight, 0)).toBeLessThanOrEqual(1_000_000);
  await expect
    .poll(() => unwrap(node.gateway.catalog.find(order.name)).grounding!.methodsHash)
    .toEqual(combinationHash(kept[0]!));
  expect((await world.ask(node.url, order.name)).openledger.credited).toHaveLength(1);
  await node.stop();
}, 120_000);

test("a node that starts again has it, and another number of threads credits within 2 % of the same", async () => {
  const [one, two] = await Promise.all([start(), start(twoThreads)]);
  expect(kept.length).toBe(3);
  const [a, b] = await Promise.all([influenceIn(one), influenceIn(two)]);
  expect(a.length).toBeGreaterThan(0);
  expect(evidenceDistance(a, b)).toBeLessThan(0.02);
  await Promise.all([one.stop(), two.stop()]);
});

test("a verifier that has the model asks it again, and says what it could not ask", async () => {
  const node = await start();
  const stated = (await influenceIn(node)).map((item) => ({ ...item, kind: "influence" as const }));
  await node.stop();
  const numbers = new Map<string, number>(published.map(({ id }, number) => [id, number]));
  const corpus = memoryCorpus(buildIndex(houseTokenizer(), published));
  const zero = toHex(new Uint8Array(16));
  const texts = { prompt: question, answer: records[2]!.text };
  const opening: Opening = { v: 1, promptSalt: zero, answerSalt: zero, ...texts, evidence: [] };
  const check = async (said: readonly Evidence[], hash = job.result!.hash, version = influenceMethod.version) => {
    const { methods, checks } = engineChecks(
      {
        ...{ data: folder, contentRoot: fromHex(hash), corpus, opening, records: undefined, versionOf: () => version },
        ...{ numberOf: (id: string) => numbers.get(id), receipt: smallJournal().receipt.receipt },
      },
      [{ kind: "influence", explain: () => said }],
    );
    await methods[0]!.explain(1_000_000);
    return checks();
  };
  expect(unwrap(await check(stated))).toEqual([
    { kind: "influence", pieces: stated.length, distance: expect.closeTo(0, 2) },
  ]);
  const [before] = unwrap(await check(stated, job.result!.hash, 2));
  expect(before!.why).toBe("it was found by version 2 of influence, this program has version 4");
  const moved = stated.map((item) => ({ ...item, recordNumber: (item.recordNumber + 1) % published.length }));
  expect(await check(moved)).toMatchObject({ ok: false, error: { code: "verification_failed" } });
  const other = toHex(new Uint8Array(32).fill(9));
  expect(unwrap(await check(stated, other))).toMatchObject([
    { distance: undefined, why: expect.stringContaining("not at hand") },
  ]);
});

test("an engine that is gone explains nothing, and factors of other weights count as none", async () => {
  const closed = new ChildEvaluator();
  await closed.close();
  const node = await start(closed);
  expect(await influenceIn(node)).toEqual([]);
  await node.stop();
  const path = `${world.folders.weights(job, undefined)}.influence/factors.bin`;
  factorsBefore = readFileSync(path);
  for (const bytes of [
    packFactors({ ...unwrap(parseFactors(factorsBefore)), adapter: "other" }),
    factorsBefore.subarray(0, 99),
  ]) {
    writeFileSync(path, bytes);
    const said = kept.length;
    const other = await start();
    expect(kept.length).toBe(said);
    await other.influence.close();
    await other.stop();
  }
});

test("where eight answers wait, a ninth is not kept waiting", async () => {
  let asked = 0;
  const busy: Evaluator = {
    losses: (task, signal) => evaluator.losses(task, signal),
    curvature: (task, signal) => evaluator.curvature(task, signal),
    gradients: (_task, _onExample, signal) => {
      asked += 1;
      return new Promise((resolve) => {
        signal.addEventListener("abort", () => resolve(refuse("cancelled", "closed")));
      });
    },
  };
  writeFileSync(`${world.folders.weights(job, undefined)}.influence/factors.bin`, factorsBefore);
  const node = await start(busy);
  const waiting = Array.from({ length: 8 }, () => influenceIn(node));
  await expect.poll(() => asked).toBe(8);
  expect(await influenceIn(node)).toEqual([]);
  expect(asked).toBe(8);
  await node.influence.close();
  expect((await Promise.all(waiting)).flat()).toEqual([]);
  await node.stop();
});

test("a checkpoint is measured beside a twin that learnt as much, and one of an earlier version once more", async () => {
  const before = job;
  const { train } = unwrap(await sourceOf(job));
  const tasks: TrainingTask[] = [];
  const spy: Trainer = {
    train: (task, onEvent, signal) => {
      tasks.push(task);
      return trainer.train(task, onEvent, signal);
    },
  };
  let steps = 0;
  const folderOfHalf = join(folder, "half");
  const task = { base: world.base.folder, examples: train, heldOut: [], options: job.options, stepShare: 0.5 };
  const onEvent = (event: TrainingEvent) => {
    if (event.type === "started") steps = event.steps;
  };
  unwrap(await trainer.train({ ...task, folder: folderOfHalf }, onEvent, new AbortController().signal));
  const step = steps / 2;
  job = { ...job, estimate: { ...job.estimate, steps, heldOut: 8 } };
  cpSync(join(folderOfHalf, "adapter"), world.folders.weights(job, step), { recursive: true });
  const node = await start(asker, spy);
  unwrap(await node.shelf.deploy(job, world.base, { ...order, name: "early", step }));
  const path = `${world.folders.weights(job, step)}.influence/factors.bin`;
  const reliability = () => (existsSync(path) ? unwrap(parseFactors(readFileSync(path))).reliabilityPpm : undefined);
  await expect.poll(reliability, { timeout: 60_000 }).toBeGreaterThan(0);
  expect(tasks).toMatchObject([{ stepShare: 0.5, options: { seed: job.options.seed + 1, patience: 0 } }]);
  const { reliabilityPpm, ...unmeasured } = unwrap(parseFactors(readFileSync(path)));
  writeFileSync(path, packFactors(unmeasured));
  const again = await start(asker, spy);
  await expect.poll(reliability, { timeout: 60_000 }).toBe(reliabilityPpm);
  for (const one of [node, again]) {
    await one.influence.close();
    await one.stop();
  }
  job = before;
}, 120_000);

test("it is missing where the job or the model's owner asked for it, until it is fitted", async () => {
  const asked = job;
  const node = await start();
  const weights = world.folders.weights(job, undefined);
  const manifest = { ...node.shelf.manifest(order.name)!, weights };
  const isMissing = () =>
    Promise.all(
      [manifest, { ...manifest, measured: "influence" as const }].map((one) => node.influence.isMissing(one)),
    );
  expect(await isMissing()).toEqual([false, false]);
  const elsewhere = `${weights}.elsewhere`;
  manifest.weights = elsewhere;
  expect(await isMissing()).toEqual([true, true]);
  job = { ...asked, options: { ...asked.options, fitsInfluence: false } };
  expect(await isMissing()).toEqual([false, true]);
  expect(await node.influence.canFit({ ...manifest, kind: "model" })).toBe(false);
  job = asked;
  await node.influence.close();
  await node.stop();
});

test("an answer is asked about as it was taught", () => {
  expect(answerExample(question, "So.")).toEqual({
    record: "",
    messages: [
      { role: "user", content: "How do I cook bread?" },
      { role: "assistant", content: "So." },
    ],
  });
  expect(answerExample("Once upon", " a time")).toEqual({ record: "", text: " a time" });
  expect(answerExample('{"role":"user"}', "So.")).toEqual({ record: "", text: "So." });
});
