import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { utf8 } from "../core/bytes.ts";
import { keccak256 } from "../core/hash.ts";
import { indexCombination } from "./attribute.ts";
import type { Attribution } from "./attributor.ts";
import { combine, shrink } from "./combine.ts";
import { influenceMethod, likelihoodMethod, lineageMethod, passageMethod, spanMethod } from "./description.ts";
import type { Evidence } from "./evidence.ts";
import {
  combinationHash,
  combinationOf,
  combinationText,
  defaultPolicy,
  type MethodTrust,
  parseCombination,
} from "./policy.ts";

const trust = fc.oneof(
  fc.constant<MethodTrust>("exact"),
  fc.constant<MethodTrust>("unmeasured"),
  fc.record({ measuredPpm: fc.integer({ min: -5, max: 1_000_005 }) }),
);
const items = fc.array(
  fc.record({
    kind: fc.constantFrom("span", "passage"),
    recordNumber: fc.nat(3),
    weight: fc.integer({ min: -2, max: 60 }),
  }),
  { maxLength: 9 },
);
const clusters = { canonicalOf: (record: number) => record, recordId };
const combinations = fc.tuple(trust, trust, trust).map(([a, b, c]) =>
  combinationOf(defaultPolicy, [
    [spanMethod, a],
    [passageMethod, b],
    [influenceMethod, c],
  ]),
);

describe("combination", () => {
  test("gives each method its reliability's part of its sum, in whole units, in whatever order its evidence came", () => {
    fc.assert(
      fc.property(items, fc.nat(20), combinations, (list, rest, combination) => {
        const found = attributionOf(list, rest);
        const shrunk = shrink(found, combination);
        for (const { method, reliabilityPpm } of combination.methods) {
          const sum = (from: Attribution) =>
            from.evidence.reduce((all, { kind, weight }) => all + (kind === method.kind ? Math.max(0, weight) : 0), 0);
          expect(sum(shrunk)).toBe(Math.floor((sum(found) * reliabilityPpm) / 1_000_000));
        }
        expect(shrunk.evidence.every(({ weight }) => Number.isInteger(weight) && weight > 0)).toBe(true);
        const backwards = shrink({ ...found, evidence: found.evidence.toReversed() }, combination);
        expect(new Set(backwards.evidence.map(plain))).toEqual(new Set(shrunk.evidence.map(plain)));
      }),
    );
  });

  test("gives a method that speaks of the whole its part of what is open, and never more", async () => {
    await fc.assert(
      fc.asyncProperty(items, fc.nat(50), combinations, fc.nat(100), async (list, rest, combination, greed) => {
        const found = attributionOf(list, rest);
        const before = shrink(found, combination);
        const open = before.totalUnits - before.explainedUnits;
        let given = -1;
        const explain = (units: number): Evidence[] => {
          given = units;
          return [item("influence", 9, Math.floor((units * greed) / 100)), item("influence", 8, -3)];
        };
        const { explainedUnits, totalUnits, evidence } = await combine(
          found,
          [{ kind: "influence", explain }],
          combination,
          clusters,
        );
        const { reliabilityPpm } = combination.methods[2]!;
        expect(given).toBe(Math.floor((open * reliabilityPpm) / 1_000_000));
        expect(explainedUnits).toBe(before.explainedUnits + Math.floor((given * greed) / 100));
        expect(explainedUnits).toBeLessThanOrEqual(totalUnits);
        expect(evidence.some(({ recordNumber }) => recordNumber === 8)).toBe(false);
      }),
    );
  });

  test("pays a near-duplicate's evidence to the first registered", async () => {
    const explain = () => [item("influence", 5, 7)];
    const combination = combinationOf(defaultPolicy, [[influenceMethod, "exact"]]);
    const first = { canonicalOf: (record: number) => (record === 5 ? 2 : record), recordId };
    const { evidence } = await combine(attributionOf([], 10), [{ kind: "influence", explain }], combination, first);
    expect(evidence).toMatchObject([{ recordNumber: 2, record: recordId(2), weight: 7 }]);
  });

  test("a method that explains more than it was given is a bug", async () => {
    const explain = (units: number) => [item("influence", 1, units + 1)];
    const combination = combinationOf(defaultPolicy, [[influenceMethod, "exact"]]);
    const combined = combine(attributionOf([], 10), [{ kind: "influence", explain }], combination, clusters);
    await expect(combined).rejects.toThrow("explains what it is given");
  });
});

describe("its text", () => {
  test("says everything, comes back whole, and is what the hash is of", () => {
    fc.assert(
      fc.property(combinations, (combination) => {
        const text = combinationText(combination);
        expect(parseCombination(text)).toEqual({ ok: true, value: combination });
        expect(combinationHash(combination)).toEqual(keccak256(utf8(text)));
      }),
    );
    expect(combinationText(indexCombination)).toBe(
      [
        "openledger combination 1",
        "method span 1 span match 1000000 exact",
        "method passage 1 passage match 1000000 exact",
        "method lineage 1 lineage match 1000000 exact",
        "negatives count as nothing",
        "copies are their first registered's",
        "lineage keeps 500000 from 200000",
        "unexplained is unattributed\n",
      ].join("\n"),
    );
  });

  const text = combinationText(indexCombination);
  test.each([
    ["another head", text.replace("combination 1", "combination 2")],
    ["an unknown method", text.replace("method span 1", "method aura 1")],
    ["another version of a method", text.replace("method span 1", "method span 2")],
    ["a method under another kind", text.replace("span 1 span", "span 1 prior")],
    ["another measure", text.replace("span match", "span cause")],
    ["a part that is none", text.replace("1000000 exact", "1000001 exact")],
    ["no lineage", text.replace(/lineage keeps.*\n/, "")],
    ["a rule more", `${text}and so on\n`],
    ["nothing", ""],
  ])("%s is refused", (_what, other) => {
    expect(parseCombination(other)).toMatchObject({ ok: false, error: { code: "invalid_request" } });
  });

  test("two methods of one kind are a bug", () => {
    expect(() =>
      combinationOf(defaultPolicy, [
        [passageMethod, "exact"],
        [likelihoodMethod, "exact"],
      ]),
    ).toThrow();
    expect(() =>
      combinationOf(defaultPolicy, [
        [lineageMethod, "exact"],
        [spanMethod, "exact"],
      ]),
    ).not.toThrow();
  });
});

function recordId(record: number): Uint8Array {
  return new Uint8Array(32).fill(record);
}

function item(kind: Evidence["kind"], recordNumber: number, weight: number): Evidence {
  const place = { output: { from: 0, until: 4 }, source: { from: 0, until: 0 } };
  return { kind, record: recordId(recordNumber), recordNumber, ...place, weight };
}

function attributionOf(
  list: readonly { readonly kind: Evidence["kind"]; readonly recordNumber: number; readonly weight: number }[],
  rest: number,
): Attribution {
  const evidence = list.map(({ kind, recordNumber, weight }, i) => ({
    ...item(kind, recordNumber, weight),
    output: { from: i, until: i + 1 },
  }));
  const explainedUnits = list.reduce((sum, { weight }) => sum + Math.max(0, weight), 0);
  return { evidence, explainedUnits, totalUnits: explainedUnits + rest };
}

function plain({ kind, recordNumber, weight, output }: Evidence): string {
  return [kind, recordNumber, weight, output.from].join();
}
