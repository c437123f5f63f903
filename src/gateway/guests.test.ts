import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { GUEST_CALLS, Guests, networkOf } from "./guests.ts";
import { startNode, type TestNode } from "./testing/node.ts";

const seed = new Uint8Array(32);
const address = fc.ipV4().filter((one) => networkOf(one) !== undefined);

test("however calls come, no address has more in a time than what was full and what came in since", () => {
  fc.assert(
    fc.property(address, fc.array(fc.nat(500), { maxLength: 2_000 }), (from, pauses) => {
      const guests = new Guests(seed);
      let [nowMs, served] = [1_000_000, 0];
      for (const pause of pauses) {
        nowMs += pause;
        const entered = guests.enter(from, nowMs);
        if (entered.ok) served += 1;
        else expect(guests.enter(from, nowMs + Math.ceil(entered.error.retryAfterMs ?? 0)).ok).toBe(true);
        if (!entered.ok) return;
      }
      expect(served).toBeLessThanOrEqual(GUEST_CALLS + ((nowMs - 1_000_000) * GUEST_CALLS) / 60_000 + 1);
    }),
    { numRuns: 50 },
  );
});

test("a burst is served to its end, then one call for each fifth of a second; others are not kept", () => {
  const guests = new Guests(seed);
  const calls = (from: string, count: number, atMs: number) =>
    Array.from({ length: count }, () => guests.enter(from, atMs)).filter(({ ok }) => ok).length;
  expect(calls("203.0.113.7", 400, 60_000)).toBe(GUEST_CALLS);
  expect(guests.enter("203.0.113.7", 60_000)).toMatchObject({ error: { code: "rate_limited", retryAfterMs: 200 } });
  expect(calls("203.0.113.7", 400, 61_000)).toBe(5);
  expect(calls("203.0.113.8", 400, 61_000)).toBe(GUEST_CALLS);
  expect(calls("127.0.0.1", 1_000, 61_000)).toBe(1_000);
});

test.each([
  ["203.0.113.7", "203.0.113.7"],
  ["::ffff:203.0.113.7", "203.0.113.7"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2"],
  ["2001:db8:1:2::6", "2001:db8:1:2"],
  ["2001:db8::6", "2001:db8:0:0"],
  ["fe80::1", "fe80:0:0:0"],
  ["127.0.0.1", undefined],
  ["127.8.9.1", undefined],
  ["::ffff:127.0.0.1", undefined],
  ["::1", undefined],
])("%s is of %s", (from, network) => expect(networkOf(from)).toBe(network));

describe("at the door", () => {
  let node: TestNode;
  beforeAll(async () => {
    node = await startNode({ engines: {}, options: { server: { remoteOf: () => "203.0.113.7" } } });
  });
  afterAll(() => node.stop());

  const call = async (path: string, key?: string) => {
    const headers: Record<string, string> = key === undefined ? {} : { authorization: `Bearer ${key}` };
    const response = await fetch(node.url + path, { headers });
    await response.arrayBuffer();
    return response;
  };
  /** Twice as many at once as a guest has in a minute: those that were refused. */
  const refused = async (path: string, key?: string) => {
    const calls = Array.from({ length: 2 * GUEST_CALLS }, () => call(path, key));
    return (await Promise.all(calls)).filter(({ ok }) => !ok);
  };

  test.each([
    ["a guest", "/api/rhythm", undefined],
    ["a guest with a key that is not known", "/api/rhythm", "ol_wrong"],
  ])("%s who calls too often is refused, with a time to wait", async (_, path, key) => {
    const late = await refused(path, key);
    expect(late.length).toBeGreaterThan(0);
    expect(new Set(late.map(({ status }) => status))).toEqual(new Set([429]));
    for (const { headers } of late) expect(Number(headers.get("retry-after"))).toBeGreaterThan(0);
  });

  test.each(["/api/health", "/metrics", "/api/openapi.json"])("%s is for all", async (path) =>
    expect(await refused(path)).toEqual([]),
  );

  test("whoever shows a key is no guest, where it is not asked for either", async () => {
    for (const path of ["/api/rhythm", "/api/accounts/me"]) expect(await refused(path, node.secret)).toEqual([]);
  });
});
