import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ANSWERABLE_MIN, Bm25Index } from "./bm25.ts";
import type { IndexedText } from "./bm25Build.ts";
import { conceptsOf, stopWords } from "./tokens.ts";

const page = (title: string, headings: string[], text: string): IndexedText => ({ title, headingPath: headings, text });

describe("tokens", () => {
  it.each([
    ["readFileSync", ["readfilesync", "read", "file", "sync"]],
    ["node:fs", ["node:fs", "node", "fs"]],
    ["--no-color", ["--no-color", "no", "color"]],
    ["-v", ["-v", "v"]],
    ["@scope/pkg", ["@scope/pkg", "scop", "pkg"]],
    ["z.object()", ["z.object", "z", "object"]],
    ["HTTPServer", ["httpserver", "http", "server"]],
    ["snake_case", ["snake_case", "snak", "case"]],
    ["routes and classes", ["rout", "and", "class"]],
    ["add adds adding added", ["add", "add", "add", "add"]],
    ["define defined defines", ["defin", "defin", "defin"]],
    ["parse parsing parses", ["pars", "pars", "pars"]],
    ["string need speed this hooks", ["string", "need", "speed", "thi", "hook"]],
    ["running stopped", ["run", "stop"]],
    ["process status", ["process", "status"]],
    ["数据", ["数", "据"]],
    ["…!?", []],
  ])("%j", (text, terms) => expect(conceptsOf(text).flatMap(({ whole, parts }) => [whole, ...parts])).toEqual(terms));
});

describe("Bm25Index", () => {
  const word = fc.constantFrom("apple", "pear", "plum", "fig");
  const texts = fc.array(
    fc.record({
      title: word,
      headingPath: fc.array(word, { maxLength: 2 }),
      text: fc.array(word, { maxLength: 8 }).map((words) => words.join(" ")),
    }),
    { minLength: 1, maxLength: 12 },
  );

  it("finds the same when it is made in turns, which others have meanwhile", async () => {
    const many = Array.from({ length: 3_000 }, (_, i) =>
      page(`Page ${i % 7}`, [], Array.from({ length: 20 }, (__, k) => `word${(i * 31 + k * k) % 997}`).join(" ")),
    );
    let turns = 0;
    const made = await Bm25Index.inTurns(many, async () => {
      turns += 1;
    });
    expect(turns).toBeGreaterThan(5);
    for (const query of ["page 3 word12", "word500", "nothing"])
      expect(made.search(query)).toEqual(new Bm25Index(many).search(query));
  });

  it("scores as the formula does, and orders by score and then by record", () => {
    fc.assert(
      fc.property(texts, fc.uniqueArray(word, { minLength: 1 }), (texts, query) => {
        const { hits } = new Bm25Index(texts).search(query.join(" "), 20);
        const expected = naive(texts, query);
        expect(new Set(hits.map((hit) => hit.record))).toEqual(new Set(expected.keys()));
        for (const [i, hit] of hits.entries()) {
          expect(Math.abs(hit.score - expected.get(hit.record)!)).toBeLessThan(0.01);
          const next = hits[i + 1];
          if (next !== undefined)
            expect(hit.score > next.score || (hit.score === next.score && hit.record < next.record)).toBe(true);
          expect(hit.matched.length).toBeGreaterThan(0);
        }
      }),
    );
  });

  it("returns the best of many, the same as a full sort, and leaves nothing behind for the next search", () => {
    fc.assert(
      fc.property(texts, word, fc.integer({ min: 1, max: 5 }), (texts, query, limit) => {
        const index = new Bm25Index(texts);
        const all = index.search(query, 50);
        expect(index.search(query, limit).hits).toEqual(all.hits.slice(0, limit));
        expect(index.search(query, 50)).toEqual(all);
      }),
    );
  });

  const docs = new Bm25Index([
    page("fastify", ["Hooks"], "Use `addHook` to add a hook: onRequest, preHandler."),
    page("fastify", ["Routes"], "Declare a route with `fastify.route(options)`."),
    page("commander", ["Options"], "A boolean option is defined with `.option('--no-color')`."),
    page("undici", ["Pool"], "A Pool holds connections to one origin. See node:fs for files."),
    page("semver", ["Ranges"], "A version range is a set of comparators."),
  ]);

  it.each([
    ["How do I add a hook in fastify?", 0],
    ["what is addHook", 0],
    ["add hooks", 0],
    ["--no-color", 2],
    ["define a boolean option", 2],
    ["node:fs", 3],
    ["undici pool", 3],
    ["semver range", 4],
    ["fastify route", 1],
  ])("%j is answered by record %i", (query, record) => {
    const found = docs.search(query);
    expect(found.hits[0]?.record).toBe(record);
    expect(found.isAnswerable).toBe(true);
  });

  it.each(["What is the capital of France?", "Who won the world cup?", "how do I bake bread", "", "the of and"])(
    "%j is not answered",
    (query) => {
      const found = docs.search(query);
      expect(found.confidence).toBeLessThan(ANSWERABLE_MIN);
      expect(found.isAnswerable).toBe(false);
    },
  );

  it("answers from an empty index with nothing", () => {
    expect(new Bm25Index([]).search("anything")).toEqual({ hits: [], confidence: 0, isAnswerable: false });
  });
});

/** BM25F in floating point, straight from the formula, for words that are one term each. */
function naive(texts: readonly IndexedText[], query: readonly string[]): Map<number, number> {
  const counts = texts.map((text) => {
    const fields: [string, number][] = [
      [text.title, 3],
      ...text.headingPath.map((heading): [string, number] => [heading, 2]),
      ...text.text.split(" ").map((one): [string, number] => [one, 1]),
    ];
    return fields.filter(([one]) => one !== "");
  });
  const lengths = counts.map((fields) => fields.reduce((sum, [, weight]) => sum + weight, 0));
  const mean = lengths.reduce((sum, length) => sum + length, 0) / texts.length;
  const scores = new Map<number, number>();
  for (const term of query.filter((one) => !stopWords.has(one))) {
    const holders = counts.filter((fields) => fields.some(([one]) => one === term)).length;
    const idf = Math.log(1 + (texts.length - holders + 0.5) / (holders + 0.5));
    for (const [i, fields] of counts.entries()) {
      const tf = fields.reduce((sum, [one, weight]) => sum + (one === term ? weight : 0), 0);
      if (tf > 0)
        scores.set(i, (scores.get(i) ?? 0) + (idf * tf * 2.2) / (tf + 1.2 * (0.25 + (0.75 * lengths[i]!) / mean)));
    }
  }
  return scores;
}
