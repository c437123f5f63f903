import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { unwrap } from "../../core/result.ts";
import { gradients } from "./gradient.ts";
import { Graph, type Value } from "./graph.ts";
import * as op from "./ops.ts";
import { type Feed, loadRuntime, type Runtime } from "./runtime.ts";

let runtime: Runtime;
beforeAll(async () => {
  runtime = unwrap(await loadRuntime());
});

/** Sizes of a case; `batch` and `length` are symbolic in the graph, as in the model's. */
interface Sizes {
  readonly batch: number;
  readonly length: number;
  readonly groups: number;
  readonly ratio: number;
  readonly width: number;
}

const sizes: fc.Arbitrary<Sizes> = fc.record({
  batch: fc.integer({ min: 1, max: 2 }),
  length: fc.integer({ min: 1, max: 4 }),
  groups: fc.integer({ min: 1, max: 2 }),
  ratio: fc.integer({ min: 1, max: 3 }),
  width: fc.constantFrom(2, 4, 6),
});

/** Builds an operation from inputs that it names with their shapes; integers are given with their values. */
type Build = (graph: Graph, input: Inputs, of: Sizes) => Value;
interface Inputs {
  float(name: string, ...shape: (number | string)[]): Value;
  int(name: string, values: readonly number[], dim: number | string): Value;
  mask(name: string, ...shape: (number | string)[]): Value;
}

const operations: Readonly<Record<string, Build>> = {
  linear: (g, i, { width }) => op.linear(g, i.float("x", "tokens", width), i.float("w", 3, width), { alpha: 0.5 }),
  "linear, added to something": (g, i, { width }) =>
    op.linear(g, i.float("x", "tokens", width), i.float("w", 3, width), { alpha: 2, plus: i.float("c", "tokens", 3) }),
  "linear, of something used twice": (g, i, { width }) => {
    const x = i.float("x", "tokens", width);
    return op.linear(g, x, i.float("w", 3, width), { plus: op.linear(g, x, i.float("v", 3, width)) });
  },
  add: (g, i, { width }) => op.add(g, i.float("x", "tokens", width), i.float("z", "tokens", width)),
  embed: (g, i, { width, batch, length }) =>
    op.embed(
      g,
      i.float("table", 3, width),
      i.int(
        "rows",
        range(batch * length, (k) => (k * k) % 3),
        "tokens",
      ),
    ),
  select: (g, i, { width, batch, length }) =>
    op.select(
      g,
      i.float("x", "tokens", width),
      i.int("rows", [batch * length - 1, 0].slice(0, batch * length), "some"),
    ),
  keepWhere: (g, i, { width }) => op.keepWhere(g, i.mask("keep", "tokens", width), i.float("x", "tokens", width)),
  rmsNorm: (g, i, { width }) => op.rmsNorm(g, i.float("x", "tokens", width), i.float("gain", width), 1e-3),
  swiGlu: (g, i, { width }) => op.swiGlu(g, i.float("gate", "tokens", width), i.float("up", "tokens", width)),
  "splitHeads and joinHeads": (g, i, { groups, width }) =>
    op.joinHeads(g, op.splitHeads(g, i.float("x", "tokens", groups * width), groups, width)),
  rotate: (g, i, { groups, width }) =>
    op.rotate(g, i.float("x", "batch", groups, "length", width), ...angles(g, i, width)),
  attention: (g, i, { groups, ratio, width }) =>
    op.attention(g, {
      queries: i.float("q", "batch", groups * ratio, "length", width),
      keys: i.float("k", "batch", groups, "length", width),
      values: i.float("v", "batch", groups, "length", width),
      mask: i.float("constant mask", "batch", 1, "stacked", "length"),
      scale: 0.7,
    }),
  crossEntropy: (g, i, { width, batch, length }) =>
    op.crossEntropy(
      g,
      i.float("x", "tokens", width),
      i.float("head", 5, width),
      i.int(
        "targets",
        range(batch * length, (k) => (3 * k) % 5),
        "tokens",
      ),
    ),
};

