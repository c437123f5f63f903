import { expect, test } from "vitest";
import { demandOf, supportedBy } from "./blockSupport.ts";
import { type QueryTerm, stemsOf } from "./queryTerms.ts";

const place = { title: "pigz", headings: ["Use"], introduction: "A parallel gzip.\nSee also: `unpigz`." };

test.each([
  //  question                                   block                                  says it  because
  ["How do I compress a file with pigz?", "Compress a file:", true], // the title names it
  ["How do I compress a file with unpigz?", "Compress a file:", false], // a pointer is no mention
  ["How do I compress a file with parallel gzip?", "Compress a file:", true], // the introduction mentions it, and the block says all
  ["How do I compress a file with gzip parallel?", "Compress a file:", false], // in another order it is another name
  ["How do I compress a big file with gzip parallel?", "Compress a file:", false],
  ["How do I encrypt a volume with pigz?", "Compress a file:", false], // a fitting title alone is no answer
  ['What does "Use" say?', "Compress a file:", true], // a heading names it
  ['What does "Abuse" say?', "Compress a file:", false],
])("%s — %s: %s", (question, text, isSaid) => {
  const block = { text, heading: "", hasCode: false, order: 1 };
  expect(supportedBy(demandOf(termsOf(question), question), place)(block)).toBe(isSaid);
});

/** Every content word alike rare, but names rarer. */
function termsOf(question: string): QueryTerm[] {
  const fillers = new Set(["how", "do", "i", "a", "with", "what", "doe", "say"]);
  return [...stemsOf(question).keys()]
    .filter((stem) => !fillers.has(stem))
    .map((stem) => ({ word: stem, stem, bits: 10, isKnown: true }))
    .map((term) => (["compress", "file", "big", "encrypt", "volum"].includes(term.stem) ? { ...term, bits: 5 } : term));
}
