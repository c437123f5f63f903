import { assert } from "../core/result.ts";
import { ended, fieldsOf, type IndexedText, impactOf, UNIT, weighing } from "./bm25Build.ts";
import { rarity } from "./rarity.ts";
import { type Concept, conceptsOf, rawTokens, stopWords, tokenTerms } from "./tokens.ts";

export interface Hit {
  /** Position in the list that the index was built from. */
  readonly record: number;
  readonly score: number;
  /** Words of the query that this record holds, as written, in lower case. */
  readonly matched: readonly string[];
}

export interface Retrieval {
  /** Best first; equal scores by record. */
  readonly hits: readonly Hit[];
  /** From 0 to 1: how much of what the question asks, by weight of its words, the best hit holds. */
  readonly confidence: number;
  /** False where the records very likely hold no answer. */
  readonly isAnswerable: boolean;
}

/** Below this confidence a question is told that it cannot be answered from these records. */
export const ANSWERABLE_MIN = 0.55;

/** A name that is there only in pieces counts this much of being there. */
const PARTS_WORTH = 0.8;
const QUERY_TERMS_MAX = 64;

/**
 * BM25 (Robertson and Zaragoza 2009, with k1 = 1.2 and b = 0.75) over records, as BM25F: a term in the title counts three times, in a heading twice.
 * What a posting adds to a score is computed once, as a whole number of 1/1024, with a logarithm made of + − × ÷ only: scores are exact sums of
 * integers, the same on every machine, and a third party that rebuilds the index ranks as we did.
 */
export class Bm25Index {
  readonly recordCount: number;
  readonly #terms: ReadonlyMap<string, number>;
  /** Postings of term t are [starts[t], starts[t + 1]): records ascending, with their impacts. */
  readonly #starts: Uint32Array;
  readonly #records: Uint32Array;
  readonly #impacts: Uint32Array;
  readonly #scores: Uint32Array;
  /** Weighted length of a record, in the mean. */
  readonly #lengthMean: number;

  /** `weighed` is what has been worked out of these texts already. */
  constructor(texts: readonly IndexedText[], weighed = ended(weighing(texts))) {
    this.recordCount = texts.length;
    this.#terms = weighed.terms;
    this.#starts = weighed.starts;
    this.#records = weighed.records;
    this.#lengthMean = weighed.lengthMean;
    this.#impacts = weighed.impacts;
    this.#scores = new Uint32Array(texts.length);
  }

  /** The same, while others have their turn: a second goes into some ten million characters. `turn` ends when they have had it. */
  static async inTurns(texts: readonly IndexedText[], turn: () => Promise<void>): Promise<Bm25Index> {
    const work = weighing(texts);
    let step = work.next();
    while (step.done !== true) {
      await turn();
      step = work.next();
    }
    return new Bm25Index(texts, step.value);
  }

  /** Bytes of postings, without the dictionary of terms. */
  get postingBytes(): number {
    return this.#starts.byteLength + this.#records.byteLength + this.#impacts.byteLength + this.#scores.byteLength;
  }

  get termCount(): number {
    return this.#terms.size;
  }

