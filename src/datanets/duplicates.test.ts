import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DuplicateIndex, duplicateClusters, NEAR_DUPLICATE_MIN } from "./duplicates.ts";
import { jaccard, shinglesOf } from "./shingles.ts";

const words = Array.from({ length: 400 }, (_, i) => `w${(i * 7919) % 1000}x${i}`);
const essay = words.slice(0, 120).join(" ");

describe("near-duplicates", () => {
  it.each([
    ["spacing", essay.replaceAll(" ", " \n\t "), true],
    ["case", essay.toUpperCase(), true],
    ["punctuation", essay.replaceAll(" ", ", "), true],
    ["zero-width characters", essay.replaceAll("x", "\u200bx"), true],
    ["soft hyphens", essay.replaceAll("w", "w\u00ad"), true],
    ["full-width letters", essay.replaceAll("w", "ｗ"), true],
    ["Cyrillic look-alikes", essay.replaceAll("x", "х"), true],
    ["a word changed", essay.replace("w0x0", "other"), true],
    ["a sentence added", `${essay} and some more words here`, true],
    ["half of it", words.slice(0, 60).join(" "), false],
    ["other words", words.slice(150, 270).join(" "), false],
    ["the same words in another order", words.slice(0, 120).reverse().join(" "), false],
  ])("%s", (_, copy, isDuplicate) => expect(duplicateClusters([essay, copy])).toEqual(isDuplicate ? [0, 0] : [0, 1]));

  it("gives the cluster to the first registered, and never chains", () => {
    const drift = Array.from({ length: 12 }, (_, step) => words.slice(step * 8, step * 8 + 120).join(" "));
    const clusters = duplicateClusters(drift);
    for (const [i, first] of clusters.entries()) {
      expect(clusters[first]).toBe(first);
      if (first !== i)
        expect(jaccard(shinglesOf(drift[i]!), shinglesOf(drift[first]!))).toBeGreaterThanOrEqual(NEAR_DUPLICATE_MIN);
    }
    expect(new Set(clusters).size).toBeGreaterThan(2);
  });

  it("finds exactly what comparing every pair finds", () => {
    const sentence = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 14 });
    fc.assert(
      fc.property(fc.array(sentence, { maxLength: 12 }), (sentences) => {
        const texts = sentences.map((numbers) => numbers.map((n) => `word${n}`).join(" "));
        const naive: number[] = [];
        for (const [i, text] of texts.entries()) {
          const first = naive.findIndex(
            (own, j) => own === j && jaccard(shinglesOf(texts[j]!), shinglesOf(text)) >= NEAR_DUPLICATE_MIN,
          );
          naive.push(first < 0 ? i : first);
        }
        expect(duplicateClusters(texts)).toEqual(naive);
      }),
      { numRuns: 200 },
    );
  });

  it("keeps short texts, texts without words and scripts without spaces apart", () => {
    expect(duplicateClusters(["!!!", "???", "a", "b", "a", ""])).toEqual([0, 1, 2, 3, 2, 5]);
    const chinese = "贡献者写下的文字应当得到承认并且得到报酬这是公平的";
    expect(duplicateClusters([chinese, `${chinese}。`, "完全不同的一段话没有任何相同之处请不要合并它们"])).toEqual([
      0, 0, 2,
    ]);
  });

  it("looks up without adding", () => {
    const index = new DuplicateIndex();
    expect(index.find(essay)).toBeUndefined();
    index.add(essay);
    expect(index.find(essay.toUpperCase())).toBe(0);
    expect(index.size).toBe(1);
  });

  it("clusters 10,000 records, copies of one text included", () => {
    let seed = 1;
    const random = () => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return seed / 2 ** 32;
    };
    const vocabulary = Array.from({ length: 5_000 }, (_, i) => `term${i}`);
    const texts = Array.from({ length: 10_000 }, (_, i) =>
      i % 10 === 9 ? essay : Array.from({ length: 80 }, () => vocabulary[Math.floor(random() ** 2 * 5_000)]).join(" "),
    );
    const clusters = duplicateClusters(texts);
    expect(clusters.filter((first) => first === 9)).toHaveLength(1_000);
    expect(clusters.filter((first, i) => first !== i)).toHaveLength(999);
  });
});
