import fc from "fast-check";
import { expect, test } from "vitest";
import { hashReader, inclusionProof, leafHash, rootOf } from "../core/merkle.ts";
import { BatchTree } from "./batchTree.ts";

test("a batch's tree has the root and the paths of RFC 6962, at every size", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 70 }), (entries) => {
      const tree = new BatchTree(entries.map((bytes) => ({ bytes })));
      const hashes = entries.map((bytes) => leafHash(bytes));
      expect(tree.root).toEqual(rootOf(hashes));
      const read = hashReader(hashes);
      for (let i = 0; i < entries.length; i++) expect(tree.path(i)).toEqual(inclusionProof(read, i, entries.length));
    }),
  );
});

test("an entry of any size is hashed whole", () => {
  for (const size of [0, 1, 4_095, 4_096, 4_097, 65_535]) {
    const bytes = new Uint8Array(size).fill(size % 251);
    expect(new BatchTree([{ bytes }]).root).toEqual(leafHash(bytes));
  }
});
