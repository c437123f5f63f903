import fc from "fast-check";
import { keccak256 as viemKeccak } from "viem";
import { describe, expect, test } from "vitest";
import { concat, toHex } from "./bytes.ts";
import { keccak256, keccak256Rows } from "./hash.ts";
import { SettlementTree, treeDepth, verifyProof } from "./settlementTree.ts";

/** The definition, word for word: pad to a power of two, then halve. */
function naiveRoot(leaves: readonly Uint8Array[]): Uint8Array {
  if (leaves.length === 0) return new Uint8Array(32);
  const hashes = leaves.map((leaf) => keccak256(leaf));
  while (2 ** Math.ceil(Math.log2(hashes.length)) !== hashes.length) hashes.push(new Uint8Array(32));
  return halve(hashes);
}

function halve(hashes: readonly Uint8Array[]): Uint8Array {
  if (hashes.length === 1) return hashes[0]!;
  const half = hashes.length / 2;
  return keccak256(halve(hashes.slice(0, half)), halve(hashes.slice(half)));
}

const leavesOf = (count: number) => Array.from({ length: count }, (_, i) => new Uint8Array(56).fill(i + 1));
const treeOf = (count: number) => SettlementTree.build(concat(...leavesOf(count)), 56);

describe("the tree", () => {
  test("has the root of the definition at every size up to 70", () => {
    for (let count = 0; count <= 70; count++) {
      expect(toHex(treeOf(count).root), `${count} leaves`).toBe(toHex(naiveRoot(leavesOf(count))));
    }
  });

  test("a known root, for contracts to agree with", () => {
    expect(toHex(treeOf(3).root)).toMatchInlineSnapshot(
      `"0x719f014fdfd37dc6f9854775730fcddc235cc907af0a97b37af37d297169c94d"`,
    );
  });

  test("refuses leaves that could pass for nodes, or are cut", () => {
    expect(() => SettlementTree.build(new Uint8Array(128), 64)).toThrow("never of 64 bytes");
    expect(() => SettlementTree.build(new Uint8Array(57), 56)).toThrow("whole leaves");
  });

  test.each([
    [0, 0],
    [1, 0],
    [2, 1],
    [3, 2],
    [4, 2],
    [5, 3],
    [2 ** 20, 20],
    [2 ** 20 + 1, 21],
    [2 ** 40, 40],
  ])("%i leaves are %i deep", (count, depth) => {
    expect(treeDepth(count)).toBe(depth);
  });
});

describe("proofs", () => {
  test("every leaf of every size up to 70 is proved, at its index and depth only", () => {
    for (let count = 1; count <= 70; count++) {
      const tree = treeOf(count);
      for (let index = 0; index < count; index++) {
        const [leaf, proof] = [tree.leafHash(index), tree.proof(index)];
        expect(verifyProof(tree.root, index, leaf, proof, count)).toBe(true);
        expect(verifyProof(tree.root, index + 1, leaf, proof, count)).toBe(false);
        expect(verifyProof(tree.root, index - 1, leaf, proof, count)).toBe(false);
        expect(verifyProof(tree.root, index + 2 ** treeDepth(count), leaf, proof, count)).toBe(false);
        expect(verifyProof(tree.root, index, leaf, proof, 4 * count)).toBe(false);
        expect(verifyProof(tree.root, index, leaf, [...proof, leaf], count)).toBe(false);
        if (count > 1) expect(verifyProof(tree.root, index, leaf, proof.slice(1), count)).toBe(false);
      }
    }
  });

  test("an inner node is no leaf, and padding is no leaf", () => {
    const tree = treeOf(3);
    const [first, second] = tree.proof(0);
    const inner = keccak256(tree.leafHash(0), first!);
    expect(verifyProof(tree.root, 0, inner, [second!], 3)).toBe(false);
    expect(verifyProof(tree.root, 3, new Uint8Array(32), [tree.leafHash(2), inner], 3)).toBe(false);
    expect(verifyProof(tree.root, 3, new Uint8Array(32), [tree.leafHash(2), inner], 4)).toBe(true);
  });

  test("nothing is in the empty tree", () => {
    expect(verifyProof(new Uint8Array(32), 0, new Uint8Array(32), [], 0)).toBe(false);
  });

  test("no bit of root, leaf or path can change", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.nat(), fc.nat(), fc.nat(7), (count, seed, at, bit) => {
        const tree = treeOf(count);
        const index = seed % count;
        const hashes = [tree.root, tree.leafHash(index), ...tree.proof(index)];
        const all = concat(...hashes);
        all[at % all.length]! ^= 1 << bit;
        const [root, leaf, ...proof] = hashes.map((_, i) => all.slice(32 * i, 32 * i + 32));
        expect(verifyProof(root!, index, leaf!, proof, count)).toBe(false);
      }),
    );
  });
});

test("rows are hashed as one by one, and as viem does", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 300 }), fc.nat(5), fc.nat(255), (rowBytes, count, salt) => {
      const rows = new Uint8Array(rowBytes * count).map((_, i) => i * 31 + salt);
      const into = new Uint8Array(32 * count);
      keccak256Rows(rows, rowBytes, count, into);
      for (let i = 0; i < count; i++) {
        const row = rows.slice(i * rowBytes, (i + 1) * rowBytes);
        expect(into.slice(32 * i, 32 * i + 32)).toEqual(keccak256(row));
        expect(toHex(keccak256(row))).toBe(viemKeccak(row));
      }
    }),
  );
});
