import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getLlama, type LlamaContextSequence, LlamaLogLevel, type Token } from "node-llama-cpp";
import { unwrap } from "../src/core/result.ts";
import { decode } from "../src/models/bpe.ts";
import { type CorpusIndex, indexTokens } from "../src/models/corpusIndex.ts";
import { writeLlamaGguf } from "../src/models/formats/ggufFile.ts";
import { readLlamaFolder } from "../src/models/formats/huggingFaceFile.ts";
import { houseModelFolder } from "../src/models/houseModelFile.ts";
import { houseTokenizer } from "../src/models/houseTokenizerFile.ts";
import { countPattern, nextTokens } from "../src/models/infinigram.ts";
import { loadRuntime } from "../src/models/onnx/runtime.ts";
import { type EncodedExample, encodeExample } from "../src/models/training/chatTemplate.ts";
import { Computation } from "../src/models/training/neuralModel.ts";
import { windowsOf } from "../src/models/training/packing.ts";
import type { TrainingExample } from "../src/models/training/task.ts";
import { tokenOf } from "../src/upstream/llamaToken.ts";
import { readHouseCorpus } from "./support/houseCorpus.ts";
import { bucketOf, lossOf, type Prediction, predict, type Shares, weigh } from "./support/mixture.ts";

const CONTEXT_TOKENS = 256;
const ANSWER_TOKENS = 64;
const QUESTIONS = 120;
/** Tokens in a row that stand in one training record. */
const COPIED_TOKENS = 16;
const ROUNDS = 3;

/**
 * Whether the ∞-gram model of what the house model was trained on, mixed into each token that it says, makes better answers of it. The shares are fitted for each length
 * of the suffix on one half of the held-out records; the other half is answered, plainly and mixed, always by the likeliest token. Beside the loss that the mixture has on the true
 * answers stand the answers themselves: how many of their words are those of the true one (F1), how much of them is copied from one training record, and how fast they come.
 */
