import fc from "fast-check";
import { expect, test } from "vitest";
import type { ApiKey, KeyLimits } from "../ledger/ledger.ts";
import { formatReset, KeyMeters } from "./limits.ts";

const DAY = 86_400_000;
const noon = 20_000 * DAY + DAY / 2;

function keyWith(limits: KeyLimits): ApiKey {
  return { id: "key_1", account: "acct_1", name: "k", hint: "ol_12345", limits, admin: false, createdMs: 0 };
}

const one = { tokens: 10, nano: 100 };

test("requests a minute: a bucket that refills evenly", () => {
  const [meters, key] = [new KeyMeters(), keyWith({ requestsPerMinute: 2 })];
  const enter = (ms: number) => meters.enter(key, one, noon + ms);
  expect([enter(0).ok, enter(0).ok]).toEqual([true, true]);
  expect(enter(0)).toMatchObject({ ok: false, error: { code: "rate_limited", retryAfterMs: 30_000 } });
  expect(enter(29_000)).toMatchObject({ ok: false, error: { retryAfterMs: 1_000 } });
  expect(enter(30_000).ok).toBe(true);
  expect(headersOf(meters, key, noon + 30_000)).toEqual({
    "x-ratelimit-limit-requests": "2",
    "x-ratelimit-remaining-requests": "0",
    "x-ratelimit-reset-requests": "1m0s",
  });
});

test("tokens a minute: the worst case is taken, what was not used comes back", () => {
  const [meters, key] = [new KeyMeters(), keyWith({ tokensPerMinute: 100 })];
  const first = meters.enter(key, { tokens: 90, nano: 0 }, noon);
  expect(meters.enter(key, { tokens: 20, nano: 0 }, noon)).toMatchObject({ ok: false, error: { retryAfterMs: 6_000 } });
  if (first.ok) first.value.settle({ tokens: 30, nano: 0 });
  if (first.ok) first.value.settle({ tokens: 0, nano: 0 });
  expect(headersOf(meters, key, noon)["x-ratelimit-remaining-tokens"]).toBe("70");
  expect(meters.enter(key, { tokens: 20, nano: 0 }, noon).ok).toBe(true);
  expect(meters.enter(key, { tokens: 101, nano: 0 }, noon)).toMatchObject({
    ok: false,
    error: { field: "max_tokens" },
  });
});

test("nano a day: holds count, what was not spent comes back, midnight forgives", () => {
  const [meters, key] = [new KeyMeters(), keyWith({ nanoPerDay: 250 })];
  const first = meters.enter(key, one, noon);
  expect(meters.enter(key, one, noon).ok).toBe(true);
  expect(meters.enter(key, one, noon)).toMatchObject({ ok: false, error: { retryAfterMs: DAY / 2 } });
  if (first.ok) first.value.settle({ tokens: 1, nano: 40 });
  expect(meters.enter(key, one, noon).ok).toBe(true);
  expect(meters.enter(key, { tokens: 1, nano: 250 }, noon + DAY).ok).toBe(true);
});

test("in flight", () => {
  const [meters, key] = [new KeyMeters(), keyWith({ inFlight: 1 })];
  const first = meters.enter(key, one, noon);
  expect(meters.enter(key, one, noon)).toMatchObject({
    ok: false,
    error: { code: "rate_limited", retryAfterMs: 1_000 },
  });
  if (first.ok) first.value.settle({ tokens: 0, nano: 0 });
  expect(meters.enter(key, one, noon).ok).toBe(true);
});

test("no limits, no headers, no refusals", () => {
  const [meters, key] = [new KeyMeters(), keyWith({})];
  for (let i = 0; i < 50; i++) expect(meters.enter(key, { tokens: 1e9, nano: 1e12 }, noon).ok).toBe(true);
  expect(headersOf(meters, key, noon)).toEqual({});
});

test.each([
  [0, "0ms"],
  [17.2, "18ms"],
  [1_000, "1s"],
  [59_001, "1m0s"],
  [360_000, "6m0s"],
])("writes %d ms as %s", (ms, text) => expect(formatReset(ms)).toBe(text));

function headersOf(meters: KeyMeters, key: ApiKey, nowMs: number): Record<string, string> {
  const headers = {};
  meters.addHeaders(key, nowMs, headers);
  return headers;
}

