import fc from "fast-check";
import { expect, test } from "vitest";
import { bankClaims, type CreditedPart, type PaidClaim, valuedClaims } from "./claimLines.ts";
import type { Payout } from "./payouts.ts";

const claim = (nano: bigint, more: Partial<PaidClaim> = {}): PaidClaim => ({
  ...{ payee: "a", reference: "r", way: "chain", timeMs: 0, nano, feeNano: 0n, nanoPerUsd: 5, source: "test", ...more },
});
const part = fc.record({ nano: fc.bigInt(0n, 9n), microUsd: fc.bigInt(0n, 99n) });
const worthless = ({ nano, microUsd }: CreditedPart): CreditedPart => ({ nano, microUsd: nano === 0n ? 0n : microUsd });

test("what claims were worth at accrual comes to what the credits were, however they are claimed and stated", () => {
  const sizes = fc.array(fc.bigInt(1n, 9n), { maxLength: 8 });
  fc.assert(
    fc.property(fc.array(part, { maxLength: 6 }), sizes, fc.nat(8), (drawn, amounts, stated) => {
      const credits = drawn.map(worthless);
      const total = credits.reduce((sum, { nano }) => sum + nano, 0n);
      const claims: PaidClaim[] = [];
      let left = total;
      for (const amount of [...amounts, total]) {
        // biome-ignore lint/complexity/useMathMinMax: Math.min takes no bigint
        const nano = amount < left ? amount : left;
        if (nano > 0n) claims.push(claim(nano));
        left -= nano;
      }
      // In one statement, or with some of them on an earlier one.
      const [first, rest] = [claims.slice(0, stated), claims.slice(stated)];
      const before = first.reduce((sum, { nano }) => sum + nano, 0n);
      const all = [...valuedClaims(credits, 0n, first), ...valuedClaims(credits, before, rest)];
      const worth = all.reduce((sum, { accrualMicroUsd }) => sum + accrualMicroUsd!, 0n);
      const due = credits.reduce((sum, { microUsd }) => sum + microUsd, 0n);
      // Skipping what was stated earlier in one step rounds once, where it was claimed in several.
      expect(worth <= due + BigInt(first.length) && worth >= due - BigInt(first.length)).toBe(true);
      if (first.length === 0) expect(worth).toBe(due);
    }),
  );
});

test.each([
  // before, claimed, worth at accrual of credits
  [0n, 4n, 40n, [[10n, 100n]]],
  [
    0n,
    15n,
    250n,
    [
      [10n, 100n],
      [10n, 300n],
    ],
  ],
  [
    10n,
    10n,
    300n,
    [
      [10n, 100n],
      [10n, 300n],
    ],
  ],
  [
    10n,
    5n,
    150n,
    [
      [10n, 100n],
      [10n, 300n],
      [-5n, -100n],
    ],
  ],
  [
    0n,
    1n,
    undefined,
    [
      [10n, 100n],
      [-12n, 0n],
    ],
  ],
  [0n, 1n, undefined, []],
] as const)("case %#: after %s nano, %s are worth %s", (before, nano, worth, credits) => {
  const parts = credits.map(([amount, microUsd]) => ({ nano: amount, microUsd }));
  expect(valuedClaims(parts, before, [claim(nano)])[0]?.accrualMicroUsd).toBe(worth);
});

test("a claim is worth its nano at its own rate, fee included, and nothing where there was none", () => {
  const [one, two] = valuedClaims([], 0n, [claim(10n, { feeNano: 1n }), claim(10n, { nanoPerUsd: 0 })]);
  expect([one?.microUsd, two?.microUsd]).toEqual([2_000_000n, 0n]);
});

test("bank payouts are claims once they are paid: at their own rate in dollars, else at the node's of that moment", () => {
  const lines = [{ payee: "a", nano: 7n, gross: 1, withheld: 0, net: 1 }];
  const paid = { atMs: 50, nanoPerUsd: 9, source: "file" };
  const base = { createdMs: 1, nanoPerUnit: 4, epoch: 1, reference: "", lines, status: "paid", paid } as const;
  const payouts: Payout[] = [
    { ...base, number: 1, currency: "USD" },
    { ...base, number: 2, currency: "EUR" },
    { ...base, number: 3, currency: "EUR", status: "cancelled" },
    { ...base, number: 4, currency: "XXX", movedTo: { datanet: "d", to: "t" } },
  ];
  expect(
    bankClaims(payouts).map(({ reference, nanoPerUsd, source, timeMs }) => [reference, nanoPerUsd, source, timeMs]),
  ).toEqual([
    ["payout 1", 4, "payout 1", 50],
    ["payout 2", 9, "file", 50],
  ]);
});