describe("derivatives, by central differences in random directions", () => {
  it.each(Object.entries(operations))("%s", async (_name, build) => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.nat(10_000), (of, seed) => check(build, of, seed)),
      { numRuns: 15 },
    );
  });
});

async function check(build: Build, of: Sizes, seed: number): Promise<void> {
  const known: Record<string, number> = {
    batch: of.batch,
    length: of.length,
    tokens: of.batch * of.length,
    stacked: of.length * of.ratio,
    some: Math.min(2, of.batch * of.length),
  };
  const random = generator(seed);
  const graph = new Graph();
  for (const name of Object.keys(known)) graph.defineSize(name, graph.input(`size ${name}`, "int64", [1]));
  const feeds = new Map<string, Feed>(Object.entries(known).map(([name, size]) => [`size ${name}`, ints([size])]));
  const learnt: Value[] = [];
  const dims = (shape: readonly (number | string)[]): number[] =>
    shape.map((dim) => (typeof dim === "number" ? dim : known[dim]!));
  const output = build(
    graph,
    {
      float(name, ...shape) {
        const value = graph.input(name, "float", shape);
        if (!name.startsWith("constant")) learnt.push(value);
        feeds.set(name, floats(dims(shape), random));
        return value;
      },
      int(name, values, dim) {
        feeds.set(name, ints(values));
        return graph.input(name, "int64", [dim]);
      },
      mask(name, ...shape) {
        const data = Uint8Array.from({ length: product(dims(shape)) }, () => (random() > 0 ? 1 : 0));
        feeds.set(name, { type: "bool", shape: dims(shape), data });
        return graph.input(name, "bool", shape);
      },
    },
    of,
  );
  const seeds = graph.input("seed", "float", output.shape);
  feeds.set("seed", floats(dims(output.shape), random));
  const found = gradients(graph, output, seeds, learnt);
  graph.output("y", output);
  for (const value of learnt) graph.output(`d ${value.name}`, found.get(value.name)!);
  const session = await runtime.open(graph.encode());
  const exact = await session.run(feeds);
  for (const { name } of learnt) {
    const feed = feeds.get(name)!;
    if (feed.type !== "float") continue;
    const direction = feed.data.map(() => random());
    const at = async (by: number): Promise<number> => {
      const moved = { ...feed, data: feed.data.map((value, k) => value + by * direction[k]!) };
      const { data } = (await session.run(new Map([...feeds, [name, moved]]))).get("y")!;
      return dot(data, feeds.get("seed")!.data);
    };
    const expected = dot(exact.get(`d ${name}`)!.data, direction);
    // A long step errs where the function bends, a short one by float32: what is wrong fits none of them.
    const slopes: number[] = [];
    for (const step of [0.01, 0.003, 0.001]) slopes.push(((await at(step)) - (await at(-step))) / (2 * step));
    const misses = slopes.map((slope) => Math.abs(slope - expected) / Math.max(1, Math.abs(slope)));
    expect(Math.min(...misses), `${name}: ${expected} for ${slopes.join(", ")}`).toBeLessThan(4e-3);
  }
  await session.close();
}

function angles(graph: Graph, input: Inputs, width: number): [Value, Value] {
  const angle = input.float("constant angle", "batch", 1, "length", width / 2);
  return [graph.node("Cos", [angle], { shape: angle.shape }), graph.node("Sin", [angle], { shape: angle.shape })];
}

function floats(shape: readonly number[], random: () => number): Feed {
  return { type: "float", shape, data: Float32Array.from({ length: product(shape) }, random) };
}

function ints(values: readonly number[]): Feed {
  return { type: "int64", shape: [values.length], data: BigInt64Array.from(values, BigInt) };
}

function dot(a: ArrayLike<number | bigint>, b: ArrayLike<number | bigint>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += Number(a[i]) * Number(b[i]);
  return sum;
}

function product(shape: readonly number[]): number {
  return shape.reduce((size, dim) => size * dim, 1);
}

function range(count: number, make: (i: number) => number): number[] {
  return Array.from({ length: count }, (_unused, i) => make(i));
}

/** Uniform in [-1, 1). */
function generator(seed: number): () => number {
  let state = seed + 1;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}
