import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getLlama, type Llama, LlamaLogLevel } from "node-llama-cpp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { unwrap } from "../core/result.ts";
import { encode, makeTokenizer } from "../models/bpe.ts";
import { trainTokenizer } from "../models/bpeTrain.ts";
import { readLlamaGguf, readLoraGguf, writeLlamaGguf, writeLoraGguf } from "../models/formats/ggufFile.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import { type LlamaShape, projections } from "../models/llama.ts";
import type { LoraShape } from "../models/lora.ts";
import { llamaGraph } from "../models/onnx/llamaGraph.ts";
import { type Feed, loadRuntime, type Runtime } from "../models/onnx/runtime.ts";
import type { Tensors } from "../models/tensor.ts";
import { randomLlama, randomLora, tinyShape } from "../models/testing/randomLlama.ts";
import { tokenOf } from "./llamaToken.ts";

/** What is trained by one engine must be what is served by the other: the same chances for every next token, to within what 16-bit keys and values cost. */
const folder = mkdtempSync(join(tmpdir(), "openledger-agreement-"));
const tokenizer = trainTokenizer(["the cat sat on the mat and the dog sat on the log"], 280);
const lora: LoraShape = { rank: 3, alpha: 6, dropout: 0, targets: projections };
let llama: Llama;
let runtime: Runtime;
beforeAll(async () => {
  llama = await getLlama({ gpu: false, build: "never", skipDownload: true, logLevel: LlamaLogLevel.fatal });
  runtime = unwrap(await loadRuntime());
});
afterAll(async () => {
  await llama.dispose();
  rmSync(folder, { recursive: true, force: true });
});

const wide = { hidden: 64, intermediate: 96, heads: 8, headSize: 8, vocabulary: 300 };
test.each([
  // weights, shape, largest |Δ log p| with keys and values in 32 bits, and in 16 as they are served
  ["F32", { ...wide, keyValueHeads: 8, isTied: true }, 0.0002, 0.03],
  ["F32", { ...wide, keyValueHeads: 2, isTied: false }, 0.0002, 0.03],
  ["F32", { ...wide, keyValueHeads: 1, isTied: true, ropeTheta: 500_000, normEpsilon: 1e-6 }, 0.0002, 0.03],
  [
    "F32",
    { hidden: 24, intermediate: 40, heads: 6, keyValueHeads: 3, headSize: 16, vocabulary: 290, layers: 3 },
    0.001,
    0.02,
  ],
  ["F16", { ...wide, keyValueHeads: 4, isTied: false }, 0.06, 0.06],
  ["Q8_0", { ...wide, keyValueHeads: 4, isTied: false }, 1, 1],
] as const)(
  "%s %j: both engines agree, with and without an adapter",
  async (type, changes, computedMost, servedMost) => {
    const shape = tinyShape(changes);
    const tensors = randomLlama(shape, 5);
    const adapter = { lora, tensors: randomLora(shape, lora, 6) };
    const name = `${type}-${shape.heads}-${shape.keyValueHeads}`;
    const [base, adapterPath] = [join(folder, `${name}.gguf`), join(folder, `${name}-lora.gguf`)];
    unwrap(await writeLlamaGguf(base, { shape, tensors, tokenizer, name }, type));
    unwrap(await writeLoraGguf(adapterPath, shape, adapter, { name }));
    expect(unwrap(await readLlamaGguf(base))).toMatchObject({ hidden: shape.hidden, isTied: shape.isTied });
    expect(unwrap(await readLoraGguf(adapterPath, shape))).toEqual(lora);
    const tokens = Array.from({ length: 48 }, (_unused, i) => (i * i * 31 + 7 * i + 3) % shape.vocabulary);
    const trained = [
      await trainedChances(shape, undefined, tensors, tokens),
      await trainedChances(shape, lora, new Map([...tensors, ...adapter.tensors]), tokens),
    ];
    for (const [cache, most] of [
      ["F32", computedMost],
      ["F16", servedMost],
    ] as const) {
      const plain = await servedChances(base, undefined, tokens, cache);
      const adapted = await servedChances(base, adapterPath, tokens, cache);
      const worst = [plain, adapted].map((rows, i) =>
        Math.max(...rows.map((row, at) => largestDifference(row, trained[i]![at]!))),
      );
      expect(Math.max(...worst)).toBeLessThan(most);
      // The adapter is in it: without it the chances are far away.
      expect(largestDifference(plain[40]!, adapted[40]!)).toBeGreaterThan(0.1);
    }
  },
);

