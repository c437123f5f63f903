import { describe, expect, it } from "vitest";
import { factorsBytes } from "../attribution/influence/factorsFile.ts";
import { rowWidth } from "../attribution/influence/staircase.ts";
import { ok, type Result, unwrap } from "../core/result.ts";
import type { Basis, Curvature, GradientTask, TrainingEnd } from "../models/training/evaluation.ts";
import type { Evaluator } from "./evaluator.ts";
import { fitInfluence, influenceScores } from "./influence.ts";

const SIZE = 64;
const NAME = "model.layers.0.mlp.up_proj.weight";
const place = { base: "base", adapter: "adapter", sequenceTokens: 64 };
const task = { ...place, adapterHash: "0x01", examples: [] };
const pause = async (): Promise<void> => {};
const ENDS: readonly TrainingEnd[] = ["start", "end"];
const never = new AbortController().signal;

describe("factors", () => {
  it.each([
    ["few examples: everything", 100, SIZE * SIZE],
    ["more examples, less of each", 100_000, 1_342],
    ["so many that the least is left", 5_000_000, 64],
  ])("are kept small: %s", async (_what, examples, most) => {
    const { evaluator, asked } = scripted(examples);
    const { members } = unwrap(await fitInfluence({ evaluator, pause }, task, never));
    expect(members.map(({ method, version }) => [method, version])).toEqual([
      ["ekfac", 3],
      ["ekfac", 3],
    ]);
    for (const [m, { modules }] of members.entries()) {
      expect(asked[m]).toEqual([ENDS[m], modules[0]!.inward]);
      expect(rowWidth(modules)).toBeLessThanOrEqual(most);
      expect(rowWidth(modules)).toBeGreaterThan(0.9 * most);
    }
    const bytes = members.reduce((sum, { modules }) => sum + factorsBytes(modules, examples), 0);
    if (most > 64) expect(bytes).toBeLessThanOrEqual(2 ** 28);
  });

  it("are refused where even the least does not fit", async () => {
    const { evaluator, asked } = scripted(10_000_000);
    expect(await fitInfluence({ evaluator, pause }, task, never)).toMatchObject({
      error: { code: "payload_too_large" },
    });
    expect(asked).toEqual([]);
  });
});

it("sums a query's scores over both ends, each asked in its own bases, and over the windows of a long query", async () => {
  const { evaluator } = scripted(1);
  const examples = [{ record: "r", text: "1" }];
  const { members } = unwrap(await fitInfluence({ evaluator, pause }, { ...task, examples }, never));
  const scoresOf = async (texts: readonly string[], some = members) => {
    const asking = scripted(1);
    const queries = texts.map((text) => ({ record: "", text }));
    const found = unwrap(await influenceScores({ evaluator: asking.evaluator, pause }, some, place, queries, never));
    const once = [
      ["start", SIZE],
      ["end", SIZE],
    ];
    expect(asking.asked).toEqual(texts.flatMap(() => once.slice(0, some.length)));
    return found.map((scores) => scores?.[0]);
  };
  const [one, nothing, long] = await scoresOf(["1", "", "1 2"]);
  expect(one).toBeGreaterThan(0);
  expect(nothing).toBeUndefined();
  expect(long! / one!).toBeCloseTo(3, 5);
  const [alone] = await scoresOf(["1"], members.slice(0, 1));
  expect(one! / alone!).toBeCloseTo(2, 5);
});

/** Says what it was asked. Curvature falls from direction to direction; a text is a list of its windows, whose gradients are that everywhere. */
function scripted(examples: number) {
  const asked: (readonly [TrainingEnd, number])[] = [];
  const diagonal = (base: number) =>
    Float64Array.from({ length: SIZE * SIZE }, (_zero, i) => (i % (SIZE + 1) === 0 ? base ** (i % SIZE) : 0));
  const curvature: Curvature = {
    ...{ tokens: 1, examples },
    modules: [{ name: NAME, columns: SIZE, out: SIZE, inputs: diagonal(1.1), outputs: diagonal(1.07) }],
  };
  const evaluator: Evaluator = {
    losses: async () => ok([]),
    curvature: async () => ok(curvature),
    async gradients({ at, bases, examples: given }: GradientTask, onExample): Promise<Result<void>> {
      const [basis] = bases as readonly [Basis];
      asked.push([at, basis.inward]);
      for (const [index, example] of given.entries()) {
        const sizes = "text" in example ? (example.text.match(/\d+/g) ?? []) : [];
        for (const size of sizes) {
          const gradient = new Float32Array(basis.outward * basis.inward).fill(Number(size));
          onExample({ record: example.record, index, loss: 1, tokens: 1, gradients: new Map([[NAME, gradient]]) });
        }
      }
      return ok(undefined);
    },
  };
  return { evaluator, asked };
}
