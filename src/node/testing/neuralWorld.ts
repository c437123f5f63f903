import { join } from "node:path";
import { fromHex, toHex } from "../../core/bytes.ts";
import type { Engine } from "../../core/engine.ts";
import { noPrices } from "../../core/quote.ts";
import { unwrap } from "../../core/result.ts";
import { createDatanet } from "../../datanets/datanet.ts";
import { publishVersion, submitContribution } from "../../datanets/intake.ts";
import { MemoryDatanetStore } from "../../datanets/memoryStore.ts";
import type { RecordContent } from "../../datanets/record.ts";
import type { DatanetRef, Job } from "../../factory/job.ts";
import type { Base } from "../../factory/ports.ts";
import { Gateway } from "../../gateway/gateway.ts";
import { creditChain } from "../../ledger/creditChain.ts";
import { parties, smallLedger } from "../../ledger/testing/smallLedger.ts";
import { writeLlamaFolder } from "../../models/formats/huggingFaceFile.ts";
import { writeAdapterFolder } from "../../models/formats/peftFile.ts";
import { houseTokenizer } from "../../models/houseTokenizerFile.ts";
import { projections } from "../../models/llama.ts";
import type { LoraShape } from "../../models/lora.ts";
import { randomLlama, randomLora, tinyShape } from "../../models/testing/randomLlama.ts";
import { hashTensors } from "../../models/training/trainingRun.ts";
import { chatCompletionSchema } from "../../protocol/completions.ts";
import { CombinationShelf } from "../combinationShelf.ts";
import { BaseShelf } from "../factoryBases.ts";
import { FactoryFolders } from "../factoryFolders.ts";
import { Grounds } from "../grounds.ts";
import { embeddedCost } from "../modelShelf.ts";
import { type NeuralParts, NeuralShelf } from "../neuralShelf.ts";
import { registerVersion } from "../provenance.ts";

export const testLora: LoraShape = { rank: 2, alpha: 4, dropout: 0, targets: projections };
export const testBaseShape = tinyShape({ vocabulary: 8_192, hidden: 16, intermediate: 32, heads: 2, keyValueHeads: 1 });

/** Ann and Ben, who wrote a record each. */
export const recipes: readonly RecordContent[] = [
  recordOf("ann", "Knead the dough for ten minutes, then let it rest under a cloth until it has doubled."),
  recordOf("ben", "Simmer the lentils with bay leaves and a whole onion, and salt them only at the end."),
];

/** A node's parts for neural models, over memory and one folder: a datanet of some people, a base with random weights, a gateway. */
export async function neuralWorld(folder: string, engine: Engine, records = recipes) {
  const store = new MemoryDatanetStore();
  const { ledger } = await smallLedger();
  const provenance = { chain: creditChain(parties.node.slice(12)), ledger };
  const datanet = await publish(store, provenance, "recipes", records);
  const base = { shape: testBaseShape, tensors: randomLlama(testBaseShape, 1), tokenizer: houseTokenizer() };
  unwrap(await writeLlamaFolder(join(folder, "bases", "tiny"), base));
  const bases = new BaseShelf(folder, join(folder, "no house"));
  const folders = new FactoryFolders(folder);
  const world = { nowMs: () => 1_700_000_000_000, elapsedMs: () => performance.now(), log: () => undefined };
  let drawn = 0;
  const randomBytes = (size: number): Uint8Array => {
    drawn += 1;
    return new Uint8Array(size).fill(drawn);
  };
  /** A node that starts: what it served before is served again. */
  const start = async (more: Partial<Pick<NeuralParts, "influence" | "reliability" | "combinations">> = {}) => {
    const gateway = new Gateway({ ledger, world: { ...world, randomBytes } }, { timeouts: { receiptMs: 60_000 } });
    const shelf = new NeuralShelf({
      ...{ data: folder, provenance, gateway, bases, folders, engine, nowMs: world.nowMs },
      ...{ grounds: new Grounds(folder, store, provenance), operator: parties.operator, cost: embeddedCost },
      combinations: unwrap(await CombinationShelf.open(folder)),
      ...more,
    });
    const said: string[] = [];
    unwrap(await shelf.restore((text) => said.push(text)));
    const { url } = unwrap(await gateway.listen(0));
    return { gateway, shelf, said, url, stop: () => gateway.drain(10) };
  };
  const account = unwrap(await ledger.accounts.open({ name: "asker" }));
  unwrap(await ledger.accounts.credit({ account: account.id, amount: 10_000_000_000, key: "1", note: "test" }));
  const { secret } = unwrap(await ledger.accounts.createKey({ account: account.id, name: "test" }));
  const post = async (url: string, model: string) => {
    const body = JSON.stringify({ model, messages: [{ role: "user", content: "How do I knead?" }], max_tokens: 40 });
    const headers = { authorization: `Bearer ${secret}`, "content-type": "application/json" };
    const response = await fetch(`${url}/v1/chat/completions`, { method: "POST", headers, body });
    return { status: response.status, text: await response.text() };
  };
  const ask = async (url: string, model: string) =>
    chatCompletionSchema.parse(JSON.parse((await post(url, model)).text));
  return {
    store,
    ledger,
    provenance,
    datanet,
    base: unwrap(await bases.find("tiny")),
    bases,
    folders,
    start,
    post,
    ask,
  };
}

