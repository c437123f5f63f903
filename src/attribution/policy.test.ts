import fc from "fast-check";
import { expect, test } from "vitest";
import { influenceMethod, lineageMethod, passageMethod, spanMethod } from "./description.ts";
import { boundsFault, combinationOf, combinationText, PPM, parseCombination, policyBounds } from "./policy.ts";

const within = ({ min, max }: { readonly min: number; readonly max: number }) => fc.integer({ min, max });
const policy = fc.record({
  assumedPpm: within(policyBounds.assumedPpm),
  lineage: fc.record({ keepPpm: within(policyBounds.keepPpm), partMinPpm: within(policyBounds.partMinPpm) }),
});
const trust = fc.oneof(
  fc.constantFrom("exact" as const, "unmeasured" as const),
  fc.record({ measuredPpm: fc.nat(PPM) }),
);

test("whatever a policy may choose and anybody may measure is within the bounds, as its text is read again", () => {
  fc.assert(
    fc.property(policy, trust, trust, trust, (chosen, span, passage, influence) => {
      const combination = combinationOf(chosen, [
        [spanMethod, span],
        [passageMethod, passage],
        [influenceMethod, influence],
        [lineageMethod, "exact"],
      ]);
      expect(boundsFault(combination)).toBeUndefined();
      const read = parseCombination(combinationText(combination));
      expect(read.ok && boundsFault(read.value)).toBe(undefined);
    }),
  );
});

const lines = {
  span: "method span 1 span match 500000 assumed",
  passage: "method passage 1 passage match 500000 assumed",
  lineage: "lineage keeps 500000 from 200000",
};
test.each([
  [{}, undefined],
  [
    { span: "method span 1 span match 950000 assumed", passage: "method passage 1 passage match 950000 assumed" },
    "its assumedPpm is 950000",
  ],
  [{ span: "method span 1 span match 400000 assumed" }, "assumes different things"],
  [{ span: "method span 1 span match 400000 exact" }, "exact and does not count whole"],
  [{ span: "method span 1 span match 400000 measured" }, undefined],
  [{ lineage: "lineage keeps 100000 from 200000" }, "its keepPpm is 100000"],
  [{ lineage: "lineage keeps 900000 from 200000" }, "its keepPpm is 900000"],
  [{ lineage: "lineage keeps 500000 from 900000" }, "its partMinPpm is 900000"],
])("%j: %s", (change, fault) => {
  const { span, passage, lineage } = { ...lines, ...change };
  const rules = ["negatives count as nothing", "copies are their first registered's", lineage];
  const text = ["openledger combination 1", span, passage, ...rules, "unexplained is unattributed", ""].join("\n");
  const read = parseCombination(text);
  expect(read.ok).toBe(true);
  expect(read.ok && boundsFault(read.value)).toEqual(fault === undefined ? undefined : expect.stringContaining(fault));
});
