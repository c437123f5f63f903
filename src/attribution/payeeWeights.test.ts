import fc from "fast-check";
import { expect, test } from "vitest";
import { toHex } from "../core/bytes.ts";
import { EVIDENCE_TOTAL, type Share } from "../core/route.ts";
import type { Attribution } from "./attributor.ts";
import { type Evidence, evidenceRoot, packEvidence, parseEvidence } from "./evidence.ts";
import { thinShares, weighPayees } from "./payeeWeights.ts";

const weight = fc.integer({ min: 0, max: 50 });
const items = fc.array(fc.record({ recordNumber: fc.nat(6), weight }), { maxLength: 12 });
const payeesByRecord = fc.array(
  fc.uniqueArray(fc.record({ payee: fc.integer({ min: 1, max: 12 }), weight: fc.nat(4) }), {
    selector: ({ payee }) => payee,
    maxLength: 3,
  }),
  { minLength: 7, maxLength: 7 },
);

test("weights are positive, ascend by payee, fit the room, and sum to 1,000,000 with what is unattributed", () => {
  fc.assert(
    fc.property(
      items,
      payeesByRecord,
      weight,
      fc.integer({ min: 1, max: 5 }),
      fc.nat(),
      (list, payees, rest, max, id) => {
        const attribution = toAttribution(list, rest);
        const options = { payeesOf: (record: number) => payees[record]!, receiptId: receiptId(id), payeesMax: max };
        const { shares, unattributed } = weighPayees(attribution, options);
        expect(shares.reduce((sum, share) => sum + share.weight, unattributed)).toBe(EVIDENCE_TOTAL);
        expect(shares.length).toBeLessThanOrEqual(max);
        expect(shares.every((share, i) => share.weight > 0 && (i === 0 || shares[i - 1]!.payee < share.payee))).toBe(
          true,
        );
        expect(weighPayees({ ...attribution, evidence: attribution.evidence.toReversed() }, options)).toEqual({
          shares,
          unattributed,
        });
      },
    ),
    { numRuns: 3_000 },
  );
});

test("with room for all, each weight is within a few parts of its quota", () => {
  fc.assert(
    fc.property(items, weight, fc.nat(), (list, rest, id) => {
      const attribution = toAttribution(list, rest);
      fc.pre(attribution.totalUnits > 0);
      const payeesOf = (record: number): Share[] => [{ payee: record + 1, weight: 3 }];
      const { shares } = weighPayees(attribution, { payeesOf, receiptId: receiptId(id), payeesMax: 10 });
      for (let record = 0; record <= 6; record++) {
        const units = list.reduce((sum, item) => sum + (item.recordNumber === record ? item.weight : 0), 0);
        const paid = shares.find(({ payee }) => payee === record + 1)?.weight ?? 0;
        expect(Math.abs(paid - (EVIDENCE_TOTAL * units) / attribution.totalUnits)).toBeLessThan(1.000_001);
      }
    }),
    { numRuns: 1_000 },
  );
});

test("thinning pays everybody their weight on average, and leaves the large as they are", () => {
  const shares = [600, 5, 9, 1, 30, 2, 300, 7, 20, 26].map((part, i) => ({ payee: i + 1, weight: part * 1_000 }));
  const sums = new Map<number, number>();
  const rounds = 20_000;
  for (let round = 0; round < rounds; round++) {
    const thinned = thinShares(shares, 5, receiptId(round));
    expect(thinned.length).toBeLessThanOrEqual(5);
    expect(thinned.reduce((sum, share) => sum + share.weight, 0)).toBe(EVIDENCE_TOTAL);
    for (const share of thinned) sums.set(share.payee, (sums.get(share.payee) ?? 0) + share.weight);
  }
  expect(sums.get(1)).toBe(rounds * 600_000);
  expect(sums.get(7)).toBe(rounds * 300_000);
  // The smallest is drawn about 600 times of 20,000, so a standard error is 4 %; 16 % is four of them.
  for (const share of shares) expect(Math.abs(sums.get(share.payee)! / rounds / share.weight - 1)).toBeLessThan(0.16);
});

test("nothing explained is all unattributed", () => {
  const options = { payeesOf: () => [{ payee: 1, weight: 1 }], receiptId: receiptId(1), payeesMax: 4 };
  expect(weighPayees(toAttribution([], 0), options)).toEqual({ shares: [], unattributed: EVIDENCE_TOTAL });
  expect(weighPayees(toAttribution([], 9), options)).toEqual({ shares: [], unattributed: EVIDENCE_TOTAL });
  const nobody = { ...options, payeesOf: () => [] };
  expect(weighPayees(toAttribution([{ recordNumber: 2, weight: 5 }], 0), nobody).unattributed).toBe(EVIDENCE_TOTAL);
});

test("packed evidence is canonical, comes back whole, and is refused when damaged", () => {
  const list = [
    { recordNumber: 3, weight: 70 },
    { recordNumber: 1, weight: 30 },
  ];
  const { evidence, totalUnits } = toAttribution(list, 11);
  const packed = packEvidence(evidence, totalUnits);
  expect(packEvidence(evidence.toReversed(), totalUnits)).toEqual(packed);
  const parsed = parseEvidence(packed, (record) => record[0]);
  expect(parsed.ok && packEvidence(parsed.value.evidence, parsed.value.totalUnits)).toEqual(packed);
  expect(toHex(evidenceRoot([], 0))).toBe("0xd5e2006c11805f4d03093d36d8773498f15193e519912544451e1a51e7535c99");
  expect(toHex(evidenceRoot(evidence, totalUnits))).toBe(
    "0x900b73b1f5a8714bd8aec88c1157b174768356253000ad3aec50701be7f99feb",
  );
  expect(evidenceRoot(evidence, totalUnits + 1)).not.toEqual(evidenceRoot(evidence, totalUnits));
  const refused = [
    packed.slice(0, -1),
    Uint8Array.of(...packed, 0),
    Uint8Array.of(2, ...packed.slice(1)),
    packed.fill(9, 9, 10),
  ];
  for (const bytes of refused) expect(parseEvidence(bytes, () => 0).ok).toBe(false);
  expect(parseEvidence(packEvidence(evidence, totalUnits), () => undefined).ok).toBe(false);
});

function toAttribution(list: readonly { recordNumber: number; weight: number }[], rest: number): Attribution {
  const evidence = list.map(
    ({ recordNumber, weight: units }, i): Evidence => ({
      kind: "span",
      record: new Uint8Array(32).fill(recordNumber),
      recordNumber,
      output: { from: i, until: i + 2 },
      source: { from: 0, until: 2 },
      weight: units,
    }),
  );
  const explainedUnits = list.reduce((sum, item) => sum + item.weight, 0);
  return { evidence, explainedUnits, totalUnits: explainedUnits + rest };
}

function receiptId(seed: number): Uint8Array {
  const id = new Uint8Array(16);
  new DataView(id.buffer).setUint32(12, seed % 2 ** 32);
  return id;
}
