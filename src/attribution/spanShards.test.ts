import fc from "fast-check";
import { expect, test } from "vitest";
import { toHex } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { trainTokenizer } from "../models/bpeTrain.ts";
import { buildIndex, type CorpusIndex, indexTokens } from "../models/corpusIndex.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import type { Shard } from "../models/shard.ts";
import { PageCache } from "../models/shardPages.ts";
import { buried, ShardSet } from "../models/shardSet.ts";
import { memoryShard } from "../models/testing/memoryShard.ts";
import { attributeCorpus, attributeText } from "./attribute.ts";
import { packEvidence } from "./evidence.ts";
import { findMaximalSpans } from "./maximalSpans.ts";
import { countOccurrences, findShardSpans, shardCorpus } from "./spanShards.ts";

// Few tokens make small tops, so that thousands of shards cost little; a small cache must forget pages all the time.
const tokenizer = trainTokenizer(["abab"]);

const symbol = fc.integer({ min: 1, max: 3 });
const record = fc.array(symbol, { maxLength: 20 });
const shardings = fc.array(fc.array(record, { maxLength: 4 }), { minLength: 1, maxLength: 4 });
const outputs = fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 40 });

test("shards on disk, however the corpus is cut, have the spans and counts that one index has", () => {
  fc.assert(
    fc.property(shardings, outputs, fc.integer({ min: 1, max: 5 }), (sharding, output, tokensMin) => {
      withShards(sharding, (shards) => {
        expect(spansOf(shards, output, tokensMin)).toEqual(wholeSpans(sharding.flat(), output, tokensMin));
      });
    }),
    { numRuns: 1_500 },
  );
});

test("buried records are nowhere: spans and living occurrences are those of an index without them", () => {
  fc.assert(
    fc.property(
      shardings,
      outputs,
      fc.integer({ min: 1, max: 4 }),
      fc.infiniteStream(fc.boolean()),
      (sharding, output, tokensMin, coin) => {
        const isDead = sharding.map((records) => records.map(() => coin.next().value === true));
        withShards(sharding, (shards) => {
          for (const [i, shard] of shards.entries())
            shard.bury(
              buried(
                shard,
                isDead[i]!.flatMap((dead, number) => (dead ? [number] : [])),
              ),
            );
          const living = sharding.flatMap((records, i) => records.filter((_, number) => !isDead[i]![number]!));
          expect(spansOf(shards, output, tokensMin)).toEqual(wholeSpans(living, output, tokensMin));
        });
      },
    ),
    { numRuns: 1_500 },
  );
});

test("many leaves, long repeats and ties deeper than a key: spans, counts and every planted stretch", () => {
  const random = seeded(7);
  const base = Array.from({ length: 3_000 }, () => 1 + Math.floor(random() * 60));
  // Copies of one text with few changes make suffixes that are equal over hundreds of tokens, and so leaves whose keys are equal.
  const records = Array.from({ length: 40 }, () => {
    const from = Math.floor(random() * 2_000);
    return base.slice(from, from + 1_000).map((token) => (random() < 0.003 ? 1 + Math.floor(random() * 60) : token));
  });
  withShards([records.slice(0, 25), records.slice(25, 26), records.slice(26)], (shards) => {
    for (let round = 0; round < 60; round++) {
      const output = Array.from({ length: 8 }, () => {
        const source = records[Math.floor(random() * records.length)]!;
        const from = Math.floor(random() * 900);
        return [...source.slice(from, from + 5 + Math.floor(random() * 90)), 61 + Math.floor(random() * 3)];
      });
      const flat = output.flat();
      const found = spansOf(shards, flat, 5);
      expect(found).toEqual(wholeSpans(records, flat, 5));
      let at = 0;
      for (const { length } of output) {
        expect(found.some(({ from, until }) => from <= at && until >= at + length - 1)).toBe(true);
        at += length;
      }
    }
    for (const shard of shards) shard.bury(buried(shard, evenNumbers(shard.top.records)));
    const living = [records.slice(0, 25), records.slice(25, 26), records.slice(26)].flatMap((some) =>
      some.filter((_, number) => number % 2 === 1),
    );
    for (let round = 0; round < 20; round++) {
      const source = records[Math.floor(random() * records.length)]!;
      const output = source.slice(Math.floor(random() * 500)).slice(0, 300);
      expect(spansOf(shards, output, 5)).toEqual(wholeSpans(living, output, 5));
    }
  });
});

test("one text a thousand times: leaves whose keys are all the same are told apart by the text", () => {
  const random = seeded(11);
  const base = Array.from({ length: 60 }, () => 1 + Math.floor(random() * 9));
  const records = Array.from({ length: 1_500 }, () =>
    base.map((token, i) => (i > 20 && random() < 0.02 ? 1 + Math.floor(random() * 9) : token)),
  );
  withShards([records.slice(0, 1_400), records.slice(1_400)], (shards) => {
    for (let round = 0; round < 30; round++) {
      const source = records[Math.floor(random() * records.length)]!;
      const output = [...source.slice(Math.floor(random() * 20)), ...base.slice(0, 1 + Math.floor(random() * 60))];
      expect(spansOf(shards, output, 5)).toEqual(wholeSpans(records, output, 5));
    }
  });
});

