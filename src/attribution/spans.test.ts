import fc from "fast-check";
import { expect, test } from "vitest";
import { toHex, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import { encode } from "../models/bpe.ts";
import { buildIndex, type CorpusIndex, indexTokens } from "../models/corpusIndex.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import { attributeText } from "./attribute.ts";
import { findMaximalSpans } from "./maximalSpans.ts";
import { log2Units } from "./rarity.ts";

const house = houseTokenizer();
const symbol = fc.integer({ min: 1, max: 3 });
const corpora = fc.array(fc.array(symbol, { maxLength: 20 }), { minLength: 1, maxLength: 5 });

test("finds the maximal spans, and all their occurrences, that a naive scan finds", () => {
  fc.assert(
    fc.property(
      corpora,
      fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 25 }),
      fc.integer({ min: 1, max: 4 }),
      (records, output, tokensMin) => {
        const found = findMaximalSpans(small(records), output, tokensMin).map(({ from, until, low, high }) => ({
          from,
          until,
          count: high - low,
        }));
        expect(found).toEqual(naiveSpans(records, output).filter(({ from, until }) => until - from >= tokensMin));
      },
    ),
    { numRuns: 5_000 },
  );
});

test("and so it does in long copies, in text that repeats and in text of one token", () => {
  const repeated = fc
    .tuple(fc.array(symbol, { minLength: 1, maxLength: 4 }), fc.integer({ min: 1, max: 12 }))
    .map(([unit, times]) => Array.from({ length: times }, () => unit).flat());
  const texts = fc
    .array(fc.oneof(repeated, fc.array(symbol, { maxLength: 6 })), { maxLength: 3 })
    .map((parts) => parts.flat());
  const pieces = fc.array(fc.tuple(fc.nat(3), fc.nat(40), fc.nat(60)), { maxLength: 3 });
  fc.assert(
    fc.property(fc.array(texts, { minLength: 1, maxLength: 4 }), pieces, texts, (records, copies, own) => {
      const copied = copies.flatMap(([record, from, length]) =>
        records[record % records.length]!.slice(from, from + length),
      );
      const output = [...copied, ...own];
      const found = findMaximalSpans(small(records), output).map(({ from, until, low, high }) => ({
        from,
        until,
        count: high - low,
      }));
      expect(found).toEqual(naiveSpans(records, output));
    }),
    { numRuns: 1_000 },
  );
});

test("logarithms are right to 1/256 bit and never fall", () => {
  expect([1, 2, 3, 4, 1_024].map(log2Units)).toEqual([0, 256, 405, 512, 2_560]);
  let before = 0;
  for (let value = 1; value < 200_000; value += 1 + (value >> 8)) {
    const units = log2Units(value);
    expect(units).toBeGreaterThanOrEqual(before);
    expect(Math.abs(units - 256 * Math.log2(value))).toBeLessThan(1.01);
    before = units;
  }
});

const notes = [
  "The quiet harbour master counts painted lanterns before the northern tide returns to the stone quay.",
  "Copper kettles whistle whenever mountain bakers fold saffron into their braided winter loaves at dawn.",
  "Seventeen clockmakers argued about brass escapements until the museum closed its heavy walnut doors.",
];

test("every planted sentence is found, at its exact place in output and record", () => {
  const index = build(notes);
  fc.assert(
    fc.property(fc.shuffledSubarray([0, 1, 2], { minLength: 1 }), fc.nat(40), (order, skip) => {
      const planted = order.map((i) => ({ record: i, text: ` ${notes[i]!.slice(skip).replace(/^\S*\s/, "")}` }));
      const output = planted.map(({ text }) => `\n日本 zzz qqq${text}`).join("");
      const { evidence } = attributeText(index, output);
      for (const { record, text } of planted) {
        const hit = evidence.find((item) => item.recordNumber === record);
        expect(hit, `record ${record}`).toBeDefined();
        expect(output.slice(hit!.output.from, hit!.output.until)).toContain(text);
        expect(notes[record]!.slice(hit!.source.from, hit!.source.until)).toBe(
          output.slice(hit!.output.from, hit!.output.until),
        );
        expect(hit!.record).toEqual(sha256(utf8(`${record}`)));
      }
    }),
  );
});

