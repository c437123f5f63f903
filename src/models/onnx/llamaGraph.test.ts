import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { unwrap } from "../../core/result.ts";
import { type LlamaShape, projections } from "../llama.ts";
import type { LoraShape } from "../lora.ts";
import type { Tensors } from "../tensor.ts";
import { randomLlama, randomLora, tinyShape } from "../testing/randomLlama.ts";
import { keepChance, type LlamaOutputs, llamaGraph } from "./llamaGraph.ts";
import { type Feed, type FloatTensor, loadRuntime, type Runtime } from "./runtime.ts";
import { logChances, type Matrix, type Reference } from "./testing/llamaReference.ts";

let runtime: Runtime;
beforeAll(async () => {
  runtime = unwrap(await loadRuntime());
});

/** Small sizes with an odd length, every ratio of heads to groups, tied or not. */
const arbitraryShape: fc.Arbitrary<LlamaShape> = fc
  .record({
    layers: fc.constantFrom(1, 2),
    groups: fc.constantFrom(1, 2),
    ratio: fc.constantFrom(1, 2, 3),
    isTied: fc.boolean(),
  })
  .map(({ layers, groups, ratio, isTied }) =>
    tinyShape({
      ...{ layers, isTied, keyValueHeads: groups, heads: groups * ratio },
      ...{ hidden: 12, headSize: 4, intermediate: 10, vocabulary: 17, contextTokens: 32 },
    }),
  );

const lora: LoraShape = { rank: 2, alpha: 6, dropout: 0, targets: projections };

/** Sequences of the same padded length, each a list of segments. */
type Batch = readonly (readonly (readonly number[])[])[];

function feedsOf(batch: Batch, length: number, tensors: Tensors): Map<string, Feed> {
  const columns = { tokens: [] as number[], positions: [] as number[], segments: [] as number[] };
  const rows: number[] = [];
  const targets: number[] = [];
  batch.forEach((segments, b) => {
    const flat = segments.flatMap((segment, s) => segment.map((token, i) => ({ token, i, s, next: segment[i + 1] })));
    for (let at = 0; at < length; at++) {
      const one = flat[at] ?? { token: 0, i: 0, s: -1, next: undefined };
      columns.tokens.push(one.token);
      columns.positions.push(one.i);
      columns.segments.push(one.s);
      if (one.next !== undefined) {
        rows.push(b * length + at);
        targets.push(one.next);
      }
    }
  });
  const ints = (shape: readonly number[], values: readonly number[]): Feed => ({
    type: "int64",
    shape,
    data: BigInt64Array.from(values, BigInt),
  });
  const feeds = new Map<string, Feed>();
  for (const [name, { shape, data }] of tensors) feeds.set(name, { type: "float", shape, data });
  for (const [name, values] of Object.entries(columns)) feeds.set(name, ints([batch.length, length], values));
  feeds.set("rows", ints([rows.length], rows));
  feeds.set("targets", ints([rows.length], targets));
  feeds.set("weights", { type: "float", shape: [rows.length, 1], data: new Float32Array(rows.length).fill(1) });
  const live = Float32Array.from(columns.segments, (segment) => (segment < 0 ? 0 : 1));
  feeds.set("relevant", { type: "float", shape: [live.length, 1], data: live });
  return feeds;
}

async function compute(
  shape: LlamaShape,
  adapter: LoraShape | undefined,
  outputs: LlamaOutputs,
  feeds: ReadonlyMap<string, Feed>,
): Promise<ReadonlyMap<string, FloatTensor>> {
  const session = await runtime.open(llamaGraph(shape, adapter, outputs).bytes);
  const found = await session.run(feeds);
  await session.close();
  return found;
}

function reference(
  shape: LlamaShape,
  adapter: LoraShape | undefined,
  tensors: Tensors,
): Reference & { readonly tensors: Map<string, Matrix> } {
  const wide = new Map([...tensors].map(([name, { data }]) => [name, Float64Array.from(data)] as const));
  return { shape, tensors: wide, ...(adapter === undefined ? {} : { lora: adapter }) };
}

/** Nats of each target, in order. */
function lossesOf(model: Reference, batch: Batch): number[] {
  return batch.flat().flatMap((segment) => {
    const chances = logChances(model, segment);
    return segment.slice(1).map((next, i) => -chances[i * model.shape.vocabulary + next]!);
  });
}

function total(values: ArrayLike<number>): number {
  return Array.from(values).reduce((sum, value) => sum + value, 0);
}

