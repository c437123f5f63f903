import type { Block } from "./blocks.ts";
import { type QueryTerm, stemOf, stemsOf } from "./queryTerms.ts";

/**
 * Whether a block says what is asked. An answer is refused where none does, since a block about something alike reads like an answer and is wrong.
 * The words under which a block stands (title, headings, its record's introduction) count as said by it: that is what packaging adds to a text.
 */
export interface Demand {
  /** The rarest terms, and what is named: a block that lacks one of them speaks of something else. */
  readonly subject: readonly QueryTerm[];
  /** What is quoted, and what something is to be done with, as stems in a row. */
  readonly names: readonly string[];
  /** The same with every word. */
  readonly rows: readonly string[];
  /** Those of them that are quoted. */
  readonly quoted: readonly string[];
  readonly named: readonly QueryTerm[];
  /** What is asked about that. */
  readonly task: readonly QueryTerm[];
}

/** A record as far as it lends its blocks words. */
export interface Place {
  readonly title: string;
  readonly headings: readonly string[];
  /** The record's first block. */
  readonly introduction: string;
}

/** A term at least this rare, beside the rarest, is what a question is about: the block that answers says it. */
const SUBJECT_PART = 0.95;
/** The share of what is asked, by rarity, that a block must say. */
const SUPPORT_MIN = 0.5;
/** The same, of a record whose title and headings do not name the subject: it only mentions it. */
const MENTION_SUPPORT_MIN = 0.8;
/** Of the words of a title or heading, a quotation that names it holds so many: "Account abstraction" is not "Account abstraction for light clients". */
const QUOTED_PART = 2 / 3;

export function demandOf(terms: readonly QueryTerm[], question: string): Demand {
  const rarest = Math.max(...terms.map(({ bits }) => bits));
  const quotations = quotedIn(question);
  const phrases = [...meansIn(question), ...quotations];
  const stems = stemsOf(phrases.join("\n"));
  const isNamed = ({ stem }: QueryTerm): boolean => stems.has(stem);
  const content = new Set(terms.map(({ stem }) => stem));
  return {
    subject: terms.filter((term) => term.bits >= SUBJECT_PART * rarest || isNamed(term)),
    names: phrases.map((phrase) => inRow(phrase, (stem) => content.has(stem))),
    rows: phrases.map((phrase) => inRow(phrase)),
    quoted: quotations.map((phrase) => inRow(phrase)),
    named: terms.filter(isNamed),
    task: terms.filter((term) => !isNamed(term)),
  };
}

/** Says of each block of a record whether it supports an answer. */
export function supportedBy({ subject, names, quoted, named, task }: Demand, place: Place): (block: Block) => boolean {
  const { title, headings } = place;
  const [inTitle, inPlace] = [stemsOf(title), stemsOf([title, ...headings].join("\n"))];
  const isPlaced = named.every(({ stem }) => inPlace.has(stem)) && isNamedBy(quoted, [title, ...headings]);
  // "the openai client" names a record that is titled openai, if it says "client" somewhere.
  const isTitled = inTitle.size > 0 && [...inTitle.keys()].every((stem) => named.some((term) => term.stem === stem));
  const share = isPlaced ? SUPPORT_MIN : MENTION_SUPPORT_MIN;
  // A title that fits does not make up for a record that says nothing to what is asked of it.
  const beyond = task.filter(({ stem }) => !inTitle.has(stem));
  const around = [title, ...headings, withoutPointers(place.introduction)].join("\n");
  return (block) => {
    const own = withoutPointers(block.text);
    const text = `${around}\n${block.heading}\n${own}`;
    const stems = stemsOf(text);
    if (!subject.every(({ stem }) => stems.has(stem))) return false;
    // What is only mentioned does not stand under these headings: they are about the record's own subject.
    const lent = isPlaced || isTitled ? stems : stemsOf(own);
    const says = ({ stem }: QueryTerm): boolean => lent.has(stem);
    if (![task, beyond].every((some) => bitsOf(some.filter(says)) >= share * bitsOf(some))) return false;
    return isPlaced || isTitled || names.every((name) => inRow(text).includes(name));
  };
}

/** Whether a text says by itself, whatever it stands under, most of what is asked of the subject. */
export function tellsTask({ task }: Demand, text: string): boolean {
  const stems = stemsOf(text);
  return bitsOf(task.filter(({ stem }) => stems.has(stem))) >= SUPPORT_MIN * bitsOf(task);
}

/**
 * Which titles go on where one of them ends that is exactly what is asked about: beside a record on "git commit", one on "git commit-tree" speaks of something else, and so does one that
 * somebody has put beside it under a longer name.
 */
export function namesOther({ rows }: Demand, titles: readonly string[]): (title: string) => boolean {
  const borne = new Set(titles.map((title) => inRow(title)));
  const exact = rows.filter((row) => borne.has(row));
  return (title) => {
    const row = inRow(title);
    return exact.some((name) => row !== name && row.includes(name)) && !exact.includes(row);
  };
}

export function bitsOf(terms: readonly QueryTerm[]): number {
  return terms.reduce((sum, { bits }) => sum + bits, 0);
}

/** A mark that opens a quotation stands before a word, one that closes it behind one. */
const quotationMark = /(?<open>(?<=^|[\s(["“`])["“`](?=\S))|(?<=\S)["”`](?![\p{L}\p{N}])/gu;

/** What a question quotes; a quotation in a quotation is a part of it. */
function quotedIn(question: string): string[] {
  const quotations: string[] = [];
  const opened: number[] = [];
  for (const { index, groups } of question.matchAll(quotationMark)) {
    if (groups?.["open"] !== undefined) opened.push(index + 1);
    else if (opened.length > 0) {
      const phrase = question.slice(opened.pop(), index);
      if (opened.length === 0) quotations.push(phrase);
    }
  }
  return quotations;
}

/** What a question asks to be done with: "… with git merge-index?" */
function meansIn(question: string): string[] {
  const means = /.*\b(?:with|using|via)\s+(\S+(?:\s+\S+){0,3}?)\W*$/is.exec(question)?.[1];
  return means === undefined ? [] : [means];
}

/** Whether what is quoted stands as it is in these lines, and is most of one of them. */
function isNamedBy(quoted: readonly string[], lines: readonly string[]): boolean {
  const rows = lines.map((line) => inRow(line));
  const isMost = (name: string, row: string): boolean =>
    name.trim().split(" ").length >= QUOTED_PART * row.trim().split(" ").length;
  const found = quoted.map((name) => rows.filter((row) => row.includes(name)));
  return (
    found.every(({ length }) => length > 0) &&
    (quoted.length === 0 || quoted.some((name, i) => found[i]!.some((row) => isMost(name, row))))
  );
}

/** Stems in a row, whatever stands between the words. */
function inRow(text: string, isKept: (stem: string) => boolean = () => true): string {
  const words = text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  return ` ${words.map(stemOf).filter(isKept).join(" ")} `;
}

/** "See also: `unalias`" names what a text is not about. */
function withoutPointers(text: string): string {
  return text.replaceAll(/^\W*see also\b.*$/gim, "");
}