export async function run(): Promise<void> {
  const corpus = readHouseCorpus();
  if (corpus === undefined) return;
  const folder = mkdtempSync(join(tmpdir(), "openledger-mixing-"));
  try {
    const index = indexOf(corpus.examples);
    const encoded = corpus.heldOut.map((example) => encodeExample(houseTokenizer(), example));
    const { shares, ...losses } = await fitShares(index, encoded);
    const sequence = await sequenceOf(join(folder, "house.gguf"));
    const asked = encoded
      .filter((_one, i) => i % 2 === 1)
      .flatMap(askedOf)
      .slice(0, QUESTIONS);
    const [plain, mixed]: [Answers[], Answers[]] = [[], []];
    for (let round = 0; round < ROUNDS; round++) {
      plain.push(await answerAll(sequence, index, asked, undefined));
      mixed.push(await answerAll(sequence, index, asked, shares));
    }
    const judged = { plain: judge(plain, asked, index), mixed: judge(mixed, asked, index) };
    const rows = { plain: judged.plain.figures, mixed: judged.mixed.figures };
    const counts = { questions: asked.length, indexTokens: index.tokens.length };
    const figures = { ...losses, ...counts, ...rows, ...difference(judged.plain, judged.mixed) };
    console.table(rows);
    console.log(JSON.stringify(figures));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  // llama.cpp's threads would hold the process.
  process.exit(0);
}

interface Question {
  readonly prompt: readonly number[];
  readonly answer: readonly number[];
}

interface Answers {
  readonly tokens: readonly (readonly number[])[];
  readonly tokensPerSecond: number;
  /** Of tokens, that were not what the model alone would have said. */
  readonly changed: number;
}

/** Shares from one half of the held-out records, and what the mixture loses on the other. */
async function fitShares(index: CorpusIndex, encoded: readonly EncodedExample[]) {
  const house = unwrap(await readLlamaFolder(houseModelFolder()));
  const machine = { runtime: unwrap(await loadRuntime()), threads: 1 };
  const computation = await Computation.open(machine, { shape: house.shape, weights: house.tensors }, { losses: true });
  const halves: [Prediction[], Prediction[]] = [[], []];
  for (const [i, example] of encoded.entries())
    for (const window of windowsOf(example, CONTEXT_TOKENS))
      halves[i % 2 === 0 ? 0 : 1].push(...(await predict(computation, index, window)));
  await computation.close();
  const [fitting, measured] = halves;
  const shares = weigh(fitting, ["neural", "counted"]);
  return {
    shares,
    plainNats: round(lossOf(measured, weigh(fitting, ["neural"]))),
    mixtureNats: round(lossOf(measured, weigh(fitting, ["neural", "counted", "uniform"]))),
  };
}

async function sequenceOf(path: string): Promise<LlamaContextSequence> {
  unwrap(await writeLlamaGguf(path, { ...unwrap(await readLlamaFolder(houseModelFolder())), name: "house" }, "F32"));
  const llama = await getLlama({
    ...{ gpu: false, build: "never", skipDownload: true, usePrebuiltBinaries: true, progressLogs: false },
    ...{ maxThreads: 0, logLevel: LlamaLogLevel.fatal },
  });
  const model = await llama.loadModel({ modelPath: path });
  const options = { contextSize: CONTEXT_TOKENS, batchSize: 128, sequences: 1, threads: 1, flashAttention: false };
  return (await model.createContext(options)).getSequence();
}

/** What is asked and what the record answers, where both fit into the model's context. */
function askedOf({ tokens, isTarget }: EncodedExample): Question[] {
  const first = isTarget.indexOf(1);
  const end = tokens.indexOf(0, first);
  const answer = [...tokens.slice(first, end < 0 ? undefined : end)];
  const fits = first > 0 && answer.length >= 8 && first + ANSWER_TOKENS < CONTEXT_TOKENS;
  return fits ? [{ prompt: [...tokens.slice(0, first)], answer: answer.slice(0, ANSWER_TOKENS) }] : [];
}

async function answerAll(
  sequence: LlamaContextSequence,
  index: CorpusIndex,
  questions: readonly Question[],
  shares: Shares | undefined,
): Promise<Answers> {
  const startedMs = performance.now();
  const tokens: number[][] = [];
  let changed = 0;
  for (const { prompt } of questions) {
    await sequence.clearHistory();
    const said =
      shares === undefined ? await sayPlainly(sequence, prompt) : await sayMixed(sequence, index, prompt, shares);
    tokens.push(said.tokens);
    changed += said.changed;
  }
  const count = tokens.reduce((sum, one) => sum + one.length, 0);
  return { tokens, tokensPerSecond: (1_000 * count) / (performance.now() - startedMs), changed };
}

async function sayPlainly(sequence: LlamaContextSequence, prompt: readonly number[]) {
  const tokens: number[] = [];
  for await (const token of sequence.evaluate(prompt.map(tokenOf), { temperature: 0, topK: 0, topP: 1, minP: 0 })) {
    tokens.push(token);
    if (tokens.length === ANSWER_TOKENS) break;
  }
  return { tokens, changed: 0 };
}

/** The likeliest token of the mixture is the model's own likeliest, or one that the corpus has after the suffix: only these are asked for. */
async function sayMixed(sequence: LlamaContextSequence, index: CorpusIndex, prompt: readonly number[], shares: Shares) {
  const all = [...prompt];
  let input: readonly Token[] = prompt.map(tokenOf);
  let changed = 0;
  while (all.length - prompt.length < ANSWER_TOKENS) {
    const { suffixLength, total, tokens } = nextTokens(index, all.slice(all.lastIndexOf(0) + 1));
    const own = new Map(shares[bucketOf(suffixLength)]!);
    const [neural, counted] = [own.get("neural") ?? 1, own.get("counted") ?? 0];
    const likely = counted < 1e-3 ? [] : tokens.toSorted((a, b) => b.count - a.count).slice(0, 64);
    const wanted = { filter: { tokens: likely.map(({ token }) => tokenOf(token)), includeTop: 1 } };
    const options = { temperature: 1, topK: 0, topP: 1, minP: 0 };
    const results = await sequence.controlledEvaluate([
      ...input.slice(0, -1),
      [input.at(-1)!, { generateNext: { logits: wanted, totalLogitWeight: true, options } }],
    ]);
    const { logits, totalLogitWeight } = results.at(-1)!.next;
    const ranked = [...logits!].sort(([, a], [, b]) => b - a);
    const [top, largest] = ranked[0]!;
    const weightOf = (token: number, logit: number): number => {
      const count = likely.find((one) => one.token === token)?.count ?? 0;
      return (neural * Math.exp(logit - largest)) / totalLogitWeight! + (counted * count) / Math.max(1, total);
    };
    const [best] = ranked.reduce((a, b) => (weightOf(b[0], b[1]) > weightOf(a[0], a[1]) ? b : a));
    if (best !== top) changed++;
    if (best === 0) break;
    all.push(best);
    input = [best];
  }
  return { tokens: all.slice(prompt.length), changed };
}

function judge(rounds: readonly Answers[], questions: readonly Question[], index: CorpusIndex) {
  const [{ tokens, changed }] = [rounds[0]!];
  const said = tokens.reduce((sum, one) => sum + one.length, 0);
  const f1 = questions.map(({ answer }, i) => f1Of(wordsOf(tokens[i]!), wordsOf(answer)));
  const copied = tokens.reduce((sum, one) => sum + copiedIn(one, index), 0);
  const speeds = rounds.map((one) => one.tokensPerSecond).sort((a, b) => a - b);
  const figures = {
    f1: round(mean(f1)),
    copiedPart: round(copied / Math.max(1, said)),
    changedPart: round(changed / Math.max(1, said)),
    tokensPerSecond: Math.round(speeds[rounds.length >> 1]!),
  };
  return { perQuestion: f1, figures };
}

type Judged = ReturnType<typeof judge>;

/** Mean difference of F1 with its 95 % interval over resampled questions, and the ratio of speeds. */
function difference(plain: Judged, mixed: Judged) {
  const gains = mixed.perQuestion.map((one, i) => one - plain.perQuestion[i]!);
  let state = 1;
  const draw = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * gains.length);
  };
  const means = Array.from({ length: 2_000 }, () => mean(gains.map(() => gains[draw()]!))).sort((a, b) => a - b);
  return {
    ...{ f1Gain: round(mean(gains)), f1GainLow: round(means[50]!), f1GainHigh: round(means[1_949]!) },
    speed: round(mixed.figures.tokensPerSecond / plain.figures.tokensPerSecond),
  };
}

