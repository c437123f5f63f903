import fc from "fast-check";
import { expect, test } from "vitest";
import { feeOf, noPrices } from "../core/quote.ts";
import { ok, type Result, refuse, unwrap } from "../core/result.ts";
import { type KnownRate, nanoPerUsdOf, type Quotation, RateDesk } from "./rates.ts";

const bounds = { nanoPerUsdMin: 500, nanoPerUsdMax: 2_000, stepBpsMax: 1_000, staleMs: 60_000 };

interface World {
  nowMs: number;
  says: Result<Quotation>;
  readonly kept: KnownRate[];
  readonly desk: RateDesk;
}

function world(known?: KnownRate): World {
  const here: Omit<World, "desk"> = { nowMs: 1_000_000, says: ok({ nanoPerUsd: 1_000 }), kept: [] };
  const source = { name: "test", read: async () => now.says };
  const keep = async (rate: KnownRate) => void now.kept.push(rate);
  const now: World = { ...here, desk: new RateDesk(source, bounds, () => now.nowMs, known, keep) };
  return now;
}

const code = (result: Result<unknown>) => (result.ok ? "ok" : result.error.code);

test("no rate: nothing is held in dollars, and prices in OPEN go on", async () => {
  const here = world();
  here.says = refuse("upstream_failed", "away");
  await here.desk.refresh();
  expect(here.desk.forDollars()).toMatchObject({
    error: { code: "rate_stale", message: "there is no dollar rate yet: away" },
  });
  expect(here.desk.forOpen()).toEqual({ nanoPerUsd: 0, source: "test" });
});

test("the last rate goes on while its source is away, and no longer than it may", async () => {
  const here = world();
  unwrap(await here.desk.refresh());
  here.says = refuse("upstream_failed", "away");
  here.nowMs += 60_000;
  expect(code(await here.desk.refresh())).toBe("upstream_failed");
  expect(here.desk.forDollars()).toEqual(ok({ nanoPerUsd: 1_000, source: "test" }));
  here.nowMs += 1;
  expect(here.desk.forDollars()).toMatchObject({
    error: { message: expect.stringContaining("is 60 s old, and may be 60: away") },
  });
  here.says = ok({ nanoPerUsd: 1_001 });
  unwrap(await here.desk.refresh());
  expect(here.desk.forDollars()).toEqual(ok({ nanoPerUsd: 1_001, source: "test" }));
});

test.each([
  ["no whole number", { nanoPerUsd: 999.5 }],
  ["nothing", { nanoPerUsd: 0 }],
  ["less than nothing", { nanoPerUsd: -1_000 }],
  ["no number", { nanoPerUsd: Number.NaN }],
  ["too little", { nanoPerUsd: 499 }],
  ["too much", { nanoPerUsd: 2_001 }],
  ["a jump up", { nanoPerUsd: 1_101 }],
  ["a jump down", { nanoPerUsd: 899 }],
  ["of a time to come", { nanoPerUsd: 1_000, atMs: 2_000_000 }],
  ["stale where it comes from", { nanoPerUsd: 1_000, atMs: 1_000_000 - 60_001 }],
])("is not believed: %s", async (_what, says) => {
  const here = world({ nanoPerUsd: 1_000, source: "test", atMs: 1_000_000 });
  here.says = ok(says);
  expect((await here.desk.refresh()).ok).toBe(false);
  expect(here.desk.forDollars()).toEqual(ok({ nanoPerUsd: 1_000, source: "test" }));
  expect(here.kept).toEqual([]);
});

test("a jump is believed when somebody names it, also after a restart; nothing else can be slipped in", async () => {
  const here = world({ nanoPerUsd: 1_000, source: "test", atMs: 1_000_000 - 120_000 });
  here.says = ok({ nanoPerUsd: 1_500 });
  expect(await here.desk.refresh()).toMatchObject({ error: { hint: expect.stringContaining("rate accept 1500") } });
  expect(here.desk.state).toMatchObject({ pending: 1_500, isFresh: false });
  expect(code(await here.desk.accept(1_501))).toBe("conflict");
  unwrap(await here.desk.accept(1_500));
  expect(here.desk.forDollars()).toEqual(ok({ nanoPerUsd: 1_500, source: "test" }));
  expect(code(await here.desk.accept(1_500))).toBe("conflict");
  expect(here.kept).toEqual([{ nanoPerUsd: 1_500, source: "test", atMs: 1_000_000 }]);
});

