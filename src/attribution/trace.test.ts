import fc from "fast-check";
import { expect, test } from "vitest";
import { toHex, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { buildIndex } from "../models/corpusIndex.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import { PageCache } from "../models/shardPages.ts";
import { ShardSet } from "../models/shardSet.ts";
import { memoryShard } from "../models/testing/memoryShard.ts";
import { type Corpus, memoryCorpus } from "./corpus.ts";
import { shardCorpus } from "./spanShards.ts";
import { traceAnswer } from "./trace.ts";

const house = houseTokenizer();
const notes = [
  "The quiet harbour master counts painted lanterns before the northern tide returns to the stone quay. Ships wait.",
  "Copper kettles whistle whenever mountain bakers fold saffron into their braided winter loaves at dawn.\nThey sing.",
  "Seventeen clockmakers argued about brass escapements until the museum closed its heavy walnut doors at dusk.",
  "Lanterns are painted by the harbour master before the tide, and the quay is of stone.",
];
const corpus = corpusOf(notes);

test("what is traced stands in the output and in the record as the same words, whole words of one sentence", () => {
  const piece = fc.tuple(fc.constantFrom(...notes), fc.nat(60), fc.integer({ min: 10, max: 120 }));
  const answers = fc.array(piece, { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(answers, (parts) => {
      const answer = parts.map(([note, a, b]) => note.slice(a, a + b)).join("; ");
      const { spans, documents } = traceAnswer(corpus, "What happens at dawn?", answer);
      for (const { record, passages, snippet } of documents) {
        for (const { output, source } of passages) {
          const words = answer.slice(output.from, output.until);
          expect(notes[record]!.slice(source.from, source.until)).toBe(words);
          expect(snippet).toContain(passages.length === 1 ? words : "");
          expect(words).not.toMatch(/[.]\s\S|\n\S/);
          expect(`${answer[output.from - 1] ?? " "}${words[0]}`).not.toMatch(/^\w\w$/);
          expect(`${words.at(-1)}${answer[output.until] ?? " "}`).not.toMatch(/^\w\w$/);
          expect(spans.some((span) => span.output.from <= output.from && span.output.until >= output.until)).toBe(true);
        }
      }
      spans.forEach((span, i) => {
        expect(span.output.from).toBeGreaterThan(spans[i - 1]?.output.until ?? -1);
        expect(span.records.length).toBeGreaterThan(0);
      });
      expect(documents.map(({ score }) => score)).toEqual(documents.map(({ score }) => score).sort((a, b) => b - a));
    }),
    { numRuns: 300 },
  );
});

test("shards show what one index shows", () => {
  const cache = new PageCache(32 * 4096);
  const shards = [notes.slice(0, 1), notes.slice(1, 3), notes.slice(3)].map((some) =>
    memoryShard(indexOf(some), cache),
  );
  const sharded = shardCorpus(new ShardSet(house, shards));
  const answer = `${notes[1]} And ${notes[0]!.slice(10, 90)}`;
  const strip = (one: Corpus) => traceAnswer(one, "kettles", answer).documents.map(({ id, ...rest }) => rest);
  expect(strip(sharded)).toEqual(strip(corpus));
});

test("a document about the same thing is high, one that shares a phrase is low; the top of unrelated ones is not high", () => {
  const phrase = "returns to the stone quay before the northern tide";
  const answer = `The harbour master counts painted lanterns; every ship ${phrase}!`;
  const about = `The harbour master counts painted lanterns when a boat ${phrase}.`;
  const other = `Taxes, tariffs and treaties fill this volume on customs law of six kingdoms; a clerk ${phrase}, says a footnote on page nine.`;
  const { documents } = traceAnswer(corpusOf([other, about]), "Who counts the lanterns?", answer);
  expect(documents.map(({ record, relevance }) => [record, relevance])).toEqual([
    [1, "high"],
    [0, "low"],
  ]);
  const far = `Nobody in the village knew why the engineer ${phrase} while everyone else discussed football, opera, taxation and soup.`;
  expect(traceAnswer(corpusOf([other]), "Why?", far).documents.map(({ relevance }) => relevance)).toEqual(["low"]);
});

test("only the rarest twentieth of the tokens are spans, and nothing is shown for an output that nobody wrote", () => {
  const answer = notes.join(" ");
  expect(traceAnswer(corpus, "", answer, { ...limits, spansPerMille: 1 }).spans).toHaveLength(1);
  expect(traceAnswer(corpus, "", answer, { ...limits, occurrencesMax: 0 })).toEqual({ spans: [], documents: [] });
  expect(traceAnswer(corpus, "", "zzz qqq")).toEqual({ spans: [], documents: [] });
  expect(traceAnswer(corpusOf([]), "", notes[0]!)).toEqual({ spans: [], documents: [] });
  const copies = corpusOf(Array.from({ length: 40 }, () => notes[2]!));
  expect(traceAnswer(copies, "", notes[2]!).documents).toHaveLength(10);
});

const limits = { spansPerMille: 50, tokensMin: 4, documentsPerSpan: 10, occurrencesMax: 100, snippetTokens: 50 };

function corpusOf(texts: readonly string[]): Corpus {
  return memoryCorpus(indexOf(texts));
}

function indexOf(texts: readonly string[]) {
  return buildIndex(
    house,
    texts.map((text, i) => ({ id: toHex(sha256(utf8(`${i}`))), text })),
  );
}
