import { join } from "node:path";
import { unwrap } from "../src/core/result.ts";
import { type CorpusIndex, indexTokens } from "../src/models/corpusIndex.ts";
import { writeJson } from "../src/models/formats/atomicFile.ts";
import { readLlamaFolder } from "../src/models/formats/huggingFaceFile.ts";
import { houseModelFolder } from "../src/models/houseModelFile.ts";
import { houseTokenizer } from "../src/models/houseTokenizerFile.ts";
import { loadRuntime } from "../src/models/onnx/runtime.ts";
import { encodeExample } from "../src/models/training/chatTemplate.ts";
import { Computation } from "../src/models/training/neuralModel.ts";
import { windowsOf } from "../src/models/training/packing.ts";
import type { TrainingExample } from "../src/models/training/task.ts";
import { type HouseCorpus, readHouseCorpus } from "./support/houseCorpus.ts";
import { lossOf, type Prediction, predict, weigh } from "./support/mixture.ts";

const WINDOW_TOKENS = 256;
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

function round(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
