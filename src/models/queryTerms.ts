import { encode } from "./bpe.ts";
import type { CorpusIndex } from "./corpusIndex.ts";
import { countPattern } from "./infinigram.ts";

/** A content word of a question, with how much it says in this corpus. */
export interface QueryTerm {
  readonly word: string;
  readonly stem: string;
  /** −log2 of the word's share of the corpus, in bits; highest where the corpus never says it. */
  readonly bits: number;
  readonly isKnown: boolean;
}

/** The distinct content words of a question, in order: names of commands, packages and functions stay whole. */
export function queryTerms(index: CorpusIndex, question: string): QueryTerm[] {
  const terms = new Map<string, QueryTerm>();
  for (const match of question.matchAll(wordsOfQuestion)) {
    const word = match[0];
    const lower = word.toLowerCase();
    if (fillers.has(lower)) continue;
    const stem = stemOf(lower);
    if (terms.has(stem)) continue;
    const count = countWord(index, word);
    const bits = Math.log2((index.suffixes.length + 2) / (count + 1));
    terms.set(stem, { word, stem, bits, isKnown: count > 0 });
  }
  return [...terms.values()];
}

/** The stems of all words of a text; compound names count whole and by their parts, and e[x]tract is a word like any other. */
export function stemsOf(text: string): Map<string, number> {
  const stems = new Map<string, number>();
  const add = (word: string): void => {
    const stem = stemOf(word.toLowerCase());
    stems.set(stem, (stems.get(stem) ?? 0) + 1);
  };
  for (const match of text.replaceAll(/\[(\p{L})\]/gu, "$1").matchAll(wordsOfQuestion)) {
    const word = match[0];
    add(word);
    const parts = word.split(/[^\p{L}\p{N}]+|(?<=\p{Ll})(?=\p{Lu})/u).filter((part) => part !== "");
    if (parts.length > 1) for (const part of parts) add(part);
    const bare = word.replace(/^[-@]+/, "");
    if (bare !== word) add(bare);
  }
  return stems;
}

/** Endings of English that a question and a manual differ in; both sides pass through it, so it need not make words. */
export function stemOf(word: string): string {
  if (!/^[a-z]+$/.test(word) || word.length < 4) return word;
  let stem = word;
  if (stem.endsWith("ies")) stem = `${stem.slice(0, -3)}y`;
  else if (/(?:[sxz]|[cs]h)es$/.test(stem)) stem = stem.slice(0, -2);
  else if (/[^aius]s$/.test(stem)) stem = stem.slice(0, -1);
  if (stem.length > 5 && stem.endsWith("ing")) stem = stem.slice(0, -3);
  else if (stem.length > 4 && stem.endsWith("ed")) stem = stem.slice(0, -2);
  if (stem.length > 3 && stem.endsWith("e")) stem = stem.slice(0, -1);
  if (stem.length > 3 && stem.at(-1) === stem.at(-2)) stem = stem.slice(0, -1);
  return stem;
}

/** Words with the marks that names of packages, flags and functions are made of inside them. */
const wordsOfQuestion = /(?:@|--?)?[\p{L}\p{N}](?:[\p{L}\p{N}]|[-_./+](?=[\p{L}\p{N}]))*/gu;

const fillers: ReadonlySet<string> = new Set(
  `a about all also am an and any are as at be been being between both but by call called can could describe did do does
  example examples explain feature features find for from function functions get getting give had has have help here how i if in into is it its just know let like line lines
  make me mean meaning method methods module my need no not of on once one or our package packages please possible program
  purpose say see should show so some such tell than that the their them then there these they thing things this those to
  tool tools up us usage use used useful user using via want was way ways we were what when where whether which while who whom whose why
  will with without work works would write you your command commands library libraries option options`.split(/\s+/),
);

/** How often the corpus says a word, as it stands, in lower case and as a sentence's first word, after a space or not. */
function countWord(index: CorpusIndex, word: string): number {
  const lower = word.toLowerCase();
  const shapes = new Set([word, lower, lower.slice(0, 1).toUpperCase() + lower.slice(1), stemOf(lower)]);
  let count = 0;
  for (const shape of shapes) {
    for (const text of [shape, ` ${shape}`]) count += countPattern(index, encode(index.tokenizer, text));
  }
  return count;
}
