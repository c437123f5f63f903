import { rarity } from "./rarity.ts";
import { rawTokens, tokenTerms } from "./tokens.ts";

/** A record as BM25F sees it: its fields count differently. */
export interface IndexedText {
  readonly title: string;
  readonly headingPath: readonly string[];
  readonly text: string;
  /** What others have added: counts as headings do. */
  readonly notes?: readonly { readonly text: string }[];
}

const K1 = 1.2;
const B = 0.75;
export const UNIT = 1024;
const TITLE_WEIGHT = 3;
const HEADING_WEIGHT = 2;

interface Counted {
  readonly terms: Map<string, number>;
  readonly starts: Uint32Array;
  readonly records: Uint32Array;
  /** Weighted frequency of the term in the record. */
  readonly frequencies: Uint32Array;
  /** Weighted length of each record. */
  readonly lengths: Uint32Array;
}

/** All that a search needs. Postings of term t are [starts[t], starts[t + 1]): records ascending, with their impacts. */
export interface Weighed extends Omit<Counted, "frequencies" | "lengths"> {
  readonly impacts: Uint32Array;
  readonly lengthMean: number;
}

/** Pauses every few milliseconds: whoever drives it may let others have their turn. */
export function* weighing(texts: readonly IndexedText[]): Generator<void, Weighed, void> {
  const counted = yield* countTerms(texts);
  const lengthMean = counted.lengths.reduce((sum, length) => sum + length, 0) / Math.max(1, texts.length);
  const impacts = yield* impactsOf(counted, texts.length, lengthMean);
  return { ...counted, impacts, lengthMean };
}

export function ended<T>(work: Generator<void, T, void>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

/** Characters counted, and postings weighed, between two pauses: some milliseconds each. */
const CHARACTERS_PER_TURN = 50_000;
const POSTINGS_PER_TURN = 100_000;

function* countTerms(texts: readonly IndexedText[]): Generator<void, Counted, void> {
  const terms = new Map<string, number>();
  const idsOf = termNumbers(terms);
  const [postingTerms, postingRecords, postingCounts]: [number[], number[], number[]] = [[], [], []];
  const lengths = new Uint32Array(texts.length);
  let sincePause = 0;
  for (const [record, text] of texts.entries()) {
    sincePause += text.text.length;
    if (sincePause >= CHARACTERS_PER_TURN) {
      sincePause = 0;
      yield;
    }
    const counts = new Map<number, number>();
    const add = (field: string, weight: number) => {
      for (const token of rawTokens(field)) {
        const ids = idsOf(token);
        for (const t of ids) counts.set(t, (counts.get(t) ?? 0) + weight);
        lengths[record] = lengths[record]! + weight * ids.length;
      }
    };
    for (const [field, weight] of fieldsOf(text)) add(field, weight);
    for (const [t, count] of counts) {
      postingTerms.push(t);
      postingRecords.push(record);
      postingCounts.push(count);
    }
  }
  const starts = new Uint32Array(terms.size + 1);
  for (const t of postingTerms) starts[t + 1] = starts[t + 1]! + 1;
  for (let t = 0; t < terms.size; t++) starts[t + 1] = starts[t + 1]! + starts[t]!;
  const next = starts.slice();
  const [records, frequencies] = [new Uint32Array(postingTerms.length), new Uint32Array(postingTerms.length)];
  for (const [p, t] of postingTerms.entries()) {
    const at = next[t]!;
    next[t] = at + 1;
    records[at] = postingRecords[p]!;
    frequencies[at] = postingCounts[p]!;
  }
  return { terms, starts, records, frequencies, lengths };
}

/** Numbers of a token's terms, given in order of appearance. Few distinct tokens make up most of any text, so each is taken apart once. */
function termNumbers(terms: Map<string, number>): (token: string) => readonly number[] {
  const known = new Map<string, readonly number[]>();
  return (token) => {
    const found = known.get(token);
    if (found !== undefined) return found;
    const ids = tokenTerms(token).map((term) => {
      const number = terms.get(term) ?? terms.size;
      terms.set(term, number);
      return number;
    });
    known.set(token, ids);
    return ids;
  };
}

/** A record's fields, with how often a word in each counts. */
export function fieldsOf({
  title,
  headingPath,
  text,
  notes = [],
}: IndexedText): (readonly [field: string, weight: number])[] {
  const headings = [...headingPath, ...notes.map((note) => note.text)];
  return [[title, TITLE_WEIGHT], ...headings.map((heading) => [heading, HEADING_WEIGHT] as const), [text, 1]];
}

function* impactsOf(
  { starts, records, frequencies, lengths }: Counted,
  count: number,
  mean: number,
): Generator<void, Uint32Array, void> {
  const impacts = new Uint32Array(records.length);
  let pauseAt = POSTINGS_PER_TURN;
  for (let t = 0; t + 1 < starts.length; t++) {
    if (starts[t]! >= pauseAt) {
      pauseAt = starts[t]! + POSTINGS_PER_TURN;
      yield;
    }
    const weight = rarity(starts[t + 1]! - starts[t]!, count);
    for (let p = starts[t]!; p < starts[t + 1]!; p++)
      impacts[p] = impactOf(frequencies[p]!, weight, lengths[records[p]!]! / mean);
  }
  return impacts;
}

/** A term's part of a score, in 1/1024; at least 1, so that a match is never nothing. `length` is the record's, by the mean. */
export function impactOf(frequency: number, weight: number, length: number): number {
  const norm = K1 * (1 - B + B * length);
  return Math.max(1, Math.round((UNIT * weight * frequency * (K1 + 1)) / (frequency + norm)));
}
