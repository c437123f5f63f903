import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { type Compared, compare, comparedText, RECORDS_MIN, surenessOf, together } from "./compared.ts";

const losses = fc.array(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 })), { maxLength: 40 });

describe("base and model, record by record", () => {
  it("are counted each way, and exchanged they change places", () => {
    fc.assert(
      fc.property(losses, (pairs) => {
        const [base, model] = [pairs.map(([a]) => a), pairs.map(([, b]) => b)];
        const [one, other] = [compare(base, model), compare(model, base)];
        expect(one.records).toBe(pairs.length);
        expect(one.lower + one.higher + pairs.filter(([a, b]) => a === b).length).toBe(pairs.length);
        expect(other).toEqual({ records: one.records, lower: one.higher, higher: one.lower });
        expect(surenessOf(other, false)).toBe(surenessOf(one, true));
        const at = pairs.length >> 1;
        const [first, second] = [
          compare(base.slice(0, at), model.slice(0, at)),
          compare(base.slice(at), model.slice(at)),
        ];
        expect(together([first, second])).toEqual(one);
      }),
    );
  });

  it("are never sure of few records, and no less sure of one more that points the same way", () => {
    fc.assert(
      fc.property(fc.nat({ max: 60 }), fc.nat({ max: 60 }), (lower, higher) => {
        const now = surenessOf({ records: lower + higher, lower, higher }, true);
        if (lower + higher < RECORDS_MIN) expect(now).toBe("few");
        const more = surenessOf({ records: lower + higher + 1, lower: lower + 1, higher }, true);
        if (now === "sure" && lower > 0) expect(more).toBe("sure");
      }),
    );
  });
});

// By the binomial distribution: of 10 throws at least 9 heads in 11 of 1,024, at least 8 in 56.
test.each<[Compared, boolean, string]>([
  [{ records: 4, lower: 4, higher: 0 }, true, "lower on 4 of 4 records, which are too few to tell: 5 can"],
  [{ records: 5, lower: 5, higher: 0 }, true, "lower on 5 of 5 records"],
  [{ records: 5, lower: 4, higher: 0 }, true, "lower on 4 of 5 records, which may be chance"],
  [{ records: 10, lower: 9, higher: 1 }, true, "lower on 9 of 10 records"],
  [{ records: 10, lower: 8, higher: 2 }, true, "lower on 8 of 10 records, which may be chance"],
  [{ records: 10, lower: 1, higher: 9 }, false, "higher on 9 of 10 records"],
  [{ records: 64, lower: 40, higher: 24 }, true, "lower on 40 of 64 records"],
  [{ records: 9, lower: 0, higher: 0 }, false, "the same on all of 9 records"],
])("%j, better: %s", (compared, isBetter, text) => {
  expect(comparedText(compared, isBetter)).toBe(text);
});
