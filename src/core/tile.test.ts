import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { u64 } from "./bytes.ts";
import {
  consistencyProof,
  hashReader,
  inclusionProof,
  leafHash,
  rootFrom,
  verifyConsistency,
  verifyInclusion,
} from "./merkle.ts";
import { unwrap } from "./result.ts";
import {
  decodeBundle,
  encodeBundle,
  parseTilePath,
  type Tile,
  tileAt,
  tileBytes,
  tilePath,
  tileReader,
  tilesBetween,
  tilesFor,
} from "./tile.ts";

const level = fc.oneof(fc.constant("entries" as const), fc.nat(6));
const tile = fc.record({
  level,
  index: fc.oneof(fc.nat(2000), fc.maxSafeNat()),
  width: fc.integer({ min: 1, max: 256 }),
});

describe("paths", () => {
  test.each<[Tile, string]>([
    [{ level: 0, index: 0, width: 256 }, "tile/0/000"],
    [{ level: 0, index: 1234067, width: 256 }, "tile/0/x001/x234/067"],
    [{ level: 3, index: 999, width: 1 }, "tile/3/999.p/1"],
    [{ level: 6, index: 1000, width: 255 }, "tile/6/x001/000.p/255"],
    [{ level: "entries", index: 273, width: 112 }, "tile/entries/273.p/112"],
  ])("%o is %s", (some, path) => {
    expect(tilePath(some)).toBe(path);
    expect(unwrap(parseTilePath(path))).toEqual(some);
  });

  test("path and tile are inverse to each other", () => {
    fc.assert(
      fc.property(tile, (some) => {
        expect(unwrap(parseTilePath(tilePath(some)))).toEqual(some);
      }),
    );
  });

  test.each([
    "",
    "tile/0",
    "tile/0/0",
    "tile/00/000",
    "tile/7/000",
    "tile/-1/000",
    "tile/data/000",
    "tile/0/x000/000",
    "tile/0/001/234",
    "tile/0/x001/x234",
    "tile/0/x001/x234/",
    "tile/0/1000",
    "tile/0/000.p/0",
    "tile/0/000.p/01",
    "tile/0/000.p/256",
    "tile/0/000.p/",
    "tile/0/000.p",
    "tile/0/000/../001",
    "tile/entries/000\n",
    "/tile/0/000",
    "tile/0/x999/x999/x999/x999/x999/999",
  ])("refuses %j", (path) => {
    expect(parseTilePath(path)).toMatchObject({ ok: false, error: { code: "invalid_request" } });
  });
});

describe("growth", () => {
  test("a tree of 70,000 has the tiles that the specification counts", () => {
    const tiles = tilesBetween(0, 70_000);
    const count = (of: Tile["level"], isFull: boolean) =>
      tiles.filter((some) => some.level === of && (some.width === 256) === isFull).length;
    expect([count(0, true), count(1, true), count(2, true)]).toEqual([273, 1, 0]);
    expect(tiles.filter((some) => some.width < 256).map(tilePath)).toEqual([
      "tile/entries/273.p/112",
      "tile/0/273.p/112",
      "tile/1/001.p/17",
      "tile/2/000.p/1",
    ]);
  });

  test.each([
    [0, 0, []],
    [256, 256, []],
    [0, 1, ["tile/entries/000.p/1", "tile/0/000.p/1"]],
    [255, 256, ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]],
    [256, 257, ["tile/entries/001.p/1", "tile/0/001.p/1"]],
    [65_535, 65_536, ["tile/entries/255", "tile/0/255", "tile/1/000", "tile/2/000.p/1"]],
  ])("from %i to %i", (from, to, paths) => {
    expect(tilesBetween(from, to).map(tilePath)).toEqual(paths);
  });

  test("writing step by step leaves the same tiles as writing once", () => {
    const sizes = fc.array(fc.nat(700), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(sizes, (steps) => {
        const widest = new Map<string, number>();
        let size = 0;
        for (const step of steps) {
          for (const some of tilesBetween(size, size + step)) widest.set(`${some.level}/${some.index}`, some.width);
          size += step;
        }
        const once = tilesBetween(0, size).map((some) => [`${some.level}/${some.index}`, some.width] as const);
        expect(widest).toEqual(new Map(once));
        for (const some of tilesBetween(0, size)) expect(tileAt(some.level, some.index, size)).toEqual(some);
      }),
    );
  });
});

describe("hashes", () => {
  const leaves = Array.from({ length: 70_000 }, (_, i) => leafHash(u64(i)));
  const read = hashReader(leaves);

  test("proofs computed from published tiles verify, and use no other tile than those announced", () => {
    const sizes = fc.integer({ min: 1, max: leaves.length });
    fc.assert(
      fc.property(sizes, sizes, fc.nat(), (a, b, seed) => {
        const [from, to] = [Math.min(a, b), Math.max(a, b)];
        const index = seed % to;
        const proveEntry = (reader: typeof read) => inclusionProof(reader, index, to);
        const proveGrowth = (reader: typeof read) => consistencyProof(reader, from, to);
        const files = new Map(
          [...tilesFor(to, proveEntry), ...tilesFor(to, proveGrowth)].map((some) => [
            tilePath(some),
            tileBytes(some, read),
          ]),
        );
        const published = new Set(tilesBetween(0, to).map(tilePath));
        for (const path of files.keys()) expect(published.has(path)).toBe(true);
        const fromTiles = tileReader(to, (some) => files.get(tilePath(some))!);
        const root = rootFrom(read, to);
        expect(verifyInclusion(root, to, index, leaves[index]!, proveEntry(fromTiles))).toBe(true);
        expect(verifyConsistency(rootFrom(read, from), from, root, to, proveGrowth(fromTiles))).toBe(true);
      }),
      { numRuns: 25 },
    );
  });
});

describe("entry bundles", () => {
  const entries = fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 8 });

  test("encoding and decoding are inverse to each other", () => {
    fc.assert(
      fc.property(entries, (some) => {
        expect(unwrap(decodeBundle(encodeBundle(some), some.length))).toEqual(some);
      }),
    );
  });

  test("a length is two big-endian bytes", () => {
    expect(encodeBundle([new Uint8Array(258).fill(7), new Uint8Array(0)]).slice(0, 3)).toEqual(Uint8Array.of(1, 2, 7));
  });

  test("refuses a bundle that is cut, has bytes left over, or another number of entries", () => {
    fc.assert(
      fc.property(entries, (some) => {
        const bundle = encodeBundle(some);
        expect(decodeBundle(bundle, some.length + 1).ok).toBe(false);
        expect(decodeBundle(Uint8Array.of(...bundle, 0), some.length).ok).toBe(false);
        if (some.length > 0) expect(decodeBundle(bundle, some.length - 1).ok).toBe(false);
        if (some.length > 0) expect(decodeBundle(bundle.slice(0, -1), some.length).ok).toBe(false);
      }),
    );
  });
});
