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

export function demandOf(terms: readonly QueryTerm[], question: string): Demand {
  const rarest = Math.max(...terms.map(({ bits }) => bits));
  const phrases = namedIn(question);
  const stems = stemsOf(phrases.join("\n"));
  const isNamed = ({ stem }: QueryTerm): boolean => stems.has(stem);
  const content = new Set(terms.map(({ stem }) => stem));
  return {
    subject: terms.filter((term) => term.bits >= SUBJECT_PART * rarest || isNamed(term)),
    names: phrases.map((phrase) => inRow(phrase, (stem) => content.has(stem))),
    named: terms.filter(isNamed),
    task: terms.filter((term) => !isNamed(term)),
  };
}

/** Says of each block of a record whether it supports an answer. */
export function supportedBy({ subject, names, named, task }: Demand, place: Place): (block: Block) => boolean {
  const { title, headings } = place;
  const [inTitle, inPlace] = [stemsOf(title), stemsOf([title, ...headings].join("\n"))];
  const isPlaced = named.every(({ stem }) => inPlace.has(stem));
  // "the openai client" names a record that is titled openai, if it says "client" somewhere.
  const isTitled = inTitle.size > 0 && [...inTitle.keys()].every((stem) => named.some((term) => term.stem === stem));
  const share = isPlaced ? SUPPORT_MIN : MENTION_SUPPORT_MIN;
  // A title that fits does not make up for a record that says nothing to what is asked of it.
  const beyond = task.filter(({ stem }) => !inTitle.has(stem));
  const around = [title, ...headings, withoutPointers(place.introduction)].join("\n");
  return (block) => {
    const text = `${around}\n${block.heading}\n${withoutPointers(block.text)}`;
    const stems = stemsOf(text);
    const says = ({ stem }: QueryTerm): boolean => stems.has(stem);
    if (!subject.every(says)) return false;
    if (![task, beyond].every((some) => bitsOf(some.filter(says)) >= share * bitsOf(some))) return false;
    return isPlaced || isTitled || names.every((name) => inRow(text).includes(name));
  };
}

export function bitsOf(terms: readonly QueryTerm[]): number {
  return terms.reduce((sum, { bits }) => sum + bits, 0);
}

/** What a question quotes, and what it asks to be done with: "… with git merge-index?" */
function namedIn(question: string): string[] {
  const means = /.*\b(?:with|using|via)\s+(\S+(?:\s+\S+){0,3}?)\W*$/is.exec(question)?.[1];
  const quoted = [...question.matchAll(/["“`]([^"“”`]{1,200})["”`]/g)].map((match) => match[1]!);
  return means === undefined ? quoted : [means, ...quoted];
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
