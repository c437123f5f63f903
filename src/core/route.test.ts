import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { utf8 } from "./bytes.ts";
import { keccak256 } from "./hash.ts";
import { defaultPolicyBps } from "./policy.ts";
import { EVIDENCE_TOTAL, fillAmounts, type Leg, type RouteInput, roleCode, routeFee, type Share } from "./route.ts";

const ledger = keccak256(utf8("a ledger"));
const policy = { ...defaultPolicyBps, treasury: 1, reserve: 2, datanetReserve: 3 };
const base: RouteInput = {
  ledger,
  seq: 1,
  cost: 100,
  royalty: 10_000,
  policy,
  operator: 4,
  model: [{ payee: 5, weight: 1 }],
  context: [{ payee: 6, weight: 1 }],
  contributors: { shares: [{ payee: 7, weight: EVIDENCE_TOTAL }], unattributed: 0, priors: [] },
  stakers: 0,
};

function sharesArbitrary(firstPayee: number, most: number, least = 0): fc.Arbitrary<Share[]> {
  return fc
    .array(fc.integer({ min: 1, max: 9 }), { minLength: least, maxLength: most })
    .map((weights) => weights.map((weight, i) => ({ payee: firstPayee + i, weight })));
}

const contributorsArbitrary = fc
  .record({
    raw: fc.array(fc.nat({ max: 5 }), { maxLength: 20 }),
    loose: fc.nat({ max: 5 }),
    priors: sharesArbitrary(500, 3),
  })
  .map(({ raw, loose, priors }) => {
    const total = raw.reduce((sum, weight) => sum + weight, 0) + loose;
    const weights = raw.map((weight) => (total === 0 ? 0 : Math.floor((weight * EVIDENCE_TOTAL) / total)));
    const shares = weights.map((weight, i) => ({ payee: 100 + i, weight })).filter((share) => share.weight > 0);
    const unattributed = EVIDENCE_TOTAL - shares.reduce((sum, share) => sum + share.weight, 0);
    return { shares, unattributed, priors };
  });

const inputArbitrary: fc.Arbitrary<RouteInput> = fc.record({
  ledger: fc.constant(ledger),
  seq: fc.nat(),
  cost: fc.nat({ max: 50 }),
  royalty: fc.oneof(fc.nat({ max: 20 }), fc.nat({ max: 2 ** 40 })),
  policy: fc.constant(policy),
  operator: fc.constant(4),
  model: sharesArbitrary(10, 4, 1),
  context: sharesArbitrary(30, 3),
  contributors: fc.option(contributorsArbitrary, { nil: undefined }),
  stakers: fc.constantFrom(0, 90),
});

function sum(legs: readonly Leg[], ...roles: Leg["role"][]): number {
  return legs
    .filter((leg) => roles.length === 0 || roles.includes(leg.role))
    .reduce((total, leg) => total + leg.amount, 0);
}

describe("a route", () => {
  test("allots the fee exactly, in ascending (role, payee), and is recomputed from its weights alone", () => {
    fc.assert(
      fc.property(inputArbitrary, (input) => {
        const legs = routeFee(input);
        expect(sum(legs)).toBe(input.cost + input.royalty);
        expect(sum(legs, "operator")).toBe(input.cost);
        for (let i = 1; i < legs.length; i++) {
          const [before, leg] = [legs[i - 1]!, legs[i]!];
          const ascends =
            roleCode[before.role] < roleCode[leg.role] || (before.role === leg.role && before.payee < leg.payee);
          expect(ascends).toBe(true);
        }
        expect(legs.every((leg) => leg.amount >= 0 && leg.weight > 0)).toBe(true);
        const weighted = legs.map(({ role, payee, weight }) => ({ role, payee, weight }));
        expect(fillAmounts(ledger, input.seq, input.cost, input.royalty, policy, weighted)).toEqual(legs);
      }),
      { numRuns: 1_000 },
    );
  });

  test("an empty role's part goes to contributors: leaving a role empty never pays anybody else", () => {
    fc.assert(
      fc.property(inputArbitrary, (input) => {
        fc.pre(input.contributors !== undefined);
        const legs = routeFee({ ...input, royalty: 10_000 * 1_000, context: [], stakers: 0 });
        expect(sum(legs, "model")).toBe(2_500_000);
        expect(sum(legs, "treasury")).toBe(500_000);
        expect(sum(legs, "contributor", "prior", "reserve")).toBe(7_000_000);
      }),
    );
  });

  test("without a datanet the contributors' part is reserved for datanets, so hiding one never pays", () => {
    const legs = routeFee({ ...base, contributors: undefined });
    expect(legs.filter((leg) => leg.role === "reserve")).toEqual([
      { role: "reserve", payee: 3, weight: EVIDENCE_TOTAL, amount: 6_000 },
    ]);
  });

  test("the prior takes at most 20 % of the whole royalty; the rest of what is unattributed is the reserve's", () => {
    fc.assert(
      fc.property(contributorsArbitrary, fc.boolean(), (contributors, withContext) => {
        fc.pre(contributors.priors.length > 0);
        const royalty = 10_000_000;
        const legs = routeFee({ ...base, royalty, context: withContext ? base.context : [], contributors });
        expect(sum(legs, "prior")).toBeLessThanOrEqual(royalty * 0.2 + 1);
        const weights = legs.filter((leg) => leg.role === "prior" || leg.role === "reserve");
        expect(weights.reduce((total, leg) => total + leg.weight, 0)).toBe(contributors.unattributed);
      }),
    );
  });

  test("contributors' evidence is paid in its proportion", () => {
    const shares = [
      { payee: 9, weight: 250_000 },
      { payee: 7, weight: 500_000 },
    ];
    const legs = routeFee({
      ...base,
      contributors: { shares, unattributed: 250_000, priors: [{ payee: 8, weight: 1 }] },
    });
    expect(legs.map(({ role, payee, weight, amount }) => [role, payee, weight, amount])).toEqual([
      ["operator", 4, 1, 100],
      ["model", 5, 1, 2_500],
      ["context", 6, 1, 1_000],
      ["contributor", 7, 500_000, 3_000],
      ["contributor", 9, 250_000, 1_500],
      ["prior", 8, 250_000, 1_500],
      ["treasury", 1, 1, 500],
    ]);
  });
});

test("a part-unit share is paid its expectation through the whole cascade: 200,000 receipts of one nano", () => {
  const shares = Array.from({ length: 20 }, (_, i) => ({ payee: 100 + i, weight: EVIDENCE_TOTAL / 20 }));
  const paid = new Map<number, number>();
  const receipts = 200_000;
  for (let seq = 0; seq < receipts; seq++) {
    const legs = routeFee({ ...base, seq, cost: 0, royalty: 1, contributors: { shares, unattributed: 0, priors: [] } });
    for (const leg of legs) paid.set(leg.payee, (paid.get(leg.payee) ?? 0) + leg.amount);
  }
  const due = (receipts * 0.6) / 20;
  for (const { payee } of shares) expect(Math.abs(paid.get(payee)! / due - 1)).toBeLessThan(0.03);
  expect([...paid.values()].reduce((total, amount) => total + amount, 0)).toBe(receipts);
});
