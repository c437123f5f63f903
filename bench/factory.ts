import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import { z } from "zod";
import { unwrap } from "../src/core/result.ts";
import { exampleOf, splitHeldOut } from "../src/factory/examples.ts";
import { type DeployWish, isOver, type Job } from "../src/factory/job.ts";
import { deployDefaults } from "../src/factory/order.ts";
import type { Base } from "../src/factory/ports.ts";
import { indexTokens } from "../src/models/corpusIndex.ts";
import { readLlamaFolder } from "../src/models/formats/huggingFaceFile.ts";
import { readAdapterFolder } from "../src/models/formats/peftFile.ts";
import { loadRuntime } from "../src/models/onnx/runtime.ts";
import { encodeExample } from "../src/models/training/chatTemplate.ts";
import { Computation } from "../src/models/training/neuralModel.ts";
import { windowsOf } from "../src/models/training/packing.ts";
import { randomOf } from "../src/models/training/random.ts";
import type { TrainingExample } from "../src/models/training/task.ts";
import { Children } from "../src/node/children.ts";
import { type Node, startNode } from "../src/node/node.ts";
import { chatCompletionSchema } from "../src/protocol/completions.ts";
import { agreementOf } from "./support/agreement.ts";
import { bootstrapInterval } from "./support/ldsScore.ts";
import { lossOf, type Part, type Prediction, predict, weigh } from "./support/mixture.ts";

const DATA = "../shared/data/gsm8k.jsonl.gz";
const RECORDS = 400;
const DATANET = "school-problems";
const MODEL = "school";
const AGREEMENT_EXAMPLES = 24;
const recordSchema = z.object({
  id: z.string(),
  question: z.string(),
  answer: z.string(),
  authors: z.array(z.string()),
});

/**
 * The Model Factory from end to end on the house model: from a published datanet to an adapter that is trained, deployed, priced and answering with a receipt,
 * in wall time and CPU time; whether the same training gives the same hash; held-out loss of the adapter beside its base, the ∞-gram model of the datanet and their mixture; and how far the engine that trains and
 * the one that serves are apart. Speed of training and serving of hundreds of adapters: `training --peers` and `serving`.
 */
export async function run(): Promise<void> {
  if (!existsSync(DATA)) {
    console.log(`absent, so there is nothing to train on: ${DATA}`);
    return;
  }
  const data = await mkdtemp(join(tmpdir(), "openledger-factory-"));
  const children = new Children(process, () => undefined);
  try {
    const options = { data, port: 0, isCredit: true, epochMs: 0, say: () => undefined };
    const node = unwrap(await startNode(options, children));
    await publishDatanet(node);
    const base = unwrap(await node.factory.bases.find("house"));
    const made = await fromDatanetToAnswer(node, base);
    const again = await until(node, await order(node), isOver);
    const figures = {
      ...made.figures,
      isSameHash: again.result?.hash === made.hash,
      ...(await heldOutLosses(node, base, made.adapter, made.heldOut)),
      ...(await mixtures(node, base, made.adapter, made.heldOut)),
      ...(await agreements(base, made.adapter, made.heldOut, data)),
    };
    console.table(figures);
    console.log(JSON.stringify(figures));
  } finally {
    await children.stopAll();
    await rm(data, { recursive: true, force: true });
  }
}

async function publishDatanet({ workshop }: Node): Promise<void> {
  const lines = gunzipSync(readFileSync(DATA)).toString("utf8").split("\n").slice(0, RECORDS);
  const records = lines.map((line) => recordSchema.parse(JSON.parse(line)));
  const draft = {
    name: DATANET,
    summary: "worked school problems",
    licence: "MIT",
    rules: { review: "open" as const },
  };
  unwrap(await workshop.createDatanet(draft));
  const contents = records.map(({ id, question, answer, authors }) => ({
    ...{ title: id, headingPath: [], text: `Question: ${question}\nAnswer: ${answer}`, source: id, licence: "MIT" },
    ...{
      date: null,
      authors: authors.map((name) => ({
        identity: `git:${name.toLowerCase().replaceAll(/\W+/g, ".")}@example.org`,
        name,
      })),
    },
  }));
  unwrap(await workshop.contribute(DATANET, { label: "problems", licence: "MIT", records: contents }));
  unwrap(await workshop.publish(DATANET));
}