/** A job that has trained an adapter: its weights are random, and lie where the trainer would have put them. */
export async function trainedJob(
  folders: FactoryFolders,
  base: Base,
  datanets: readonly DatanetRef[],
  id = "ftjob-0123456789abcdef01234567",
): Promise<Job> {
  const tensors = randomLora(base.shape, testLora, id.length + id.charCodeAt(8));
  const options = {
    ...{ adapter: testLora, epochs: 2, batchSize: 4, sequenceTokens: 64, learningRate: 0.003, warmUp: 0.05 },
    ...{ weightDecay: 0.01, gradientNormMax: 1, seed: 1, patience: 0, checkpointEvery: 5, fitsInfluence: false },
  };
  const estimate = {
    ...{ examples: 2, heldOut: 0, tokens: 40, trainedTokens: 80, steps: 2, tokensPerSecond: 1_000, isMeasured: true },
    ...{ seconds: 3, cost: 0, dataFee: 0 },
  };
  const job: Job = {
    ...{ id, account: "acct_1", createdMs: 1_700_000_000_000, orderHash: toHex(new Uint8Array(32)), heldOutShare: 0.1 },
    ...{ status: "succeeded", base: { name: base.name, hash: base.hash }, options, estimate },
    source: { kind: "datanets", datanets },
    result: {
      ...{ hash: toHex(fromHex(hashTensors(tensors))), kind: "adapter", steps: 2, trainedTokens: 80, reason: "done" },
      ...{ build: "test", heldOutLoss: 2.5 },
    },
    prices: { cost: noPrices, royalty: noPrices },
    ...{ paid: [], checkpoints: [], evaluations: [], deployments: [] },
  };
  unwrap(await writeAdapterFolder(folders.weights(job, undefined), { lora: testLora, tensors }, base));
  return job;
}

async function publish(
  store: MemoryDatanetStore,
  provenance: Parameters<typeof registerVersion>[0],
  name: string,
  records: readonly RecordContent[],
): Promise<DatanetRef> {
  const owner = toHex(parties.owner);
  const draft = { name, summary: "how to cook", licence: "CC-BY-4.0", rules: { review: "open" as const } };
  unwrap(await store.createDatanet(unwrap(createDatanet(draft, owner, 1)), new Uint8Array(32).fill(7)));
  unwrap(await submitContribution(store, name, { by: owner, label: "first", licence: "CC-BY-4.0", records }, 1));
  const { version } = unwrap(await publishVersion(store, name, owner, 1));
  unwrap(await registerVersion(provenance, version, "CC-BY-4.0"));
  return { name, version: version.number, id: version.id, licence: "CC-BY-4.0", records: version.records.length };
}

export function recordOf(author: string, text: string): RecordContent {
  return {
    ...{ title: `${author}'s page`, headingPath: ["How to cook"], text, source: `test ${author}`, date: null },
    ...{ licence: "CC-BY-4.0", authors: [{ identity: `git:${author}@example.org`, name: author }] },
  };
}