const notes = [
  "The quiet harbour master counts painted lanterns before the northern tide returns to the stone quay.",
  "Copper kettles whistle whenever mountain bakers fold saffron into their braided winter loaves at dawn.",
  "Seventeen clockmakers argued about brass escapements until the museum closed its heavy walnut doors.",
];
const cuts = fc.tuple(fc.constantFrom(...notes), fc.nat(60), fc.integer({ min: 20, max: 90 }));
const pieces = fc.array(cuts, { maxLength: 8 }).map((parts) => parts.map(([note, a, b]) => note.slice(a, a + b)));

test("evidence from shards, buried records or not, is to the byte that from one index of the living", () => {
  const house = houseTokenizer();
  const cache = new PageCache(64 * 4096);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(pieces, fc.boolean()), { minLength: 1, maxLength: 4 }),
      pieces,
      fc.infiniteStream(fc.nat(3)),
      (sharding, output, dice) => {
        const shards = sharding.map(([texts, buries], i) => {
          const index = buildIndex(
            house,
            texts.map((text, k) => ({ id: idOf(i, k), text })),
          );
          const shard = memoryShard(index, cache);
          if (buries) shard.bury(buried(shard, evenNumbers(texts.length)));
          return shard;
        });
        const set = new ShardSet(house, shards);
        const living = sharding.flatMap(([texts, buries], i) =>
          texts.flatMap((text, k) =>
            buries && k % 2 === 0 ? [] : [{ id: idOf(i, k), text, number: set.firstRecords[i]! + k }],
          ),
        );
        const index = buildIndex(house, living);
        const clusters = new Map<number, number>();
        const context: number[] = [];
        living.forEach((_, i) => {
          const roll = dice.next().value ?? 0;
          if (roll === 0) context.push(i);
          if (roll === 1) clusters.set(i, i >> 1);
        });
        const numbered = (i: number): number => living[i]!.number;
        const text = output.join(" and ");
        const whole = attributeText(index, text, { context, clusters });
        const found = attributeCorpus(shardCorpus(set), text, {
          context: context.map(numbered),
          clusters: new Map(Array.from(clusters, ([a, b]) => [numbered(a), numbered(b)])),
        });
        expect(packEvidence(found.evidence, found.totalUnits)).toEqual(packEvidence(whole.evidence, whole.totalUnits));
        expect(found.explainedUnits).toBe(whole.explainedUnits);
        expect(found.evidence.map(({ recordNumber }) => recordNumber)).toEqual(
          whole.evidence.map(({ recordNumber }) => numbered(recordNumber)),
        );
      },
    ),
    { numRuns: 300 },
  );
});

function idOf(shard: number, record: number): string {
  return toHex(sha256(Uint8Array.of(shard, record)));
}

function evenNumbers(count: number): number[] {
  return Array.from({ length: Math.ceil(count / 2) }, (_, i) => 2 * i);
}

interface CountedSpan {
  readonly from: number;
  readonly until: number;
  readonly count: number;
}

/** Counts occurrences by their positions, and checks that each is where a record holds the span. */
function spansOf(shards: readonly Shard[], tokens: readonly number[], tokensMin: number): CountedSpan[] {
  const output = Uint16Array.from(tokens);
  return findShardSpans(shards, output, tokensMin).map((span) => {
    let count = 0;
    let ranges = 0;
    for (const { shard: number, match } of span.matches) {
      const shard = shards[number]!;
      const { low, high } = shard.widen(output, span.from, match);
      ranges += high - low;
      const positions = shard.positions(low, high, 1e9)!;
      count += positions.length;
      expect(shard.positions(low, high, positions.length - 1)).toBeUndefined();
      for (const position of positions) {
        const at = shard.recordAt(position);
        const start = position - shard.startOf(at);
        const text = shard.recordTokens(at).subarray(start, start + span.until - span.from);
        expect([...text]).toEqual(tokens.slice(span.from, span.until));
      }
    }
    expect(countOccurrences(shards, output, span)).toBe(ranges);
    return { from: span.from, until: span.until, count };
  });
}

function wholeSpans(
  records: readonly (readonly number[])[],
  output: readonly number[],
  tokensMin: number,
): CountedSpan[] {
  return findMaximalSpans(indexOf(records), output, tokensMin).map(({ from, until, low, high }) => ({
    from,
    until,
    count: high - low,
  }));
}

function withShards(
  sharding: readonly (readonly (readonly number[])[])[],
  use: (shards: readonly Shard[]) => void,
): void {
  const cache = new PageCache(8 * 4096);
  use(sharding.map((records) => memoryShard(indexOf(records), cache)));
}

function indexOf(records: readonly (readonly number[])[]): CorpusIndex {
  return indexTokens(
    tokenizer,
    records.map((tokens) => Uint16Array.from(tokens)),
    new Uint8Array(32 * records.length),
  );
}

function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}
