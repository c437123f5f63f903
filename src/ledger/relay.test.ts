import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { z } from "zod";
import { memberOf, nanoOf, planRelay, type RelayCandidate, relayGas } from "./relay.ts";

/** A hundredth of a gwei, and an ETH for 3,000 OPEN. */
const prices = { gasPriceWei: 10_000_000n, microOpenPerEth: 3_000_000_000 };
const YEAR_MS = 365 * 86_400_000;
const rules = { nowMs: 10 * YEAR_MS, patienceMs: YEAR_MS, budget: 0n, membersMax: 100 };
const candidate = (due: bigint, more: Partial<RelayCandidate> = {}): RelayCandidate => ({
  ...{ payee: `p${due}`, due, isFirst: false, registers: false, feeBpsMax: 50, waitingSinceMs: 10 * YEAR_MS },
  ...more,
});
const drawn = fc.record({
  payee: fc.uuid(),
  due: fc.oneof(fc.bigInt(0n, 3n), fc.bigInt(1n, 10n ** 7n), fc.bigInt(10n ** 7n, 10n ** 10n)),
  isFirst: fc.boolean(),
  registers: fc.boolean(),
  feeBpsMax: fc.constantFrom(1, 50, 200),
  waitingSinceMs: fc.constantFrom(8 * YEAR_MS, 10 * YEAR_MS),
});
const market = fc.record({
  gasPriceWei: fc.bigInt(0n, 10n ** 9n),
  microOpenPerEth: fc.integer({ min: 1, max: 10 ** 10 }),
});

test("nobody pays more than the cost nor than it lets, the node no more than its budget, and everybody due goes or waits", () => {
  fc.assert(
    fc.property(fc.array(drawn, { maxLength: 30 }), market, fc.bigInt(0n, 10n ** 9n), (all, at, budget) => {
      const { members, waiting } = planRelay(all, at, { ...rules, budget, membersMax: 12 });
      expect(members.length).toBeLessThanOrEqual(12);
      let borne = 0n;
      for (const { candidate: one, cost, fee, isFree } of members) {
        expect(one.due > 0n && fee <= cost && fee * 10_000n <= one.due * BigInt(one.feeBpsMax)).toBe(true);
        if (isFree) expect(fee).toBe(0n);
        if (fee < cost) expect(rules.nowMs - one.waitingSinceMs).toBeGreaterThanOrEqual(YEAR_MS);
        borne += cost - fee;
      }
      expect(borne <= budget).toBe(true);
      const seen = [...members.map((one) => one.candidate.payee), ...waiting.map(({ payee }) => payee)];
      const due = all.filter((one) => one.due > 0n).map(({ payee }) => payee);
      expect(seen.toSorted()).toEqual(due.toSorted());
    }),
  );
});

test("no batch that pays for itself is larger, and who waits would go at the amount that is said", () => {
  fc.assert(
    fc.property(fc.array(drawn, { maxLength: 9 }), market, (all, at) => {
      const { members, waiting } = planRelay(all, at, rules);
      for (let size = members.length + 1; size <= all.length; size++) {
        const worth = all.filter((one) => {
          const { cost } = memberOf(one, size, at);
          return one.due > 0n && cost * 10_000n <= one.due * BigInt(one.feeBpsMax);
        });
        expect(worth.length).toBeLessThan(size);
      }
      for (const { payee, due, goesAt } of waiting) {
        expect(due).toBeLessThan(goesAt);
        const grown = all.map((one) => (one.payee === payee ? { ...one, due: goesAt } : one));
        expect(planRelay(grown, at, rules).members.map((one) => one.candidate.payee)).toContain(payee);
      }
    }),
  );
});

test("company makes it cheaper: what is too small alone goes with others", () => {
  const one = candidate(500_000_000n);
  expect(planRelay([one], prices, rules)).toMatchObject({ members: [], waiting: [{ goesAt: 641_400_000n }] });
  const ten = Array.from({ length: 10 }, (_, i) => candidate(500_000_000n, { payee: `p${i}` }));
  const { members } = planRelay(ten, prices, rules);
  expect(members.map(({ fee }) => fee)).toEqual(ten.map(() => nanoOf(5_020 + 56_700, prices)));
});

test("the patient go at the node's cost, the smaller first, and pay nothing", () => {
  const patient = [3_000n, 9_000n, 6_000n].map((due) => candidate(due, { waitingSinceMs: 0 }));
  const alone = memberOf(patient[0]!, 1, prices, true).cost;
  const { members, waiting } = planRelay(patient, prices, { ...rules, budget: 2n * alone - 1n });
  expect(members.map(({ candidate: { due }, fee, isFree }) => [due, fee, isFree])).toEqual([
    [3_000n, 0n, true],
    [6_000n, 0n, true],
  ]);
  expect(waiting.map(({ due }) => due)).toEqual([9_000n]);
});

test("quotes are no lower than what the contract was measured at, and nearly that", () => {
  const measured = z
    .record(z.string(), z.string().transform(Number))
    .parse(JSON.parse(readFileSync("contracts/snapshots/gas.json", "utf8")));
  const rows = [
    ["relayed claim at depth 20, first, alone", 1, relayGas.first],
    ["relayed claim at depth 20, first, alone, with its consent", 1, relayGas.first + relayGas.consent],
    ["relayed claim at depth 20, repeated, alone", 1, relayGas.repeated],
    ["relayed claims at depth 20, first, ten", 10, relayGas.first],
    ["relayed claims at depth 20, first, ten, with their consents", 10, relayGas.first + relayGas.consent],
    ["relayed claims at depth 20, repeated, ten", 10, relayGas.repeated],
    ["relayed claims at depth 20, first, hundred", 100, relayGas.first],
    ["relayed claims at depth 20, repeated, hundred", 100, relayGas.repeated],
    ["relayed for nothing at depth 20, first, ten", 10, relayGas.free.first],
    ["relayed for nothing at depth 20, repeated, ten", 10, relayGas.free.repeated],
    ["relayed for nothing at depth 20, first, hundred", 100, relayGas.free.first],
    ["relayed for nothing at depth 20, repeated, hundred", 100, relayGas.free.repeated],
  ] as const;
  for (const [name, count, own] of rows) {
    const quoted = relayGas.shared + count * own;
    expect([name, quoted >= measured[name]!, quoted <= 1.02 * measured[name]!]).toEqual([name, true, true]);
  }
});