const limitsOfAny: fc.Arbitrary<KeyLimits> = fc.record(
  {
    requestsPerMinute: fc.integer({ min: 1, max: 6 }),
    tokensPerMinute: fc.integer({ min: 1, max: 40 }),
    nanoPerDay: fc.integer({ min: 0, max: 30 }),
    inFlight: fc.integer({ min: 1, max: 4 }),
  },
  { requiredKeys: [] },
);
const anyStep = fc.record({
  key: fc.nat(3),
  worst: fc.record({ tokens: fc.nat(12), nano: fc.nat(9) }),
  usedOf: fc.integer({ min: 0, max: 100 }),
  ends: fc.boolean(),
  later: fc.constantFrom(0, 0, 1_000, 20_000, DAY / 2),
});

test("in whatever order requests come and end: no key, project, member or organisation is ever over a limit, and in the end nothing is held", () => {
  fc.assert(
    fc.property(
      fc.array(limitsOfAny, { minLength: 8, maxLength: 8 }),
      fc.array(anyStep, { maxLength: 60 }),
      (limits, steps) => {
        const scopes = limits.map((one, i) => ({ id: `s${i}`, kind: "member" as const, name: `s${i}`, limits: one }));
        // Four keys in two projects and two members of one organisation.
        const places = [0, 1, 2, 3].map((i) => [scopes[i]!, scopes[4 + (i % 2)]!, scopes[6]!, scopes[7]!]);
        const keys = places.map((_, i) => ({ ...keyWith({}), id: `key_${i}` }));
        const meters = new KeyMeters((key) => places[keys.findIndex(({ id }) => id === key.id)]!);
        const model = new Map(scopes.map(({ id }) => [id, { day: 0, nano: 0, inFlight: 0, entered: [] as number[] }]));
        const live: (() => void)[] = [];
        let nowMs = noon;
        for (const { key, worst, usedOf, ends, later } of steps) {
          nowMs += later;
          const day = Math.floor(nowMs / DAY);
          for (const one of model.values()) if (one.day !== day) Object.assign(one, { day, nano: 0 });
          const entered = meters.enter(keys[key]!, worst, nowMs);
          const mine = places[key]!.map(({ id, limits: of }) => ({ of, now: model.get(id)! }));
          if (entered.ok) {
            for (const { now } of new Set(mine)) {
              now.inFlight += 1;
              now.nano += worst.nano;
              now.entered.push(nowMs);
            }
            const used = {
              tokens: Math.floor((worst.tokens * usedOf) / 100),
              nano: Math.floor((worst.nano * usedOf) / 100),
            };
            live.push(() => {
              entered.value.settle(used);
              entered.value.settle(used);
              for (const { now } of mine) {
                now.inFlight -= 1;
                if (now.day === day) now.nano += used.nano - worst.nano;
              }
            });
          }
          for (const { of, now } of mine) {
            expect(now.inFlight).toBeLessThanOrEqual(of.inFlight ?? Infinity);
            expect(now.nano).toBeLessThanOrEqual(of.nanoPerDay ?? Infinity);
            // A bucket lets in a burst of its size and refills evenly: at most twice its size in any minute.
            const minute = now.entered.filter((ms) => ms > nowMs - 60_000).length;
            expect(minute).toBeLessThanOrEqual(2 * (of.requestsPerMinute ?? Infinity));
          }
          if (ends) live.shift()?.();
        }
        for (const end of live) end();
        for (const scope of scopes) {
          const { inFlight, nano } = model.get(scope.id)!;
          expect(inFlight).toBe(0);
          expect(meters.usage(scope, nowMs)).toEqual({ inFlight: 0, nano });
        }
      },
    ),
    { numRuns: 300 },
  );
});

test("a day that was spent before a restart stays spent, in every scope; another day's does not count", () => {
  const key = { ...keyWith({ nanoPerDay: 100 }), scope: { organisation: "org", member: "mem" } };
  const organisation = { id: "org", kind: "organisation", name: "acme", limits: { nanoPerDay: 150 } } as const;
  const own = { id: key.id, kind: "key", name: key.hint, limits: key.limits } as const;
  const meters = new KeyMeters(() => [own, organisation]);
  const day = Math.floor(noon / DAY);
  const row = { key: key.id, receipts: 1, tokens: 1 };
  meters.seed(
    [
      { ...row, day, nano: 60 },
      { ...row, day: day - 1, nano: 99 },
      { ...row, day, key: "gone", nano: 99 },
    ],
    [key],
    noon,
  );
  expect(meters.usage(organisation, noon)).toEqual({ nano: 60, inFlight: 0 });
  expect(meters.enter(key, { tokens: 0, nano: 41 }, noon)).toMatchObject({
    ok: false,
    error: { code: "rate_limited" },
  });
  const entered = meters.enter(key, { tokens: 0, nano: 40 }, noon);
  expect(entered).toMatchObject({ ok: true, value: { metered: { key: key.id, day } } });
});
