import fc from "fast-check";
import { expect, it, test } from "vitest";
import { toHex, utf8 } from "../core/bytes.ts";
import { sha256 } from "../core/hash.ts";
import type { DatanetRecord } from "../datanets/record.ts";
import type { TrainingExample } from "../models/training/task.ts";
import { exampleOf, splitHeldOut } from "./examples.ts";

const examplesOf = (numbers: readonly number[]): TrainingExample[] =>
  numbers.map((number) => ({ record: toHex(sha256(utf8(`${number}`))), text: `${number}` }));
const idsOf = (examples: readonly TrainingExample[]): string[] => examples.map(({ record }) => record);
const numbers = fc.uniqueArray(fc.nat({ max: 300 }), { maxLength: 60 });

it("a record is held out or not whatever else comes or goes, and whatever the order", () =>
  fc.assert(
    fc.property(numbers, numbers, fc.double({ min: 0, max: 1, noNaN: true }), (some, others, share) => {
      const small = splitHeldOut(examplesOf(some), share);
      const large = splitHeldOut(examplesOf([...new Set([...others, ...some])]), share);
      expect(idsOf([...small.train, ...small.heldOut]).sort()).toEqual(idsOf(examplesOf(some)).sort());
      expect(idsOf(large.heldOut)).toEqual(expect.arrayContaining(idsOf(small.heldOut)));
      expect(idsOf(large.train)).toEqual(expect.arrayContaining(idsOf(small.train)));
      // The held-out ones of the small set stand in the large one in the same order.
      const inLarge = idsOf(large.heldOut).filter((id) => idsOf(small.heldOut).includes(id));
      expect(inLarge).toEqual(idsOf(small.heldOut));
    }),
  ));

it("a larger share holds out the same records and more, and about as many as asked for", () => {
  const all = examplesOf(Array.from({ length: 4_000 }, (_unused, i) => i));
  let before: string[] = [];
  for (const share of [0, 0.1, 0.3, 1]) {
    const { heldOut } = splitHeldOut(all, share);
    expect(idsOf(heldOut)).toEqual(expect.arrayContaining(before));
    expect(Math.abs(heldOut.length / 4_000 - share)).toBeLessThan(0.02);
    before = idsOf(heldOut);
  }
});

test.each([
  // text                            headings                     question                answer
  ["Question: Why?\nAnswer: So.", [], "Why?", "So."],
  ["Q: Why?\n\nA: So.\nAnd so.", ["x"], "Why?", "So.\nAnd so."],
  ["Descale it.", ["Kettle"], "Page: Kettle", "Descale it."],
  ["Descale it.", ["Kettle", "How often?"], "How often?", "Descale it."],
  ["Descale it.", ["Page"], "Page", "Descale it."],
  ["Descale it.", [], undefined, undefined],
])("%j under %j is asked %j", (text, headingPath, question, answer) => {
  const record: DatanetRecord = {
    ...{ id: "0x01", contributionId: "0x02", title: "Page", headingPath, text, source: "s", licence: "MIT" },
    ...{ date: null, authors: [] },
  };
  const example = exampleOf(record);
  if (question === undefined) expect(example).toEqual({ record: "0x01", text });
  else expect("messages" in example && example.messages.map(({ content }) => content)).toEqual([question, answer]);
});
