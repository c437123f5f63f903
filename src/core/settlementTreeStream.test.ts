import fc from "fast-check";
import { expect, test } from "vitest";
import { SettlementTree, verifyProof } from "./settlementTree.ts";
import { SettlementTreeStream } from "./settlementTreeStream.ts";

const BYTES = 9;

function packed(count: number): Uint8Array {
  const leaves = new Uint8Array(count * BYTES);
  const view = new DataView(leaves.buffer);
  for (let i = 0; i < count; i++) view.setUint32(i * BYTES, i + 1);
  return leaves;
}

test("leaves that come in pieces and are forgotten have the root and the proofs of the whole tree", () => {
  const edges = [0, 1, 2, 3, 4_095, 4_096, 4_097, 8_191, 8_192, 8_193, 12_289];
  const count = fc.oneof(fc.constantFrom(...edges), fc.nat(20_000));
  fc.assert(
    fc.property(count, fc.nat(), fc.array(fc.integer({ min: 1, max: 9_000 }), { minLength: 1 }), (size, at, cuts) => {
      const [leaves, wanted] = [packed(size), size === 0 ? undefined : at % size];
      const whole = SettlementTree.build(leaves, BYTES);
      const stream = new SettlementTreeStream(BYTES, wanted);
      for (let from = 0, turn = 0; from < size; turn++) {
        const until = Math.min(size, from + cuts[turn % cuts.length]!);
        stream.add(leaves.subarray(from * BYTES, until * BYTES));
        from = until;
      }
      const { root, count: counted, kept } = stream.finish();
      expect([root, counted]).toEqual([whole.root, size]);
      expect(kept === undefined).toBe(wanted === undefined);
      const neighbours = wanted === undefined ? [] : [wanted - 1, wanted, wanted + 1, size, -1];
      for (const index of neighbours.filter((one) => kept?.has(one))) {
        expect(kept!.leaf(index)).toEqual(leaves.slice(index * BYTES, (index + 1) * BYTES));
        expect(kept!.proof(index)).toEqual(whole.proof(index));
        expect(verifyProof(root, index, whole.leafHash(index), kept!.proof(index), size)).toBe(true);
      }
      expect(wanted === undefined || kept!.has(wanted)).toBe(true);
      expect([kept?.has(-1), kept?.has(size)].includes(true)).toBe(false);
    }),
    { numRuns: 60 },
  );
});