/** Central differences in float64, at a few elements. */
function slope(model: Reference, batch: Batch, name: string, at: number): number {
  const data = model.tensors.get(name)!;
  const was = data[at]!;
  const step = 1e-4;
  data[at] = was + step;
  const above = total(lossesOf(model, batch));
  data[at] = was - step;
  const below = total(lossesOf(model, batch));
  data[at] = was;
  return (above - below) / (2 * step);
}

const batch: Batch = [
  [[3, 1, 4, 1, 5]],
  [
    [9, 2],
    [6, 5, 3, 5],
  ],
];
const length = 7;

describe("a Llama as a graph", () => {
  it("gives the losses of the float64 reference, packed and padded as they are", async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryShape, fc.boolean(), fc.nat(1_000), async (shape, isAdapted, seed) => {
        const adapter = isAdapted ? lora : undefined;
        const tensors = new Map([...randomLlama(shape, seed), ...(isAdapted ? randomLora(shape, lora, seed + 1) : [])]);
        const found = await compute(shape, adapter, { losses: true, logits: true }, feedsOf(batch, length, tensors));
        const expected = lossesOf(reference(shape, adapter, tensors), batch);
        const losses = found.get("losses")!.data;
        expect(losses.length).toBe(expected.length);
        expected.forEach((loss, i) => {
          expect(losses[i]).toBeCloseTo(loss, 4);
        });
      }),
      { numRuns: 12 },
    );
  });

  it("has the gradients of all weights, by central differences of the reference", async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryShape, fc.nat(1_000), async (shape, seed) => {
        const tensors = randomLlama(shape, seed);
        const found = await compute(shape, undefined, { gradients: "weights" }, feedsOf(batch, length, tensors));
        const model = reference(shape, undefined, tensors);
        for (const [name, { data }] of tensors) {
          const gradient = found.get(`gradient:${name}`)!;
          expect(gradient.data.length).toBe(data.length);
          for (const at of [0, (seed * 7) % data.length, data.length - 1])
            expectClose(gradient.data[at]!, slope(model, batch, name, at), `${name}[${at}]`);
        }
      }),
      { numRuns: 6 },
    );
  });

  it("has the gradients of an adapter, whole and for each sequence, which sum to the whole", async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryShape, fc.nat(1_000), async (shape, seed) => {
        const adapter = randomLora(shape, lora, seed + 1);
        const tensors = new Map([...randomLlama(shape, seed), ...adapter]);
        const outputs: LlamaOutputs = { gradients: "adapter", perExample: "AB" };
        const found = await compute(shape, lora, outputs, feedsOf(batch, length, tensors));
        const model = reference(shape, lora, tensors);
        for (const [name, { data }] of adapter) {
          const [whole, each] = [found.get(`gradient:${name}`)!.data, found.get(`example:${name}`)!.data];
          const at = (seed * 7) % data.length;
          expectClose(whole[at]!, slope(model, batch, name, at), name);
          batch.forEach((sequence, b) => {
            expectClose(each[b * data.length + at]!, slope(model, [sequence], name, at), `${name} of ${b}`);
          });
        }
      }),
      { numRuns: 6 },
    );
  });

  it("has each sequence's gradients of whole weights, in the bases that it is given", async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryShape, fc.nat(1_000), fc.nat(3), async (shape, seed, more) => {
        const kept = shape.hidden - more;
        const tensors = new Map([...randomLlama(shape, seed), ...randomLora(shape, lora, seed + 1)]);
        const feeds = feedsOf(batch, length, tensors);
        const model = reference(shape, lora, tensors);
        const names = [...tensors.keys()].filter((name) => name.includes("_proj.weight"));
        const perExample: Record<string, { inward: number; outward: number }> = {};
        for (const name of names) {
          const [out, columns] = tensors.get(name)!.shape as [number, number];
          const [rows, outward] = [Math.min(kept, columns), Math.max(1, out - (seed % 3))];
          // A layer that is not named has all its directions.
          if (rows < columns || outward < out || seed % 2 === 0) perExample[name] = { inward: rows, outward };
          // The last directions, in turn: what comes out at (o, k) is the gradient's own at another place.
          const data = new Float32Array(rows * columns);
          for (let k = 0; k < rows; k++) data[k * columns + columns - 1 - k] = 2;
          feeds.set(`inputBasis:${name}`, { type: "float", shape: [rows, columns], data });
          const outputs = new Float32Array(outward * out);
          for (let o = 0; o < outward; o++) outputs[o * out + out - 1 - o] = -1;
          feeds.set(`outputBasis:${name}`, { type: "float", shape: [outward, out], data: outputs });
        }
        const found = await compute(shape, lora, { losses: true, perExample }, feeds);
        for (const name of names) {
          const [out, columns] = tensors.get(name)!.shape as [number, number];
          const [rows, outward] = [Math.min(kept, columns), Math.max(1, out - (seed % 3))];
          const { data, shape: dims } = found.get(`example:${name}`)!;
          expect(dims).toEqual([batch.length, outward, rows]);
          const [o, k] = [seed % outward, (seed * 7) % rows];
          const at = (out - 1 - o) * columns + columns - 1 - k;
          batch.forEach((sequence, b) => {
            const expected = -2 * slope(model, [sequence], name, at);
            expectClose(data[(b * outward + o) * rows + k]!, expected, `${name} of ${b}`);
          });
        }
      }),
      { numRuns: 6 },
    );
  });

  it("drops what the masks say, in the adapter's branch only", async () => {
    const shape = tinyShape({ vocabulary: 17 });
    const dropping = { ...lora, dropout: 0.25 };
    const adapter = randomLora(shape, lora, 5);
    const tensors = new Map([...randomLlama(shape, 4), ...adapter]);
    const { keeps } = llamaGraph(shape, dropping, { gradients: "adapter" });
    const withMask = (bit: number): Map<string, Feed> => {
      const feeds = feedsOf(batch, length, tensors);
      for (const [name, width] of keeps)
        feeds.set(name, {
          type: "bool",
          shape: [2 * length, width],
          data: new Uint8Array(2 * length * width).fill(bit),
        });
      return feeds;
    };
    const outputs: LlamaOutputs = { losses: true, gradients: "adapter" };
    // Keeping all divides by the chance to keep, as a larger A would.
    const kept = await compute(shape, dropping, outputs, withMask(1));
    const larger = new Map(
      [...adapter].map(([name, { shape: dims, data }]) => {
        const by = name.includes("lora_A") ? 1 / keepChance(0.25) : 1;
        return [name, { shape: dims, data: data.map((value) => value * by) }];
      }),
    );
    const expected = lossesOf(reference(shape, lora, new Map([...tensors, ...larger])), batch);
    expected.forEach((loss, i) => {
      expect(kept.get("losses")!.data[i]).toBeCloseTo(loss, 4);
    });
    // Keeping nothing leaves the base.
    const dropped = await compute(shape, dropping, outputs, withMask(0));
    lossesOf(reference(shape, undefined, tensors), batch).forEach((loss, i) => {
      expect(dropped.get("losses")!.data[i]).toBeCloseTo(loss, 4);
    });
    for (const [name] of adapter)
      expect(dropped.get(`gradient:${name}`)!.data.every((value) => value === 0)).toBe(true);
    expect(keeps.size).toBe(4 * shape.layers);
  });

  it("sums h hᵀ and g gᵀ whose product is the gradient's own where one token decides", async () => {
    // With one relevant token, the gradient by B is g hᵀ: ‖g hᵀ‖² = ‖g‖² ‖h‖², and h and g are the only eigenvectors.
    const shape = tinyShape({ vocabulary: 17, layers: 1 });
    const tensors = new Map([...randomLlama(shape, 1), ...randomLora(shape, lora, 2)]);
    const feeds = feedsOf([[[3, 7]]], 3, tensors);
    feeds.set("relevant", { type: "float", shape: [3, 1], data: Float32Array.of(1, 0, 0) });
    const found = await compute(shape, lora, { curvature: "B", perExample: "B" }, feeds);
    let isSomething = false;
    for (const [name, { data: gradient }] of found) {
      if (!name.startsWith("example:")) continue;
      const [inputs, outputs] = [`inputs:${name.slice(8)}`, `outputs:${name.slice(8)}`].map((key) => found.get(key)!);
      // Σ h hᵀ · ‖g‖² = Gᵀ G for G = g hᵀ.
      const {
        data: hh,
        shape: [rank],
      } = inputs!;
      const {
        data: gg,
        shape: [out],
      } = outputs!;
      const trace = total(Array.from({ length: out! }, (_unused, o) => gg[o * out! + o]!));
      for (let i = 0; i < rank!; i++)
        for (let j = 0; j < rank!; j++) {
          const product = total(
            Array.from({ length: out! }, (_unused, o) => gradient[o * rank! + i]! * gradient[o * rank! + j]!),
          );
          expect(Math.abs(hh[i * rank! + j]! * trace - product)).toBeLessThan(1e-4 * Math.max(0.01, Math.abs(product)));
          isSomething ||= Math.abs(product) > 1e-3;
        }
    }
    expect(isSomething).toBe(true);
  });
});

function expectClose(found: number, expected: number, what: string): void {
  const tolerance = 2e-3 * Math.max(0.05, Math.abs(expected));
  expect(Math.abs(found - expected), `${what}: ${found} for ${expected}`).toBeLessThan(tolerance);
}
