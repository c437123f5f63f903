import fc from "fast-check";
import { expect, test } from "vitest";
import { formatOpen, parseOpen } from "./money.ts";
import { feeOf, noPrices } from "./quote.ts";

test("amounts of OPEN survive printing and reading", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), (nano) => {
      expect(parseOpen(formatOpen(nano))).toEqual({ ok: true, value: nano });
    }),
  );
});

test.each([
  ["1.25", 1_250_000_000],
  ["0", 0],
  [" 0.000000001 ", 1],
  ["9007199.254740991", Number.MAX_SAFE_INTEGER],
])("parseOpen(%j) is %i nano", (text, nano) => {
  expect(parseOpen(text)).toEqual({ ok: true, value: nano });
});

test.each([
  ["", "invalid_request"],
  ["-1", "invalid_request"],
  ["1e3", "invalid_request"],
  ["0.0000000001", "invalid_request"],
  ["1,5", "invalid_request"],
  ["9007199.254740992", "amount_out_of_range"],
])("parseOpen(%j) is refused with %s", (text, code) => {
  expect(parseOpen(text)).toMatchObject({ ok: false, error: { code } });
});

test("negative totals print with their sign", () => {
  expect(formatOpen(-1_500_000_000n)).toBe("-1.5");
});

const rate = { nanoPerUsd: 4_000_000_000, source: "fixed" };

test.each([
  { unit: "nano", perMillion: 3, tokens: 1, nano: 1 },
  { unit: "nano", perMillion: 3_000_000, tokens: 7, nano: 21 },
  { unit: "nano", perMillion: 0, tokens: 7, nano: 0 },
  { unit: "microUsd", perMillion: 1_000_000, tokens: 1_000_000, nano: 4_000_000_000 },
  { unit: "microUsd", perMillion: 1, tokens: 1, nano: 1 },
] as const)("$tokens tokens at $perMillion $unit a million cost $nano nano", ({ unit, perMillion, tokens, nano }) => {
  const cost = { ...noPrices, outPerMillion: perMillion };
  const fee = feeOf({ unit, cost, royalty: noPrices }, rate, { tokensIn: 5, tokensOut: tokens, calls: 1 });
  expect(fee).toEqual({ ok: true, value: { cost: nano, royalty: 0 } });
});

test("a line is rounded up once: never below its exact price, by less than one nano", () => {
  const count = fc.integer({ min: 0, max: 1_000_000 });
  fc.assert(
    fc.property(count, count, count, count, count, (pIn, pOut, pCall, tokensIn, tokensOut) => {
      const cost = { inPerMillion: pIn, outPerMillion: pOut, perCall: pCall };
      const fee = feeOf({ unit: "nano", cost, royalty: cost }, rate, { tokensIn, tokensOut, calls: 1 });
      const exactMillionths =
        BigInt(pIn) * BigInt(tokensIn) + BigInt(pOut) * BigInt(tokensOut) + BigInt(pCall) * 1_000_000n;
      const millionths = fee.ok ? BigInt(fee.value.cost) * 1_000_000n : -1n;
      expect(millionths >= exactMillionths && millionths - exactMillionths < 1_000_000n).toBe(true);
      expect(fee.ok && fee.value.royalty).toBe(fee.ok && fee.value.cost);
    }),
  );
});

test("a fee that does not fit below 2^53 is refused, not wrapped", () => {
  const cost = { ...noPrices, perCall: Number.MAX_SAFE_INTEGER };
  expect(feeOf({ unit: "nano", cost, royalty: noPrices }, rate, { tokensIn: 0, tokensOut: 0, calls: 2 })).toMatchObject(
    {
      ok: false,
      error: { code: "amount_out_of_range" },
    },
  );
});