async function fromDatanetToAnswer(node: Node, base: Base) {
  const startedMs = performance.now();
  const seconds = (): number => round((performance.now() - startedMs) / 1_000);
  const first = await order(node, { name: MODEL, ...deployDefaults });
  const trained = await until(node, first, ({ deployments }) => deployments.length > 0);
  const deployedAt = seconds();
  const heldOut = await heldOutOf(node, trained);
  const answer = await ask(node, heldOut[0]!);
  const answeredAt = seconds();
  const done = await until(node, first, isOver);
  const { examples, tokens, steps } = done.estimate;
  const part = done.evaluations[0]?.parts[0];
  return {
    ...{ hash: done.result?.hash, heldOut, adapter: node.factory.folders.weights(done, undefined), base },
    figures: {
      ...{ examples, tokensAnEpoch: tokens, epochs: done.options.epochs, steps },
      ...{ trainerCpuSeconds: trained.cpuSeconds, secondsToDeployed: deployedAt, secondsToAnswer: answeredAt },
      ...{ answerTokens: answer.usage.completion_tokens, feeNano: answer.openledger.fee.amount },
      ...{ baseExactMatch: part?.base.exactMatch, adapterExactMatch: part?.model.exactMatch },
      ...{ baseGrounding: part?.base.grounding, adapterGrounding: part?.model.grounding },
    },
  };
}

async function order({ factory, ledger }: Node, deploy?: DeployWish): Promise<string> {
  const account = ledger.accounts.list()[0]!.id;
  const source = { kind: "datanets", datanets: [{ name: DATANET }] } as const;
  const wanted = { base: "house", source, wish: {}, ...(deploy === undefined ? {} : { deploy }) };
  return unwrap(await factory.factory.order({ account }, wanted)).job.id;
}

/** Looks now and then, as a user would; what the trainer's process has used is read while it lives. */
async function until({ factory }: Node, id: string, isThere: (job: Job) => boolean) {
  let cpuSeconds = 0;
  for (;;) {
    const [pid] = factory.trainer.pids;
    if (pid !== undefined) cpuSeconds = cpuSecondsOf(pid) ?? cpuSeconds;
    const job = unwrap(await factory.factory.job(undefined, id));
    if (job.status === "failed") throw new Error(job.error?.message);
    if (isThere(job)) return { ...job, cpuSeconds };
    await sleep(250);
  }
}

async function heldOutOf({ datanets }: Node, job: Job): Promise<readonly TrainingExample[]> {
  const version = (await datanets.version(DATANET))!;
  const records = await datanets.versionRecords(DATANET, version.number);
  return splitHeldOut(records.map(exampleOf), job.heldOutShare).heldOut;
}

async function ask(node: Node, example: TrainingExample) {
  const content = "messages" in example ? example.messages[0]!.content : example.text;
  const response = await fetch(`${node.url}/v1/chat/completions`, {
    ...{ method: "POST", headers: { authorization: `Bearer ${node.adminKey}`, "content-type": "application/json" } },
    body: JSON.stringify({ model: MODEL, messages: [{ role: "user", content }], max_tokens: 64 }),
  });
  return chatCompletionSchema.parse(await response.json());
}

