import { join } from "node:path";
import { unwrap } from "../src/core/result.ts";
import { type CorpusIndex, indexTokens } from "../src/models/corpusIndex.ts";
import { writeJson } from "../src/models/formats/atomicFile.ts";
import { readLlamaFolder } from "../src/models/formats/huggingFaceFile.ts";
import { houseModelFolder } from "../src/models/houseModelFile.ts";
import { houseTokenizer } from "../src/models/houseTokenizerFile.ts";
import { nextTokens } from "../src/models/infinigram.ts";
import { loadRuntime } from "../src/models/onnx/runtime.ts";
import { batchOf } from "../src/models/training/batch.ts";
import { type EncodedExample, encodeExample } from "../src/models/training/chatTemplate.ts";
import { Computation } from "../src/models/training/neuralModel.ts";
import { windowsOf } from "../src/models/training/packing.ts";
import type { TrainingExample } from "../src/models/training/task.ts";
import { type HouseCorpus, readHouseCorpus } from "./support/houseCorpus.ts";

/** One predicted token: what each model gave it, and how much context the ∞-gram found. */
interface Prediction {
  readonly neural: number;
  readonly counted: number;
  readonly uniform: number;
  readonly bucket: number;
}

const WINDOW_TOKENS = 256;
/** Suffix lengths, as the mixture tells them apart. */
const buckets = [0, 1, 2, 3, 4, 6, 8, 12, 16, 32];

/**
 * Held-out loss of the house model, of the ∞-gram model over the records that it was trained on, and of their mixture, in nats a token. The mixture's shares, one set for each length of
 * the suffix that the ∞-gram found, are fitted by expectation maximisation on one half of the held-out records and measured on the other. With OPENLEDGER_WRITE_HOUSE
 * set to a folder, writes there what the model was made from, with these figures.
 */
export async function run(): Promise<void> {
  const corpus = readHouseCorpus();
  if (corpus === undefined) return;
  const house = unwrap(await readLlamaFolder(houseModelFolder()));
  const machine = { runtime: unwrap(await loadRuntime()), threads: 1 };
  const computation = await Computation.open(machine, { shape: house.shape, weights: house.tensors }, { losses: true });
  const index = indexOf(corpus.examples);
  const encoded = corpus.heldOut.map((example) => encodeExample(houseTokenizer(), example));
  const halves: [Prediction[], Prediction[]] = [[], []];
  for (const [i, example] of encoded.entries())
    for (const window of windowsOf(example, WINDOW_TOKENS))
      halves[i % 2 === 0 ? 0 : 1].push(...(await predict(computation, index, window)));
  await computation.close();
  const [fitting, measured] = halves;
  const figures = {
    heldOutRecords: encoded.length,
    tokensMeasured: measured.length,
    neuralNats: round(lossOf(measured, weigh(fitting, ["neural"]))),
    infinigramNats: round(lossOf(measured, weigh(fitting, ["counted", "uniform"]))),
    mixtureNats: round(lossOf(measured, weigh(fitting, ["neural", "counted", "uniform"]))),
    indexTokens: index.tokens.length,
  };
  console.table(corpus.sources);
  console.table(figures);
  const target = process.env["OPENLEDGER_WRITE_HOUSE"];
  if (target !== undefined) unwrap(await writeJson(join(target, "openledger.json"), notesOf(corpus, figures)));
  console.log(JSON.stringify(figures));
}

interface Figures {
  readonly neuralNats: number;
  readonly infinigramNats: number;
  readonly mixtureNats: number;
}

/** What the node reads beside a base's weights: licence, sources and figures. */
function notesOf({ sources }: HouseCorpus, { neuralNats, infinigramNats, mixtureNats }: Figures): object {
  return {
    licence: "CC-BY-4.0",
    source: "Trained from nothing by `npm run bench -- house`.",
    madeFrom: sources,
    figures: {
      "held-out loss, nats a token": neuralNats,
      "of the ∞-gram model over the same records": infinigramNats,
      "of the mixture of both": mixtureNats,
    },
  };
}

/** The training records as the model saw them, a conversation as its template writes it. */
function indexOf(examples: readonly TrainingExample[]): CorpusIndex {
  const tokenizer = houseTokenizer();
  const texts = examples.map((example) => encodeExample(tokenizer, example).tokens);
  // The end-of-record token separates records in an index: it is left off where a text carries it.
  const records = texts.map((tokens) => tokens.filter((token) => token !== 0));
  return indexTokens(tokenizer, records, new Uint8Array(32 * records.length));
}

async function predict(computation: Computation, index: CorpusIndex, window: EncodedExample): Promise<Prediction[]> {
  const { feeds } = batchOf([[window]], 1);
  const losses = (await computation.run(feeds)).get("losses")!.data;
  const predictions: Prediction[] = [];
  for (const [at, isTarget] of window.isTarget.entries()) {
    if (isTarget === 0) continue;
    const from = window.tokens.lastIndexOf(0, at - 1) + 1;
    const { suffixLength, total, tokens } = nextTokens(index, window.tokens.subarray(from, at));
    const count = tokens.find(({ token }) => token === window.tokens[at])?.count ?? 0;
    predictions.push({
      ...{ neural: Math.exp(-losses[predictions.length]!), counted: count / Math.max(1, total) },
      ...{
        uniform: 1 / index.tokenizer.bytes.length,
        bucket: buckets.findLastIndex((length) => length <= suffixLength),
      },
    });
  }
  return predictions;
}

type Part = "neural" | "counted" | "uniform";
/** For each bucket, the share of each part; they sum to 1. */
type Shares = readonly (readonly (readonly [Part, number])[])[];

function weigh(predictions: readonly Prediction[], parts: readonly Part[]): Shares {
  return buckets.map((_length, bucket) => {
    const own = predictions.filter((one) => one.bucket === bucket);
    let shares = parts.map((part): readonly [Part, number] => [part, 1 / parts.length]);
    for (let round = 0; round < 50 && own.length > 0 && parts.length > 1; round++) {
      const sums = shares.map(() => 0);
      for (const one of own) {
        const total = shares.reduce((sum, [part, share]) => sum + share * one[part], 0);
        for (const [i, [part, share]] of shares.entries()) sums[i]! += (share * one[part]) / total;
      }
      shares = shares.map(([part], i) => [part, sums[i]! / own.length]);
    }
    return shares;
  });
}

function lossOf(predictions: readonly Prediction[], shares: Shares): number {
  let nats = 0;
  for (const one of predictions)
    nats -= Math.log(shares[one.bucket]!.reduce((sum, [part, share]) => sum + share * one[part], 0));
  return nats / predictions.length;
}

function round(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