test("evidence never explains a unit twice, and says in source what it says in output", () => {
  const index = build([...notes, `${notes[0]!.slice(0, 50)} ${notes[1]!.slice(20, 70)}`, notes[2]!.slice(10)]);
  const piece = fc.tuple(fc.constantFrom(...notes), fc.nat(60), fc.nat(60));
  const outputs = fc
    .array(piece, { maxLength: 6 })
    .map((parts) => parts.map(([note, a, b]) => note.slice(a, a + b)).join(" "));
  fc.assert(
    fc.property(outputs, fc.subarray([0, 1, 2, 3, 4]), (output, context) => {
      const { evidence, totalUnits, explainedUnits } = attributeText(index, output, { context });
      expect(evidence.reduce((sum, item) => sum + item.weight, 0)).toBe(explainedUnits);
      expect(explainedUnits).toBeLessThanOrEqual(totalUnits);
      expect(attributeText(index, output, { context }).evidence).toEqual(evidence);
    }),
    { numRuns: 300 },
  );
});

test("copies gain nothing: a cluster is credited to its first record, and a verbatim copy of a long text too", () => {
  const edited = notes[0]!.replace("painted", "gilded");
  const texts = [notes[0]!, notes[1]!, edited, edited, notes[0]!];
  const clusters = new Map([
    [2, 0],
    [3, 0],
    [4, 0],
  ]);
  for (const output of [notes[0]!, edited]) {
    const { evidence } = attributeText(build(texts), output, { clusters });
    expect(new Set(evidence.map((item) => item.recordNumber))).toEqual(new Set([0]));
  }
  const alone = attributeText(build([notes[0]!, notes[1]!]), notes[0]!);
  const copied = attributeText(build([notes[0]!, notes[1]!, `${notes[0]} Mine.`]), ` ${notes[0]} `);
  expect(alone.evidence.map((item) => item.recordNumber)).toEqual([0]);
  expect(copied.evidence.map((item) => item.recordNumber)).not.toContain(2);
});

test("a phrase that everybody uses is nobody's", () => {
  const phrase = " Install the package with npm install and then import it.";
  const index = build(
    Array.from({ length: 20 }, (_unused, i) => `${"abcdefghijklmnopqrst"[i]}${i} ${i * 7}.${phrase}`),
  );
  expect(attributeText(index, `Hello.${phrase}`).evidence).toEqual([]);
  const read = attributeText(index, `Hello.${phrase}`, { context: [4] });
  expect(new Set(read.evidence.map((item) => item.recordNumber))).toEqual(new Set([4]));
});

test("a passage that was read is credited for short stretches, and nothing where it was not used", () => {
  const index = build(notes);
  const output = "The price fell before the northern gate.";
  expect(attributeText(index, output).evidence).toEqual([]);
  const { evidence } = attributeText(index, output, { context: [1, 0] });
  expect(evidence.map((item) => [item.kind, item.recordNumber])).toEqual([["passage", 0]]);
  expect(output.slice(evidence[0]!.output.from, evidence[0]!.output.until)).toBe(" before the northern");
  expect(notes[0]!.slice(evidence[0]!.source.from, evidence[0]!.source.until)).toBe(" before the northern");
});

function build(texts: readonly string[]): CorpusIndex {
  return buildIndex(
    house,
    texts.map((text, i) => ({ id: toHex(sha256(utf8(`${i}`))), text })),
  );
}

function small(records: readonly (readonly number[])[]): CorpusIndex {
  return indexTokens(
    house,
    records.map((tokens) => Uint16Array.from(tokens)),
    new Uint8Array(32 * records.length),
  );
}

function naiveSpans(
  records: readonly (readonly number[])[],
  output: readonly number[],
): { from: number; until: number; count: number }[] {
  const occurrences = (from: number, until: number): number => {
    let count = 0;
    for (const tokens of records)
      for (let at = 0; at + until - from <= tokens.length; at++)
        if (output.slice(from, until).every((token, k) => tokens[at + k] === token)) count++;
    return count;
  };
  const spans = [];
  for (let from = 0; from < output.length; from++) {
    let until = from;
    while (until < output.length && occurrences(from, until + 1) > 0) until++;
    if (until === from) continue;
    const extendsLeft = from > 0 && occurrences(from - 1, until) > 0;
    if (!extendsLeft) spans.push({ from, until, count: occurrences(from, until) });
  }
  return spans;
}

test("an output is encoded as the corpus is", () => {
  expect(findMaximalSpans(build(notes), encode(house, notes[1]!)).map(({ from }) => from)).toEqual([0]);
});
