import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concat, fromHex, toHex } from "./bytes.ts";
import { sha256 } from "./hash.ts";
import {
  consistencyProof,
  EMPTY_ROOT,
  Frontier,
  hashReader,
  inclusionProof,
  leafHash,
  nodeHash,
  rootFrom,
  rootOf,
  verifyConsistency,
  verifyInclusion,
} from "./merkle.ts";
import { unwrap } from "./result.ts";

/** The entries and roots of certificate-transparency's merkletree tests, which every RFC 6962 implementation shares. */
const entries = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
const leaves = entries.map((entry) => leafHash(fromHex(entry)));
const roots = [
  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
  "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
  "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
  "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
  "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
  "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
  "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
  "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

/** MTH(D[n]) word for word as RFC 6962 §2.1 writes it. */
function naiveRoot(hashes: readonly Uint8Array[]): Uint8Array {
  if (hashes.length === 0) return sha256();
  if (hashes.length === 1) return hashes[0]!;
  let k = 1;
  while (2 * k < hashes.length) k *= 2;
  return sha256(Uint8Array.of(1), naiveRoot(hashes.slice(0, k)), naiveRoot(hashes.slice(k)));
}

const someLeaves = Array.from({ length: 80 }, (_, i) => leafHash(Uint8Array.of(i)));
const read = hashReader(someLeaves);
const rootAt = (size: number) => naiveRoot(someLeaves.slice(0, size));
const size = fc.integer({ min: 1, max: someLeaves.length });

/** One byte of the whole proof changed. */
function flipped(hashes: readonly Uint8Array[], at: number, bit: number): Uint8Array[] {
  const all = concat(...hashes);
  all[at % all.length]! ^= 1 << bit;
  return hashes.map((_, i) => all.slice(32 * i, 32 * i + 32));
}

describe("published vectors", () => {
  test.each(roots.map((root, n) => [n, root] as const))("the root of %i entries", (n, root) => {
    expect(toHex(rootOf(leaves.slice(0, n)))).toBe(`0x${root}`);
  });

  test.each([
    [
      0,
      8,
      [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
      ],
    ],
    [
      5,
      8,
      [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
      ],
    ],
    [2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]],
    [
      1,
      5,
      [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
      ],
    ],
  ] as const)("the audit path of entry %i of %i", (index, n, path) => {
    expect(inclusionProof(hashReader(leaves), index, n).map(toHex)).toEqual(path.map((hash) => `0x${hash}`));
  });

  test.each([
    [1, 1, []],
    [
      1,
      8,
      [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
      ],
    ],
    [
      6,
      8,
      [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
      ],
    ],
    [
      2,
      5,
      [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
      ],
    ],
  ] as const)("the consistency of %i with %i", (from, to, path) => {
    expect(consistencyProof(hashReader(leaves), from, to).map(toHex)).toEqual(path.map((hash) => `0x${hash}`));
  });
});

describe("frontier", () => {
  test("yields the root of RFC 6962 at every size, also after being restored", () => {
    let frontier = new Frontier();
    expect(frontier.root()).toEqual(EMPTY_ROOT);
    for (const [i, leaf] of someLeaves.entries()) {
      frontier.append(leaf);
      expect(frontier.size).toBe(i + 1);
      expect(frontier.root()).toEqual(rootAt(i + 1));
      frontier = unwrap(Frontier.decode(frontier.encode()));
    }
  });

  test("tells each complete subtree exactly once", () => {
    const told = new Map<string, Uint8Array>();
    const frontier = new Frontier();
    for (const leaf of someLeaves) {
      frontier.append(leaf, (level, index, hash) => {
        expect(told.has(`${level}/${index}`)).toBe(false);
        told.set(`${level}/${index}`, hash);
      });
    }
    for (let level = 0; 2 ** level <= someLeaves.length; level++) {
      for (let index = 0; (index + 1) * 2 ** level <= someLeaves.length; index++) {
        expect(told.get(`${level}/${index}`)).toEqual(read(level, index));
        told.delete(`${level}/${index}`);
      }
    }
    expect(told.size).toBe(0);
  });

  test.each([
    ["nothing at all", new Uint8Array(0)],
    ["a cut size", new Uint8Array(7)],
    ["size 0 with a peak", new Uint8Array(40)],
    ["size 3 with one peak", concat(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 3), new Uint8Array(32))],
    ["a cut peak", concat(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 1), new Uint8Array(31))],
    ["a size of 2^53", concat(Uint8Array.of(0, 32, 0, 0, 0, 0, 0, 0), new Uint8Array(32))],
  ])("refuses %s", (_, bytes) => {
    expect(Frontier.decode(bytes)).toMatchObject({ ok: false, error: { code: "data_folder_damaged" } });
  });
});

