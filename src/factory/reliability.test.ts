import fc from "fast-check";
import { expect, test } from "vitest";
import { memoryCorpus } from "../attribution/corpus.ts";
import { buildIndex } from "../models/corpusIndex.ts";
import { houseTokenizer } from "../models/houseTokenizerFile.ts";
import { isInRemovedHalf, matchReliability, type TestedPiece, testReading, testTraining } from "./reliability.ts";

const texts = [
  "Knead the dough for eleven minutes beneath a linen cloth until it has doubled.",
  "Simmer the lentils with juniper berries and a whole onion, and salt them at the end.",
  "Quinces want a slow oven, a little cardamom and more patience than plums do.",
];
const records = texts.map((text, i) => ({ id: `0x${`${i + 1}`.repeat(64)}`, text }));
const corpus = memoryCorpus(buildIndex(houseTokenizer(), records));
const draw = () => 0;
/** Says the first two records. */
const answer = `${texts[0]} ${texts[1]}`;

const piece = fc.record({
  method: fc.constantFrom<TestedPiece["method"]>("span", "passage"),
  weight: fc.integer({ min: 1, max: 9 }),
  record: fc.constantFrom<TestedPiece["record"]>("removed", "other", "unused"),
  confirmed: fc.constantFrom(0, 0.25, 1),
});

test("a reliability is a part of a million, the same in any order, and of its own method alone", () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
      const found = matchReliability(pieces, "span");
      if (found !== undefined) {
        expect(Number.isInteger(found)).toBe(true);
        expect(found).toBeGreaterThanOrEqual(0);
        expect(found).toBeLessThanOrEqual(1_000_000);
      }
      expect(matchReliability(pieces.toReversed(), "span")).toBe(found);
      expect(
        matchReliability(
          pieces.filter(({ method }) => method === "span"),
          "span",
        ),
      ).toBe(found);
    }),
  );
});

test("what removing any record does is no evidence for one of them", () => {
  const half = fc.array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.constantFrom(0, 0.5, 1)), {
    minLength: 8,
    maxLength: 20,
  });
  fc.assert(
    fc.property(half, (some) => {
      const made = (record: TestedPiece["record"]): TestedPiece[] =>
        some.map(([weight, confirmed]) => ({ method: "span", weight, record, confirmed }));
      expect(matchReliability([...made("removed"), ...made("other")], "span")).toBe(0);
    }),
  );
});

test.each([
  // removed  confirmed  others  confirmed  unused  reliability
  [7, 7, 0, 0, 9, undefined], // too few
  [8, 8, 0, 0, 0, 1_000_000], // others are not always at hand
  [8, 8, 7, 0, 0, undefined],
  [8, 8, 8, 2, 0, 750_000],
  [8, 8, 8, 2, 16, 375_000], // half of the credit is for what the model never had
  [8, 2, 8, 8, 0, 0],
])("%i pieces, %i confirmed; %i others, %i confirmed; %i unused: %s", (removed, gone, others, alike, unused, ppm) => {
  const some = (record: TestedPiece["record"], count: number, hits: number): TestedPiece[] =>
    Array.from({ length: count }, (_, i) => ({ method: "span", weight: 5, record, confirmed: i < hits ? 1 : 0 }));
  const pieces = [...some("removed", removed, gone), ...some("other", others, alike), ...some("unused", unused, 0)];
  expect(matchReliability(pieces, "span")).toBe(ppm);
});

test("words of a record are confirmed as far as the answer needs the record in the context", async () => {
  // Needs the first record, and the third that it does not repeat; not the second.
  const scores = async (sets: readonly (readonly number[])[]) =>
    sets.map((read) => -100 + (read.includes(0) ? 60 : 0) + (read.includes(2) ? 20 : 0));
  const asking = { scores, draw, lengthOf: () => 100 };
  const pieces = await testReading(corpus, answer, [0, 1, 2], asking);
  expect(pieces!.length).toBeGreaterThanOrEqual(2);
  expect(pieces![0]).toMatchObject({ method: "span", record: "removed" });
  const confirmed = pieces!.map((one) => one.confirmed);
  expect(Math.max(...confirmed)).toBe(1);
  expect(Math.min(...confirmed)).toBe(0);
  expect(await testReading(corpus, "Nothing of them.", [0, 1], asking)).toEqual([]);
  expect(await testReading(corpus, answer, [0, 1], { ...asking, scores: async () => undefined })).toBeUndefined();
});

test("words are confirmed as far as a training without their record has not made them likelier", async () => {
  const perCharacter = { base: -2, model: -1, twin: -1 };
  /** The twin has not learnt what stands before `from`. */
  const twinFrom = (from: number) => async (role: keyof typeof perCharacter, text: string) =>
    role === "twin"
      ? -2 * Math.min(from, text.length) - Math.max(0, text.length - from)
      : perCharacter[role] * text.length;
  const isTrained = (record: number) => record !== 1;
  const input = { corpus, answer, isTrained, isRemoved: (record: number) => record === 0 };
  const removed = async (from: number) =>
    (await testTraining({ ...input, score: twinFrom(from) }))!.find(({ record }) => record === "removed")!.confirmed;
  expect(await removed(texts[0]!.length)).toBe(1);
  expect(await removed(0)).toBe(0);
  const half = await removed(Math.round(texts[0]!.length / 2));
  expect(half).toBeGreaterThan(0.4);
  expect(half).toBeLessThan(0.6);
  // The twin saw it all: what is gone is nothing.
  const all = (await testTraining({ ...input, isRemoved: () => false, score: twinFrom(0) }))!;
  expect(all.map(({ record, confirmed }) => `${record} ${confirmed}`).sort()).toEqual(["other 0", "unused 0"]);
  // Nobody trained on it: nothing is confirmed, whatever the twin says.
  const untrained = await testTraining({
    ...{ ...input, isTrained: () => false, isRemoved: () => true },
    score: twinFrom(999),
  });
  expect(untrained!.map(({ record }) => record)).toEqual(["unused", "unused"]);
  expect(await testTraining({ ...input, score: async () => undefined })).toBeUndefined();
});

test("about half of all records is removed, by their ids alone", () => {
  const ids = Array.from({ length: 1_000 }, (_, i) => `record ${i}`);
  const removed = ids.filter(isInRemovedHalf).length;
  expect(removed).toBeGreaterThan(440);
  expect(removed).toBeLessThan(560);
});
