import fc from "fast-check";
import { expect, test } from "vitest";
import { utf8 } from "./bytes.ts";
import { keccak256 } from "./hash.ts";
import { joinPoolChunks, makePool, POOL_CHUNK_MEMBERS_MAX, poolChunks, poolId, splitPool } from "./pool.ts";

const ledger = keccak256(utf8("a ledger"));
const subject = keccak256(utf8("an asset"));
const sharesArbitrary = fc
  .array(fc.nat({ max: 5 }), { minLength: 1, maxLength: 30 })
  .filter((weights) => weights.some((weight) => weight > 0))
  .map((weights) => weights.map((weight, i) => ({ payee: 10 + i, weight })));

test("a pool's parts sum to what it was credited, credit or correction", () => {
  fc.assert(
    fc.property(sharesArbitrary, fc.integer({ min: -1_000, max: 1_000 }), fc.nat(), (shares, amount, epoch) => {
      const pool = makePool(1, shares);
      const parts = splitPool(ledger, epoch, subject, pool, amount);
      expect(parts.length).toBe(pool.members.length);
      expect(parts.reduce((sum, part) => sum + part, 0)).toBe(amount);
    }),
  );
});

test("chunks join to the pool they came from, across chunk borders", () => {
  for (const size of [1, POOL_CHUNK_MEMBERS_MAX, POOL_CHUNK_MEMBERS_MAX + 1, 2 * POOL_CHUNK_MEMBERS_MAX + 7]) {
    const shares = Array.from({ length: size }, (_, i) => ({ payee: 5 + 2 * i, weight: 1 + (i % 3) }));
    const pool = makePool(1, shares);
    expect(joinPoolChunks(poolChunks(pool, subject, 5))).toEqual(pool);
  }
});

test("a chunk that is missing, doubled, out of order or changed does not join", () => {
  const shares = Array.from({ length: 10_000 }, (_, i) => ({ payee: 5 + i, weight: 2 }));
  const chunks = poolChunks(makePool(1, shares), subject, 5);
  const [a, b, c] = chunks as [(typeof chunks)[0], (typeof chunks)[0], (typeof chunks)[0]];
  const bent = {
    ...b,
    members: b.members.map((member, i) => (i === 3 ? { ...member, prefix: member.prefix + 5 } : member)),
  };
  for (const broken of [
    [],
    [a, b],
    [a, c],
    [a, a, b, c],
    [b, a, c],
    [a, bent, c],
    [a, b, { ...c, total: c.total + 1 }],
  ]) {
    expect(joinPoolChunks(broken)).toBeUndefined();
  }
});

test("a pool's id names its ledger, subject, place, members and weights", () => {
  const shares = [
    { payee: 2, weight: 1 },
    { payee: 3, weight: 5 },
  ];
  const id = poolId(ledger, subject, 1, shares);
  expect(poolId(ledger, subject, 1, shares.toReversed())).toEqual(id);
  const others = [
    poolId(subject, subject, 1, shares),
    poolId(ledger, ledger, 1, shares),
    poolId(ledger, subject, 2, shares),
    poolId(ledger, subject, 1, [shares[0]!, { payee: 3, weight: 6 }]),
    poolId(ledger, subject, 1, [shares[0]!, { payee: 4, weight: 5 }]),
  ];
  for (const other of others) expect(other).not.toEqual(id);
});
