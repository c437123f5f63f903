import { type CharRange, charRange, type Tokenizer } from "../models/bpe.ts";
import { type CorpusIndex, recordAt, recordId, recordTokens } from "../models/corpusIndex.ts";
import { suffixAt } from "../models/suffixes.ts";
import { findMaximalSpans } from "./maximalSpans.ts";
import { tokenUnits } from "./rarity.ts";

/** What attribution asks of a corpus: one index in memory, or shards on disk. Positions ascend in the order of records. */
export interface Corpus {
  readonly tokenizer: Tokenizer;
  /** What each token says, in units of 1/256 bit. Shape [vocabulary]. */
  readonly units: Uint16Array;
  /** The maximal spans of at least `tokensMin` tokens, by start. */
  spans(output: Uint16Array, tokensMin: number): readonly CorpusSpan[];
  recordAt(position: number): number;
  startOf(record: number): number;
  recordTokens(record: number): Uint16Array;
  /** 32 bytes. */
  recordId(record: number): Uint8Array;
}

export interface CorpusSpan {
  /** Tokens [from, until) of the output. */
  readonly from: number;
  readonly until: number;
  /** Where it occurs, ascending; undefined where that is at more than `countMax` places. */
  positions(countMax: number): (ArrayLike<number> & Iterable<number>) | undefined;
}

export function memoryCorpus(index: CorpusIndex): Corpus {
  return {
    tokenizer: index.tokenizer,
    units: tokenUnits(index),
    spans: (output, tokensMin) =>
      findMaximalSpans(index, output, tokensMin).map(({ from, until, low, high }) => ({
        from,
        until,
        positions: (countMax) => (high - low > countMax ? undefined : positionsOf(index, low, high)),
      })),
    recordAt: (position) => recordAt(index, position),
    startOf: (record) => index.starts[record]!,
    recordTokens: (record) => recordTokens(index, record),
    recordId: (record) => recordId(index, record),
  };
}

/** Where the suffixes at places [low, high) begin, ascending. */
function positionsOf({ suffixes }: CorpusIndex, low: number, high: number): Uint32Array {
  const positions = new Uint32Array(high - low);
  for (let place = low; place < high; place++) positions[place - low] = suffixAt(suffixes, place);
  return positions.sort();
}

/** Where `length` tokens from `position` of the corpus stand in the text of `record`. */
export function sourceRange(corpus: Corpus, record: number, position: number, length: number): CharRange {
  const from = position - corpus.startOf(record);
  return charRange(corpus.tokenizer, corpus.recordTokens(record), from, from + length);
}
