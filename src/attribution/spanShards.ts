import type { Shard, ShardMatch } from "../models/shard.ts";
import type { ShardSet } from "../models/shardSet.ts";
import type { Corpus, CorpusSpan } from "./corpus.ts";
import { type SpanSearch, walkMaximalSpans } from "./maximalSpans.ts";
import { unitsOf } from "./rarity.ts";

/** A maximal span of an output against a corpus in shards. */
export interface ShardSpan {
  /** Tokens [from, until) of the output. */
  readonly from: number;
  readonly until: number;
  /** The shards that hold it, ascending, each with a place where it does. */
  readonly matches: readonly { readonly shard: number; readonly match: ShardMatch }[];
}

/**
 * The maximal spans over all shards together: what one index of all living records would find (a span never crosses records, so the longest match is the
 * longest of any shard's). All spans of at least `tokensMin` (≥ 1) tokens, by start; their ends ascend too.
 */
export function findShardSpans(shards: readonly Shard[], output: ArrayLike<number>, tokensMin = 1): ShardSpan[] {
  const query = Uint16Array.from(output);
  const search = new ShardSearch(shards, query, tokensMin);
  const spans: ShardSpan[] = [];
  walkMaximalSpans(query.length, tokensMin, search, (from, until) =>
    spans.push({ from, until, matches: search.longestMatches() }),
  );
  return spans;
}

/** Shards as attribution asks them: to be made again when the set changes. */
export function shardCorpus(set: ShardSet): Corpus {
  const counts = set.tokenCounts();
  return {
    tokenizer: set.tokenizer,
    units: unitsOf(counts, set.liveTokens),
    spans: (output, tokensMin) =>
      findShardSpans(set.shards, output, tokensMin).map(
        (span): CorpusSpan => ({
          from: span.from,
          until: span.until,
          positions: (countMax) => positionsOf(set, output, span, countMax),
        }),
      ),
    recordAt: (position) => set.recordAt(position),
    startOf: (record) => set.startOf(record),
    recordTokens: (record) => set.recordTokens(record),
    recordId: (record) => set.recordId(record),
  };
}

/** Where a span occurs in living records, ascending; undefined where that is at more than `countMax` places. */
function positionsOf(set: ShardSet, output: Uint16Array, span: ShardSpan, countMax: number): number[] | undefined {
  const found: number[] = [];
  for (const { shard: number, match } of span.matches) {
    const shard = set.shards[number]!;
    const { low, high } = shard.widen(output, span.from, match);
    const positions = shard.positions(low, high, countMax - found.length);
    if (positions === undefined) return undefined;
    for (const position of positions) found.push(set.firstPositions[number]! + position);
  }
  return found;
}

/** How often a span occurs, dead records included. */
export function countOccurrences(shards: readonly Shard[], output: Uint16Array, span: ShardSpan): number {
  return span.matches.reduce((sum, { shard, match }) => {
    const { low, high } = shards[shard]!.widen(output, span.from, match);
    return sum + high - low;
  }, 0);
}

/**
 * Asks as few shards as may be: what one search has shown about a shard is true of every later start and end, and what its filter excludes is
 * not looked up.
 */
class ShardSearch implements SpanSearch {
  readonly #shards: readonly Shard[];
  readonly #query: Uint16Array;
  readonly #tokensMin: number;
  /** Up to which start a shard is known not to hold what ends where the walk now looks; ends never fall, so it stays true. */
  readonly #absentFrom: Int32Array;
  readonly #matches: (ShardMatch | undefined)[];
  #longest = 0;
  #favourite = 0;

  constructor(shards: readonly Shard[], query: Uint16Array, tokensMin: number) {
    this.#shards = shards;
    this.#query = query;
    this.#tokensMin = tokensMin;
    this.#absentFrom = new Int32Array(shards.length).fill(-1);
    this.#matches = shards.map(() => undefined);
  }

  longest(from: number): number {
    this.#longest = 0;
    for (let i = 0; i < this.#shards.length; i++) {
      this.#matches[i] = undefined;
      if (this.#absentFrom[i]! >= from) continue;
      const lengthMin = Math.max(this.#tokensMin, this.#longest);
      const reach = this.#shards[i]!.reach(this.#query, from, this.#query.length - from);
      if (reach < lengthMin) continue;
      const match = this.#shards[i]!.longestMatch(this.#query, from, reach, lengthMin);
      this.#matches[i] = match;
      this.#longest = Math.max(this.#longest, match.length);
    }
    return this.#longest;
  }

  occurs(from: number, until: number): boolean {
    const length = until - from;
    if (length < this.#tokensMin) return true;
    const count = this.#shards.length;
    for (let k = 0; k < count; k++) {
      // The shard that had the last one first: text is borrowed in runs.
      const i = k === 0 ? this.#favourite : k <= this.#favourite ? k - 1 : k;
      if (this.#absentFrom[i]! >= from) continue;
      const shard = this.#shards[i]!;
      if (
        shard.reach(this.#query, from, length) === length &&
        shard.longestMatch(this.#query, from, length, length).length === length
      ) {
        this.#favourite = i;
        return true;
      }
      this.#absentFrom[i] = from;
    }
    return false;
  }

  longestMatches(): { shard: number; match: ShardMatch }[] {
    return this.#matches.flatMap((match, shard) =>
      match !== undefined && match.length === this.#longest ? [{ shard, match }] : [],
    );
  }
}
