import type { Feed, FloatTensor } from "../onnx/runtime.ts";
import { type Batch, batchOf } from "./batch.ts";
import type { EncodedExample } from "./chatTemplate.ts";
import type { Basis, Curvature, ExampleGradients, ModuleCurvature } from "./evaluation.ts";
import { BATCH_TOKENS_MAX, targetCount } from "./losses.ts";
import type { Computation } from "./neuralModel.ts";
import { microBatches, pack, type Sequence } from "./packing.ts";
import { type Random, randomOf } from "./random.ts";

/** Examples whose gradients are in memory at once. */
const GRADIENTS_MAX = 16;

/** Each example's own gradients of its summed loss, longest example first. The computation has `losses` and `perExample`, and `bases` are what that asks for. */
export async function* gradientsOf(
  computation: Computation,
  examples: readonly EncodedExample[],
  bases: readonly Basis[] = [],
): AsyncGenerator<ExampleGradients> {
  const indexed = examples
    .map((example, index) => ({ example, index }))
    .filter(({ example }) => targetCount(example) > 0);
  indexed.sort((a, b) => b.example.tokens.length - a.example.tokens.length);
  const places = new Map(indexed.map(({ example, index }) => [example, index]));
  const alone = indexed.map(({ example }): Sequence => [example]);
  const directions = bases.flatMap(basisFeeds);
  for (const some of microBatches(alone, BATCH_TOKENS_MAX).flatMap(split)) {
    const { feeds, owners } = batchOf(some, 1);
    const found = await computation.run(new Map([...feeds, ...directions]));
    const losses = found.get("losses")!.data;
    const sums = new Map<EncodedExample, number>();
    owners.forEach((owner, i) => {
      sums.set(owner, (sums.get(owner) ?? 0) + losses[i]!);
    });
    for (const [at, [example]] of some.entries())
      yield {
        ...{ record: example!.record, index: places.get(example!)!, loss: sums.get(example!) ?? 0 },
        ...{ tokens: targetCount(example!), gradients: sliceOf(found, at, some.length) },
      };
  }
}

function basisFeeds({
  name,
  columns,
  out,
  inward,
  outward,
  inputBasis,
  outputBasis,
}: Basis): (readonly [string, Feed])[] {
  return [
    [`inputBasis:${name}`, { type: "float", shape: [inward, columns], data: inputBasis }],
    [`outputBasis:${name}`, { type: "float", shape: [outward, out], data: outputBasis }],
  ];
}

/** K-FAC's sums over all examples. `forCurvature` has `curvature`; `forLabels`, where given, has `logits`, and targets are drawn from it. */
export async function curvatureOf(
  forCurvature: Computation,
  examples: readonly EncodedExample[],
  labels: { readonly computation: Computation; readonly seed: number } | undefined,
  isCancelled: () => boolean = () => false,
): Promise<Curvature> {
  const withTargets = examples.filter((example) => targetCount(example) > 0);
  const longest = withTargets.reduce((most, { tokens }) => Math.max(most, tokens.length), 2);
  const modules = new Map<string, ModuleCurvature>();
  const random = randomOf(labels?.seed ?? 0, 3);
  let tokens = 0;
  for (const sequences of microBatches(pack(withTargets, longest), BATCH_TOKENS_MAX)) {
    if (isCancelled()) break;
    const batch = batchOf(sequences, 1);
    const feeds = labels === undefined ? batch.feeds : await relabelled(labels.computation, batch, random);
    for (const [key, { shape, data }] of await forCurvature.run(feeds)) addTo(modules, key, shape[0]!, data);
    tokens += batch.relevant;
  }
  return { tokens, examples: withTargets.length, modules: [...modules.values()] };
}

function split(sequences: readonly Sequence[]): readonly (readonly Sequence[])[] {
  const parts = Math.ceil(sequences.length / GRADIENTS_MAX);
  return Array.from({ length: parts }, (_unused, i) => sequences.slice(i * GRADIENTS_MAX, (i + 1) * GRADIENTS_MAX));
}

const EXAMPLE = "example:";

function sliceOf(found: ReadonlyMap<string, FloatTensor>, at: number, count: number): Map<string, Float32Array> {
  const gradients = new Map<string, Float32Array>();
  for (const [name, { data }] of found) {
    const size = data.length / count;
    if (name.startsWith(EXAMPLE)) gradients.set(name.slice(EXAMPLE.length), data.slice(at * size, (at + 1) * size));
  }
  return gradients;
}

function addTo(modules: Map<string, ModuleCurvature>, key: string, size: number, data: Float32Array): void {
  const [side, name] = key.startsWith("inputs:")
    ? (["inputs", key.slice(7)] as const)
    : (["outputs", key.slice(8)] as const);
  const known = modules.get(name) ?? {
    ...{ name, columns: 0, out: 0, inputs: new Float64Array(0), outputs: new Float64Array(0) },
  };
  const sum = known[side].length === 0 ? new Float64Array(data.length) : known[side];
  for (let i = 0; i < sum.length; i++) sum[i]! += data[i]!;
  modules.set(name, { ...known, [side]: sum, ...(side === "inputs" ? { columns: size } : { out: size }) });
}

/** The batch with each target drawn from the model's own chances, from left to right in each row. */
async function relabelled(computation: Computation, { feeds }: Batch, random: Random): Promise<Batch["feeds"]> {
  const logits = (await computation.run(feeds)).get("logits")!;
  const [count, vocabulary] = [logits.shape[0]!, logits.shape[1]!];
  const data = new BigInt64Array(count);
  for (let i = 0; i < count; i++)
    data[i] = BigInt(draw(logits.data.subarray(i * vocabulary, (i + 1) * vocabulary), random));
  return new Map([...feeds, ["targets", { type: "int64", shape: [count], data }]]);
}

function draw(logits: Float32Array, random: Random): number {
  let top = Number.NEGATIVE_INFINITY;
  for (const logit of logits) top = Math.max(top, logit);
  let total = 0;
  for (const logit of logits) total += Math.exp(logit - top);
  let left = random.uniform() * total;
  for (let token = 0; token < logits.length; token++) {
    left -= Math.exp(logits[token]! - top);
    if (left < 0) return token;
  }
  return logits.length - 1;
}