test.each([
  ["the house's", houseTokenizer()],
  ["one that splits digits", makeTokenizer(houseTokenizer().bytes, houseTokenizer().merges, { splitsDigits: true })],
])("llama.cpp cuts texts into the same tokens: %s", async (_name, ours) => {
  const shape = tinyShape({ vocabulary: ours.bytes.length });
  const path = join(folder, `tokens-${ours.splitsDigits}.gguf`);
  unwrap(await writeLlamaGguf(path, { shape, tensors: randomLlama(shape, 1), tokenizer: ours, name: "t" }, "F16"));
  const model = await llama.loadModel({ modelPath: path, vocabOnly: true });
  const texts = [
    "It's 42 times\n\n  faster.",
    "½ of 1,000.50 x² Ⅷ ٣٤",
    "日本語 👩‍👩‍👧 can't've\t\u0085 \u3000",
    "<|endoftext|> ### User:\n",
  ];
  for (const text of texts) expect([...model.tokenize(text, false)]).toEqual([...encode(ours, text)]);
  await model.dispose();
});

/** log p of every next token after each token. Shape [tokens][vocabulary]. Keys and values are served in 16 bits. */
async function servedChances(
  base: string,
  adapter: string | undefined,
  tokens: readonly number[],
  cache: "F16" | "F32",
): Promise<number[][]> {
  const model = await llama.loadModel({ modelPath: base, gpuLayers: 0 });
  const lora = adapter === undefined ? {} : { lora: { adapters: [{ filePath: adapter }] } };
  const context = await model.createContext({
    ...{ contextSize: 128, threads: 1, flashAttention: false, ...lora },
    ...{ experimentalKvCacheKeyType: cache, experimentalKvCacheValueType: cache },
  });
  const options = { temperature: 1, topK: 0, topP: 1, minP: 0 };
  const results = await context
    .getSequence()
    .controlledEvaluate(tokens.map((token) => [tokenOf(token), { generateNext: { logits: true, options } }]));
  const rows = results.map((result) => {
    const logits = result?.next.logits ?? new Map();
    return logSoftmax(Array.from({ length: logits.size }, (_unused, id) => logits.get(tokenOf(id)) ?? Number.NaN));
  });
  await model.dispose();
  return rows;
}

async function trainedChances(
  shape: LlamaShape,
  adapter: LoraShape | undefined,
  tensors: Tensors,
  tokens: readonly number[],
): Promise<number[][]> {
  const session = await runtime.open(llamaGraph(shape, adapter, { logits: true }).bytes);
  const ints = (sizes: readonly number[], values: readonly number[]): Feed => ({
    type: "int64",
    shape: sizes,
    data: BigInt64Array.from(values, BigInt),
  });
  const places = tokens.map((_token, i) => i);
  const feeds = new Map<string, Feed>(
    [...tensors].map(([name, tensor]): [string, Feed] => [name, { type: "float", ...tensor }]),
  )
    .set("tokens", ints([1, tokens.length], tokens))
    .set("positions", ints([1, tokens.length], places))
    .set(
      "segments",
      ints(
        [1, tokens.length],
        places.map(() => 0),
      ),
    )
    .set("rows", ints([tokens.length], places));
  const logits = (await session.run(feeds)).get("logits")?.data ?? new Float32Array();
  await session.close();
  const { vocabulary } = shape;
  return places.map((at) => logSoftmax([...logits.subarray(at * vocabulary, (at + 1) * vocabulary)]));
}

function logSoftmax(logits: readonly number[]): number[] {
  const largest = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const total = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0));
  return logits.map((logit) => logit - largest - total);
}

function largestDifference(a: readonly number[], b: readonly number[]): number {
  expect(a.length).toBe(b.length);
  return a.reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i]!)), 0);
}
