import { expect, test } from "vitest";
import { demandOf, namesOther, supportedBy } from "./blockSupport.ts";
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
  ['What does "pigz" say about compressing?', "Compress a file:", true],
  ['What does "pigz for tapes" say about compressing?', "Compress a file:", false], // a longer name is another one
  ['What does "parallel gzip" say about use?', "Compress a file:", false], // only mentioned: the heading is not about it
  ['What does "parallel gzip" say about compressing a file?', "Compress a file:", true],
])("%s — %s: %s", (question, text, isSaid) => {
  const block = { text, heading: "", hasCode: false, order: 1 };
  expect(supportedBy(demandOf(termsOf(question), question), place)(block)).toBe(isSaid);
});

/** Every content word alike rare, but names rarer. */
function termsOf(question: string): QueryTerm[] {
  const fillers = new Set(["how", "do", "i", "a", "with", "what", "doe", "say", "about", "and"]);
  return [...stemsOf(question).keys()]
    .filter((stem) => !fillers.has(stem))
    .map((stem) => ({ word: stem, stem, bits: 10, isKnown: true }))
    .map((term) => (["compress", "file", "big", "encrypt", "volum"].includes(term.stem) ? { ...term, bits: 5 } : term));
}

test.each([
  //  question                                    titles                                   another's
  ["How do I amend with git commit?", ["git commit", "git commit-tree", "git"], ["git commit-tree"]],
  ["How do I amend with git commit?", ["git commit-tree", "git commit-graph"], []], // none is exactly it
  ['What does "gas cost" say?', ["Gas cost", "Gas costs", "Gas cost increase", "Cost"], ["Gas cost increase"]],
  ["How do I amend a commit?", ["git commit", "git commit-tree"], []], // nothing is named
])("%s — %j: %j is something else", (question, titles, others) => {
  expect(titles.filter(namesOther(demandOf(termsOf(question), question), titles))).toEqual(others);
});

test.each([
  //  question                                             title                                                is about it
  ['What does "Gas cost" say about use?', "Gas cost", true],
  ['What does "Gas cost" say about use?', "Gas cost increase", true], // most of the title
  ['What does "Gas cost" say about use?', "Gas cost of calls into the past", false], // another text
  ['What does "Gas cost" say about use?', "Cost of gas", false], // in another order
  ['What does "Adds `fee` to `get`" say about use?', "Adds `fee` to `get`", true], // quotations inside
  ['What does "safe "send" popup" say about use?', 'safe "send" popup', true],
  ['What does "Gas cost say about use?', "Gas cost", true], // a mark alone quotes nothing
])("%s — titled %s: %s", (question, title, isAbout) => {
  const block = { text: "It says much.", heading: "", hasCode: false, order: 1 };
  expect(
    supportedBy(demandOf(termsOf(question), question), { title, headings: ["Use"], introduction: "" })(block),
  ).toBe(isAbout);
});