function wordsOf(tokens: readonly number[]): string[] {
  return (
    decode(houseTokenizer(), tokens)
      .toLowerCase()
      .match(/[\p{L}\p{N}]+/gu) ?? []
  );
}

function f1Of(said: readonly string[], wanted: readonly string[]): number {
  const left = new Map<string, number>();
  for (const word of wanted) left.set(word, (left.get(word) ?? 0) + 1);
  let shared = 0;
  for (const word of said) {
    const count = left.get(word) ?? 0;
    if (count === 0) continue;
    left.set(word, count - 1);
    shared += 1;
  }
  return shared === 0 ? 0 : (2 * shared) / (said.length + wanted.length);
}

/** Tokens that stand in a row of many that one training record has. */
function copiedIn(tokens: readonly number[], index: CorpusIndex): number {
  const isCopied = new Uint8Array(tokens.length);
  for (let at = 0; at + COPIED_TOKENS <= tokens.length; at++)
    if (countPattern(index, tokens.slice(at, at + COPIED_TOKENS)) > 0) isCopied.fill(1, at, at + COPIED_TOKENS);
  return isCopied.reduce((sum, one) => sum + one, 0);
}

/** The training records as the model saw them, a conversation as its template writes it. */
function indexOf(examples: readonly TrainingExample[]): CorpusIndex {
  const tokenizer = houseTokenizer();
  const records = examples.map((example) => encodeExample(tokenizer, example).tokens.filter((token) => token !== 0));
  return indexTokens(tokenizer, records, new Uint8Array(32 * records.length));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, one) => sum + one, 0) / Math.max(1, values.length);
}

function round(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