test("a rate of another source is not gone on from", () => {
  expect(world({ nanoPerUsd: 1_000, source: "other", atMs: 1_000_000 }).desk.state.known).toBeUndefined();
});

test("whatever a source says: what is held at is in bounds, fresh, and steps lead to it from the first", async () => {
  const said = fc.oneof(
    fc.record({ nanoPerUsd: fc.integer({ min: 0, max: 2_600 }) }),
    fc.record({ nanoPerUsd: fc.integer({ min: 900, max: 1_100 }), atMs: fc.integer({ min: 900_000, max: 1_400_000 }) }),
    fc.constant(undefined),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(said, fc.constantFrom(0, 20_000, 61_000)), { maxLength: 30 }), async (steps) => {
      const here = world();
      let before: number | undefined;
      for (const [says, later] of steps) {
        here.nowMs += later;
        here.says = says === undefined ? refuse("upstream_failed", "away") : ok(says);
        await here.desk.refresh();
        const rate = here.desk.forDollars();
        const { known, isFresh } = here.desk.state;
        expect(rate.ok).toBe(isFresh);
        if (known === undefined) continue;
        expect(known.nanoPerUsd).toBeGreaterThanOrEqual(500);
        expect(known.nanoPerUsd).toBeLessThanOrEqual(2_000);
        if (before !== undefined) expect(Math.abs(known.nanoPerUsd - before) * 10).toBeLessThanOrEqual(before);
        if (rate.ok) expect(here.nowMs - known.atMs).toBeLessThanOrEqual(60_000);
        before = known.nanoPerUsd;
      }
    }),
  );
});

test("a price as a decimal text is a rate, rounded half up: the other way round it is the same price", () => {
  for (const [price, nano] of [
    ["1", 1_000_000_000],
    ["0.5", 2_000_000_000],
    ["2", 500_000_000],
    ["0.25", 4_000_000_000],
    ["3", 333_333_333],
    ["1e-3", 1_000_000_000_000],
    ["1.5e2", 6_666_667],
    [" 0.000001 ", 1_000_000_000_000_000],
  ] as const)
    expect([price, nanoPerUsdOf(price)]).toEqual([price, ok(nano)]);
  for (const bad of ["", "0", "0.0", "-1", "1,5", "NaN", "Infinity", "0x10", "1e99", "1e-30", "9".repeat(40), "1.2.3"])
    expect([bad, nanoPerUsdOf(bad).ok]).toEqual([bad, false]);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 10_000_000 }), fc.integer({ min: 0, max: 6 }), (digits, decimals) => {
      const text = (digits / 10 ** decimals).toFixed(decimals);
      const nano = unwrap(nanoPerUsdOf(text));
      // |nano · price − 10^9| ≤ price / 2, in the smallest unit of the price.
      const off = BigInt(nano) * BigInt(digits) - 10n ** BigInt(9 + decimals);
      expect(2n * (off < 0n ? -off : off)).toBeLessThanOrEqual(BigInt(digits));
    }),
  );
});

test("a fee in dollars is the same money at whatever rate, but for the rounding of each line", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 10 ** 9 }), fc.integer({ min: 1, max: 10 ** 12 }), (microUsd, nanoPerUsd) => {
      const prices = { ...noPrices, perCall: microUsd };
      const usage = { tokensIn: 0, tokensOut: 0, calls: 1 };
      const fee = feeOf({ unit: "microUsd", cost: prices, royalty: noPrices }, { nanoPerUsd, source: "t" }, usage);
      if (!fee.ok) return;
      const over = BigInt(fee.value.cost) * 1_000_000n - BigInt(microUsd) * BigInt(nanoPerUsd);
      expect(over >= 0n && over < 1_000_000n).toBe(true);
    }),
  );
});