/** Nats a token, with the interval of the gain over resampled held-out records. */
async function heldOutLosses(node: Node, base: Base, adapter: string, examples: readonly TrainingExample[]) {
  const task = { base: base.folder, examples, sequenceTokens: base.shape.contextTokens };
  const { signal } = new AbortController();
  const before = unwrap(await node.factory.evaluator.losses(task, signal));
  const after = unwrap(await node.factory.evaluator.losses({ ...task, adapter }, signal));
  const tokens = before.reduce((sum, one) => sum + one.tokens, 0);
  const of = (losses: typeof before): number => losses.reduce((sum, { loss }) => sum + loss, 0) / tokens;
  const gains = before.map(({ loss, tokens: count }, i) => (loss - after[i]!.loss) / Math.max(1, count));
  const [low, high] = bootstrapInterval(gains, randomOf(1));
  return {
    heldOut: examples.length,
    baseNats: round(of(before)),
    adapterNats: round(of(after)),
    gainLow: round(low),
    gainHigh: round(high),
  };
}

async function agreements(base: Base, adapter: string, heldOut: readonly TrainingExample[], folder: string) {
  const machine = { runtime: unwrap(await loadRuntime()), threads: 1 };
  const model = unwrap(await readLlamaFolder(base.folder));
  const lora = unwrap(await readAdapterFolder(adapter, base.shape));
  const examples = heldOut
    .slice(0, AGREEMENT_EXAMPLES)
    .flatMap((example) => windowsOf(encodeExample(base.tokenizer, example), base.shape.contextTokens - 1));
  const of = (cache: "F32" | "F16", worn: typeof lora | undefined) =>
    agreementOf(machine, model, worn, examples, { folder, cache });
  const [plain, adapted, served] = [await of("F32", undefined), await of("F32", lora), await of("F16", lora)];
  return {
    agreementTokens: plain.tokens,
    baseLargestNats: exact(plain.largest),
    adapterLargestNats: exact(adapted.largest),
    servedLargestNats: exact(served.largest),
    servedMeanNats: exact(served.mean),
  };
}

/** Whether the ∞-gram model of what was trained on adds to the adapter: nats a target on one half of the held-out records, shares fitted on the other. */
async function mixtures(node: Node, base: Base, adapter: string, heldOut: readonly TrainingExample[]) {
  const machine = { runtime: unwrap(await loadRuntime()), threads: 1 };
  const { tensors: weights } = unwrap(await readLlamaFolder(base.folder));
  const worn = unwrap(await readAdapterFolder(adapter, base.shape));
  const computation = await Computation.open(machine, { shape: base.shape, weights, adapter: worn }, { losses: true });
  const kept = new Set(heldOut.map(({ record }) => record));
  const records = (await node.datanets.versionRecords(DATANET, 1)).filter(({ id }) => !kept.has(id));
  const texts = records.map((record) => encodeExample(base.tokenizer, exampleOf(record)).tokens);
  const bare = texts.map((tokens) => tokens.filter((token) => token !== 0));
  const index = indexTokens(base.tokenizer, bare, new Uint8Array(32 * bare.length));
  const halves: [Prediction[], Prediction[]] = [[], []];
  for (const [i, example] of heldOut.entries())
    for (const window of windowsOf(encodeExample(base.tokenizer, example), base.shape.contextTokens))
      halves[i % 2 === 0 ? 0 : 1].push(...(await predict(computation, index, window)));
  await computation.close();
  const [fitting, measured] = halves;
  const of = (parts: readonly Part[]): number => round(lossOf(measured, weigh(fitting, parts)));
  return {
    ...{ adapterAloneNats: of(["neural"]), infinigramAloneNats: of(["counted", "uniform"]) },
    mixtureNats: of(["neural", "counted", "uniform"]),
  };
}

/** proc(5) stat, fields 14 and 15, in hundredths of a second; undefined once it has ended. */
function cpuSecondsOf(pid: number): number | undefined {
  if (!existsSync(`/proc/${pid}/stat`)) return undefined;
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function round(value: number): number {
  return Math.round(1_000 * value) / 1_000;
}

function exact(value: number): number {
  return Number(value.toPrecision(3));
}