describe("proofs", () => {
  test("a tree read through its subtrees has the same root", () => {
    for (let n = 0; n <= someLeaves.length; n++) expect(rootFrom(read, n)).toEqual(rootAt(n));
  });

  test("every entry of every size up to 80 is proved, and proved nowhere else", () => {
    for (let n = 1; n <= someLeaves.length; n++) {
      const root = rootAt(n);
      for (let index = 0; index < n; index++) {
        const path = inclusionProof(read, index, n);
        const leaf = someLeaves[index]!;
        expect(verifyInclusion(root, n, index, leaf, path)).toBe(true);
        expect(verifyInclusion(root, n, (index + 1) % (n + 1), leaf, path)).toBe(false);
        expect(verifyInclusion(root, n, index, leaf, [...path, leaf])).toBe(false);
        expect(verifyInclusion(root, n, index, leaf, path.slice(1)) && path.length > 0).toBe(false);
      }
    }
  });

  test("no byte of an audit path, leaf or root can change", () => {
    fc.assert(
      fc.property(size, fc.nat(), fc.nat(), fc.nat(7), (n, seed, at, bit) => {
        const index = seed % n;
        const [root, leaf, ...path] = flipped(
          [rootAt(n), someLeaves[index]!, ...inclusionProof(read, index, n)],
          at,
          bit,
        );
        expect(verifyInclusion(root!, n, index, leaf!, path)).toBe(false);
      }),
    );
  });

  test("every size is a prefix of every later one", () => {
    for (let to = 0; to <= someLeaves.length; to++) {
      for (let from = 0; from <= to; from++) {
        const path = consistencyProof(read, from, to);
        expect(verifyConsistency(rootAt(from), from, rootAt(to), to, path)).toBe(true);
        expect(verifyConsistency(rootAt(from), from, rootAt(to), to, [...path, EMPTY_ROOT])).toBe(false);
        expect(verifyConsistency(rootAt(from), from + 1, rootAt(to), to, path)).toBe(false);
        if (path.length > 0) {
          expect(verifyConsistency(rootAt(from), from, rootAt(to), to, path.slice(1))).toBe(false);
          expect(verifyConsistency(rootAt(from), from, rootAt(to), to, [])).toBe(false);
        }
      }
    }
  });

  test("no byte of a consistency proof or of its roots can change", () => {
    fc.assert(
      fc.property(size, fc.nat(), fc.nat(), fc.nat(7), (to, seed, at, bit) => {
        const from = 1 + (seed % to);
        const hashes = flipped([rootAt(from), rootAt(to), ...consistencyProof(read, from, to)], at, bit);
        expect(verifyConsistency(hashes[0]!, from, hashes[1]!, to, hashes.slice(2))).toBe(false);
      }),
    );
  });

  test("sizes beyond 32 bits are exact", () => {
    // A tree whose complete subtrees are named by their place: enough to check which ones a proof visits.
    const named = (level: number, index: number) => sha256(new TextEncoder().encode(`${level}/${index}`));
    const n = 2 ** 40 + 2 ** 33 + 1;
    expect(verifyInclusion(rootFrom(named, n), n, n - 1, named(0, n - 1), inclusionProof(named, n - 1, n))).toBe(true);
    const [from, to] = [2 ** 40 + 2 ** 33, n];
    const path = consistencyProof(named, from, to);
    expect(verifyConsistency(rootFrom(named, from), from, rootFrom(named, to), to, path)).toBe(true);
  });

  test("a node cannot pass for a leaf, nor a wrong root for that of nothing", () => {
    expect(verifyInclusion(rootAt(8), 8, 0, read(1, 0), inclusionProof(read, 0, 8).slice(1))).toBe(false);
    expect(verifyConsistency(leaves[0]!, 0, leaves[0]!, 0, [])).toBe(false);
    expect(verifyConsistency(EMPTY_ROOT, 0, EMPTY_ROOT, 0, [])).toBe(true);
    const pair = concat(leaves[0]!, leaves[1]!);
    expect(leafHash(pair)).not.toEqual(nodeHash(leaves[0]!, leaves[1]!));
  });
});
