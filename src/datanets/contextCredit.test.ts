import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Bm25Index } from "./bm25.ts";
import type { IndexedText } from "./bm25Build.ts";
import { type ContextUse, contextWeights, creditContext } from "./contextCredit.ts";

const word = fc.constantFrom("tar", "gzip", "file", "list", "disk", "copy", "folder", "key");
const words = fc.array(word, { minLength: 1, maxLength: 6 }).map((some) => some.join(" "));
const texts = fc.array(fc.record({ title: words, headingPath: fc.array(words, { maxLength: 2 }), text: words }), {
  minLength: 1,
  maxLength: 12,
});

const bareOf = ({ text }: IndexedText): IndexedText => ({ title: "", headingPath: [], text });

function use(all: readonly IndexedText[], record: number, question: string, layers: ContextUse["layers"]): ContextUse {
  return { question, record, weight: 1n, bare: bareOf(all[record]!), layers };
}

describe("what context changed", () => {
  test("a text scores alone as it scores in the index, bit for bit", () => {
    fc.assert(
      fc.property(texts, words, (all, question) => {
        const search = new Bm25Index(all);
        for (const { record, score } of search.search(question, all.length).hits)
          expect(search.scoreOf(question, all[record]!)).toBe(score);
      }),
    );
  });

  test("the layers' credits sum to the best worth less the bare text's, whoever made them", () => {
    fc.assert(
      fc.property(
        texts,
        words,
        fc.array(fc.tuple(fc.constantFrom("a", "b"), words), { maxLength: 4 }),
        (all, q, made) => {
          const search = new Bm25Index(all);
          const layers = made.map(([by, title]) => ({ by, text: { ...all[0]!, title } }));
          const split = creditContext(search, [use(all, 0, q, layers)]);
          const alone = creditContext(search, [
            use(
              all,
              0,
              q,
              layers.map((layer) => ({ ...layer, by: "c" })),
            ),
          ]);
          expect([...split.values()].reduce((sum, units) => sum + units, 0n)).toBe(alone.get("c") ?? 0n);
        },
      ),
    );
  });

  test("who says again what was said before earns nothing, however often and under whatever name", () => {
    fc.assert(
      fc.property(texts, words, fc.integer({ min: 1, max: 5 }), (all, question, copies) => {
        const search = new Bm25Index(all);
        const first = { by: "first", text: all[0]! };
        const again = Array.from({ length: copies }, (_, i) => ({ by: `copier ${i}`, text: all[0]! }));
        const credits = creditContext(search, [use(all, 0, question, [first, ...again])]);
        expect([...credits.keys()].filter((by) => by !== "first")).toEqual([]);
      }),
    );
  });

  test("a title that the text repeats changes nothing, and one that it lacks is what finds it", () => {
    const all = [
      { title: "tar", headingPath: [], text: "extract an archive of many old files" },
      { title: "zip", headingPath: [], text: "extract an archive" },
      { title: "gzip", headingPath: [], text: "gzip can compress" },
    ];
    const search = new Bm25Index(all);
    const credits = (record: number, question: string) =>
      creditContext(search, [use(all, record, question, [{ by: "ann", text: all[record]! }])]).get("ann");
    expect(credits(0, "extract an archive with tar")).toBe(9n * 30n); // rank 2 without its title, 1 with it
    expect(credits(2, "how does gzip compress")).toBeUndefined();
  });

  test("a reviewer has a tenth of what a record that they let in is worth", () => {
    const all = [{ title: "tar", headingPath: [], text: "extract" }];
    const used = { ...use(all, 0, "tar", [{ by: "ann", text: all[0]! }]), reviewer: "rev" };
    expect([...creditContext(new Bm25Index(all), [used])]).toEqual([
      ["ann", 540n],
      ["rev", 60n],
    ]);
  });

  test("weights keep the proportion, are whole and above nothing, and sum below 2^32", () => {
    const units = fc.array(fc.bigInt({ min: 1n, max: 10n ** 30n }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(units, (some) => {
        const weights = contextWeights(new Map(some.map((each, i) => [`${i}`, each])));
        const total = some.reduce((sum, each) => sum + each, 0n);
        expect(weights.reduce((sum, { weight }) => sum + weight, 0)).toBeLessThan(2 ** 32);
        for (const { by, weight } of weights) {
          expect(weight).toBeGreaterThanOrEqual(1);
          expect(Math.abs(weight - Number((some[Number(by)]! * 10n ** 9n) / total))).toBeLessThanOrEqual(1);
        }
      }),
    );
  });
});
