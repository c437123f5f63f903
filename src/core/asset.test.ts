import fc from "fast-check";
import { expect, test } from "vitest";
import { ANCESTORS_MAX, royaltyVector, VECTOR_TOTAL, type VectorShare } from "./asset.ts";
import { toHex, u64 } from "./bytes.ts";
import { keccak256 } from "./hash.ts";

const assetId = (n: number) => keccak256(u64(n));
const share = (id: Uint8Array, weight: number): VectorShare => ({ id, weight });

/** A random history of registrations: each asset's parents are earlier ones. */
const historyArbitrary = fc.array(
  fc.record({ parentsBps: fc.constantFrom(0, 1, 3_333, 5_000, 10_000), picks: fc.array(fc.nat(), { maxLength: 4 }) }),
  { minLength: 1, maxLength: 12 },
);

test("every vector keeps its total, names each ancestor once, and names nothing but ancestors and itself", () => {
  fc.assert(
    fc.property(historyArbitrary, (history) => {
      const vectors = new Map<string, VectorShare[]>();
      const ancestors = new Map<string, Set<string>>();
      for (const [n, { parentsBps, picks }] of history.entries()) {
        const id = assetId(n);
        const parentNumbers = n === 0 ? [] : [...new Set(picks.map((pick) => pick % n))];
        const parents = parentNumbers.map((p) => ({ id: assetId(p), weight: 1 + (p % 3) }));
        const vector = royaltyVector(id, { parentsBps }, parents, (parent) => vectors.get(toHex(parent)));
        if (!vector.ok) throw new Error(vector.error.message);
        vectors.set(toHex(id), vector.value);
        const family = new Set([toHex(id), ...parents.flatMap((parent) => [...ancestors.get(toHex(parent.id))!])]);
        ancestors.set(toHex(id), family);
        expect(vector.value.reduce((sum, { weight }) => sum + weight, 0)).toBe(VECTOR_TOTAL);
        expect(new Set(vector.value.map((entry) => toHex(entry.id))).size).toBe(vector.value.length);
        expect(vector.value.every((entry) => family.has(toHex(entry.id)))).toBe(true);
      }
    }),
  );
});

test("a diamond: what flows through two parents to one grandparent adds up", () => {
  const [base, left, right, child] = [assetId(1), assetId(2), assetId(3), assetId(4)] as const;
  const vectors = new Map([
    [toHex(left), [share(base, VECTOR_TOTAL / 2), share(left, VECTOR_TOTAL / 2)]],
    [toHex(right), [share(base, VECTOR_TOTAL / 4), share(right, (VECTOR_TOTAL * 3) / 4)]],
  ]);
  const parents = [
    { id: left, weight: 1 },
    { id: right, weight: 1 },
  ];
  const vector = royaltyVector(child, { parentsBps: 4_000 }, parents, (id) => vectors.get(toHex(id)));
  const weights = new Map(vector.ok ? vector.value.map((entry) => [toHex(entry.id), entry.weight]) : []);
  expect(weights.get(toHex(child))).toBe(600_000_000);
  expect(weights.get(toHex(base))).toBe(150_000_000);
  expect(weights.get(toHex(left))).toBe(100_000_000);
  expect(weights.get(toHex(right))).toBe(150_000_000);
});

test.each([
  { name: "an unknown parent", parents: [{ id: assetId(9), weight: 1 }], code: "not_found" },
  {
    name: "17 parents",
    parents: Array.from({ length: 17 }, (_, i) => ({ id: assetId(i), weight: 1 })),
    code: "rule_violated",
  },
])("$name is refused", ({ parents, code }) => {
  expect(royaltyVector(assetId(0), { parentsBps: 1 }, parents, () => undefined)).toMatchObject({
    ok: false,
    error: { code },
  });
});

test(`more than ${ANCESTORS_MAX} ancestors are refused`, () => {
  const vector = Array.from({ length: ANCESTORS_MAX + 1 }, (_, i) => share(assetId(10 + i), 1));
  const refused = royaltyVector(assetId(0), { parentsBps: 5_000 }, [{ id: assetId(10), weight: 1 }], () => vector);
  expect(refused).toMatchObject({ ok: false, error: { code: "rule_violated" } });
});
