import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Embedder } from "../core/engine.ts";
import { ok, refuse } from "../core/result.ts";
import { Bm25Index } from "./bm25.ts";
import { fuseRanks, Meanings, searchHybrid } from "./hybrid.ts";

const signal = new AbortController().signal;
const ranking = fc.uniqueArray(fc.nat(8), { maxLength: 9 });

describe("reciprocal rank fusion", () => {
  test("holds every record that a ranking holds, once, and prefers what both prefer", () => {
    fc.assert(
      fc.property(ranking, ranking, (a, b) => {
        const fused = fuseRanks([a, b]).map(({ record }) => record);
        expect(fused.toSorted()).toEqual([...new Set([...a, ...b])].toSorted());
        const place = (list: readonly number[], record: number) => (list.includes(record) ? list.indexOf(record) : 99);
        for (const x of fused)
          for (const y of fused)
            if (place(a, x) < place(a, y) && place(b, x) < place(b, y))
              expect(fused.indexOf(x)).toBeLessThan(fused.indexOf(y));
        expect(fuseRanks([b, a])).toEqual(fuseRanks([a, b]));
      }),
    );
  });
});

const texts = [
  "The barrier on the waterway is lifted at daybreak.",
  "Kettles of copper are polished with vinegar and salt.",
  "Seventeen clockmakers argued about brass escapements.",
  ...Array.from({ length: 20 }, (_, i) => `Number ${i} of some notes about things that nobody has asked for.`),
];
const lexical = new Bm25Index(texts.map((text) => ({ title: "Notes", headingPath: [], text })));
/** Knows what words mean: each direction is a thing. */
const directions = ["waterway canal barrier gate", "kettle pot copper polished", "clockmakers watches brass"];
const embedder: Embedder = { name: "test", embed: async (some) => ok(some.map(vectorOf)) };

function vectorOf(text: string): Float32Array {
  const words = text.toLowerCase().match(/[a-z]+/g) ?? [];
  const parts = directions.map((words2) => words.filter((word) => words2.includes(word) && word.length > 2).length);
  const vector = Float32Array.from([...parts, 0.2]);
  return vector.map((value) => value / Math.hypot(...vector));
}

const meanings = new Meanings(embedder, texts.map(vectorOf));
const found = async (question: string, near: Meanings | undefined) =>
  (await searchHybrid(lexical, near, question, 3, signal)).map(({ record }) => record);

describe("hybrid search", () => {
  test("finds what a question means in other words, where words alone find nothing", async () => {
    expect(await found("canal gate?", undefined)).toEqual([]);
    expect((await found("canal gate?", meanings))[0]).toBe(0);
  });

  test("without vectors, and where the question has none, is BM25 alone", async () => {
    const question = "kettles of copper polished with vinegar";
    const words = lexical.search(question, 3).hits.map(({ record }) => record);
    expect(await found(question, undefined)).toEqual(words);
    const broken = new Meanings(
      { ...embedder, embed: async () => refuse("upstream_failed", "no") },
      texts.map(vectorOf),
    );
    expect(await found(question, broken)).toEqual(words);
    const other = new Meanings({ ...embedder, embed: async () => ok([new Float32Array(2)]) }, texts.map(vectorOf));
    expect(await found(question, other)).toEqual(words);
    expect((await found(question, meanings))[0]).toBe(1);
  });

  test("finds nothing where nothing stands out in words or in meaning", async () => {
    expect(await found("Who won the football world cup?", meanings)).toEqual([]);
    expect(await found("", new Meanings(embedder, []))).toEqual([]);
  });
});
