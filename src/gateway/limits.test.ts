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
