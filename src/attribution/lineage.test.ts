import fc from "fast-check";
import { expect, test } from "vitest";
import { attributeText } from "./attribute.ts";
import type { Attribution } from "./attributor.ts";
import { lineageMethod } from "./description.ts";
import { type Evidence, evidenceRoot } from "./evidence.ts";
import { answerNumber, type Derivation, passUpstream } from "./lineage.ts";
import { weighPayees } from "./payeeWeights.ts";
import { methodSuite } from "./testing/methodSuite.ts";

const rule = { keepPpm: 500_000 };
const receipt = (i: number): Uint8Array => new Uint8Array(16).fill(i + 1);

/** Everything in the suite's records repeats one earlier answer that was wholly explained: half of each record's credit is passed. */
methodSuite({
  method: lineageMethod,
  attribute: ({ index, answer, context, clusters }) => {
    const found = attributeText(index, answer, { context, clusters });
    const passed = passUpstream(
      found,
      () => [{ receipt: receipt(0), partPpm: 1_000_000, attributedPpm: 1_000_000 }],
      rule,
    );
    const evidence = passed.evidence.filter(({ kind }) => kind === "lineage");
    return { ...passed, evidence, explainedUnits: evidence.reduce((sum, { weight }) => sum + weight, 0) };
  },
});

const items = fc.array(fc.record({ recordNumber: fc.nat(3), weight: fc.integer({ min: 1, max: 40 }) }), {
  maxLength: 9,
});
const derivations = fc.array(
  fc.array(fc.tuple(fc.nat(4), fc.nat(1_000_000), fc.nat(1_000_000)), { maxLength: 3 }).map((some) =>
    some.map(
      ([i, part, attributedPpm]): Derivation => ({
        receipt: receipt(i),
        partPpm: Math.floor(part / 3),
        attributedPpm,
      }),
    ),
  ),
  { minLength: 4, maxLength: 4 },
);

test("units are moved and never made, and nobody is passed more than the repeated part allows", () => {
  fc.assert(
    fc.property(items, derivations, fc.integer({ min: 200_000, max: 800_000 }), (list, of, keepPpm) => {
      const found = attributionOf(list);
      const passed = passUpstream(found, (record) => of[record] ?? [], { keepPpm });
      expect(passed.evidence.reduce((sum, { weight }) => sum + weight, 0)).toBe(found.explainedUnits);
      expect(passed.evidence.every(({ weight }) => Number.isInteger(weight) && weight > 0)).toBe(true);
      for (let record = 0; record < 4; record++) {
        const before = unitsOf(found, record);
        const moved = before - unitsOf(passed, record);
        const parts = of[record]!.reduce((sum, { partPpm, attributedPpm }) => sum + partPpm * (attributedPpm / 1e6), 0);
        expect(Math.abs(moved - (before * parts * (1 - keepPpm / 1e6)) / 1e6)).toBeLessThan(1.01);
      }
      const backwards = passUpstream(
        { ...found, evidence: found.evidence.toReversed() },
        (record) => of[record] ?? [],
        { keepPpm },
      );
      expect(evidenceRoot(backwards.evidence, 0)).toEqual(evidenceRoot(passed.evidence, 0));
    }),
  );
});

test("what a chain of answers passes on halves with each hop", () => {
  // Ann's record was answered with, the answer contributed by Ben, answered with again, contributed by Cat: each answer is credited whole.
  let shares = [{ payee: 1, weight: 1_000_000 }];
  for (const [hop, contributor] of [2, 3].entries()) {
    const derivation = { receipt: receipt(hop), partPpm: 1_000_000, attributedPpm: 1_000_000 };
    const found = attributionOf([{ recordNumber: 0, weight: 1_000_000 }]);
    const passed = passUpstream(found, () => [derivation], rule);
    const upstream = shares;
    shares = [
      ...weighPayees(passed, {
        payeesOf: (record) => (record === 0 ? [{ payee: contributor, weight: 1 }] : upstream),
        ...{ receiptId: receipt(7), payeesMax: 9 },
      }).shares,
    ];
  }
  expect(shares).toEqual([
    { payee: 1, weight: 250_000 },
    { payee: 2, weight: 250_000 },
    { payee: 3, weight: 500_000 },
  ]);
});

test("an answer's number is above all records and follows from its receipt alone", () => {
  expect(answerNumber(Uint8Array.of(0, 0, 0, 0, 0, 0, 0x1f, ...new Uint8Array(9)))).toBe(2 ** 52 + 1);
  expect(answerNumber(new Uint8Array(16).fill(255))).toBe(2 ** 53 - 1);
});

function attributionOf(list: readonly { readonly recordNumber: number; readonly weight: number }[]): Attribution {
  const evidence = list.map(({ recordNumber, weight }, i): Evidence => {
    const place = { output: { from: i, until: i + 1 }, source: { from: 0, until: 1 } };
    return { kind: "span", record: new Uint8Array(32).fill(recordNumber), recordNumber, ...place, weight };
  });
  const units = list.reduce((sum, { weight }) => sum + weight, 0);
  return { evidence, explainedUnits: units, totalUnits: units };
}

function unitsOf({ evidence }: Attribution, record: number): number {
  return evidence.reduce((sum, { recordNumber, weight }) => sum + (recordNumber === record ? weight : 0), 0);
}