  search(query: string, limit = 10): Retrieval {
    assert(Number.isInteger(limit) && limit >= 1, "a search returns at least one hit");
    const concepts = queryConcepts(query);
    const touched = this.#accumulate(concepts);
    const best = this.#best(touched, limit);
    const hits = best.map((record) => ({
      record,
      score: this.#scores[record]! / UNIT,
      matched: concepts.filter((concept) => this.#share(concept, record) > 0).map(({ written }) => written),
    }));
    const confidence = best.slice(0, 3).reduce((most, record) => Math.max(most, this.#coverage(concepts, record)), 0);
    for (const record of touched) this.#scores[record] = 0;
    return { hits, confidence, isAnswerable: confidence >= ANSWERABLE_MIN };
  }

  /** What a text would score among these records: of a record of this index, what it does score. */
  scoreOf(query: string, text: IndexedText): number {
    const counts = new Map<string, number>();
    let length = 0;
    for (const [field, weight] of fieldsOf(text)) {
      for (const term of rawTokens(field).flatMap(tokenTerms)) {
        counts.set(term, (counts.get(term) ?? 0) + weight);
        length += weight;
      }
    }
    let score = 0;
    for (const term of new Set(queryConcepts(query).flatMap(({ whole, parts }) => [whole, ...parts]))) {
      const frequency = counts.get(term);
      if (frequency === undefined) continue;
      score += impactOf(frequency, rarity(this.#frequency(term), this.recordCount), length / this.#lengthMean);
    }
    return score / UNIT;
  }

  /** Adds each term's impacts up in `#scores`; returns the records that got any. */
  #accumulate(concepts: readonly Concept[]): number[] {
    const touched: number[] = [];
    const scores = this.#scores;
    for (const term of new Set(concepts.flatMap(({ whole, parts }) => [whole, ...parts]))) {
      const t = this.#terms.get(term);
      if (t === undefined) continue;
      for (let p = this.#starts[t]!; p < this.#starts[t + 1]!; p++) {
        const record = this.#records[p]!;
        if (scores[record] === 0) touched.push(record);
        scores[record] = scores[record]! + this.#impacts[p]!;
      }
    }
    return touched;
  }

  #best(touched: readonly number[], limit: number): number[] {
    const scores = this.#scores;
    const best: number[] = [];
    for (const record of touched) {
      const worst = best[limit - 1];
      if (worst !== undefined && !ranksBefore(scores, record, worst)) continue;
      let at = Math.min(best.length, limit - 1);
      while (at > 0 && ranksBefore(scores, record, best[at - 1]!)) {
        best[at] = best[at - 1]!;
        at--;
      }
      best[at] = record;
    }
    return best;
  }

  #coverage(concepts: readonly Concept[], record: number): number {
    let [asked, held] = [0, 0];
    for (const concept of concepts) {
      const weight = this.#weight(concept);
      asked += weight;
      held += weight * this.#share(concept, record);
    }
    return asked === 0 ? 0 : held / asked;
  }

  /** 1 where a record holds a concept whole, less where it holds some of its parts. */
  #share({ whole, parts }: Concept, record: number): number {
    if (this.#holds(whole, record)) return 1;
    const held = parts.filter((part) => this.#holds(part, record)).length;
    return parts.length === 0 ? 0 : (held / parts.length) * PARTS_WORTH;
  }

  /** The rarity of a concept: a word that no record holds weighs most, since it may be what the question is about. */
  #weight({ whole, parts }: Concept): number {
    const frequency = Math.max(...[whole, ...parts].map((term) => this.#frequency(term)));
    return rarity(frequency, this.recordCount);
  }

  #frequency(term: string): number {
    const t = this.#terms.get(term);
    return t === undefined ? 0 : this.#starts[t + 1]! - this.#starts[t]!;
  }

  #holds(term: string, record: number): boolean {
    const t = this.#terms.get(term);
    if (t === undefined) return false;
    let [low, high] = [this.#starts[t]!, this.#starts[t + 1]!];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#records[middle]! < record) low = middle + 1;
      else high = middle;
    }
    return low < this.#starts[t + 1]! && this.#records[low] === record;
  }
}

/** The words of a query that ask for something: without stop words, unless there is nothing else. */
function queryConcepts(query: string): Concept[] {
  const all = new Map(conceptsOf(query.slice(0, 10_000)).map((concept) => [concept.whole, concept]));
  const content = [...all.values()].filter(({ whole }) => !stopWords.has(whole));
  return (content.length > 0 ? content : [...all.values()]).slice(0, QUERY_TERMS_MAX);
}

function ranksBefore(scores: Uint32Array, a: number, b: number): boolean {
  return scores[a]! > scores[b]! || (scores[a] === scores[b] && a < b);
}
